-- A subscription's secret can be replaced while its receiver still knows the old one: both sign until then.
ALTER TABLE trace.webhook
    ADD COLUMN old_secret bytea,
    ADD COLUMN old_until timestamptz,
    ADD CHECK ((old_secret IS NULL) = (old_until IS NULL));
COMMENT ON COLUMN trace.webhook.old_secret IS 'wrapped as the secret; signs beside it before old_until';
