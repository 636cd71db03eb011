-- Which brands' suspect goods must be counted anew: a recall, a hold, an alert or a quarantine says so as it is written.
CREATE TABLE trace.suspect_due (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    brand    text NOT NULL REFERENCES trace.brand,
    since    timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE trace.suspect_due IS 'the worker counts a brand''s suspect goods again, and looks at the proposals on them';

CREATE FUNCTION trace.queue_suspects() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.brand IS NOT NULL THEN
        INSERT INTO trace.suspect_due (brand) VALUES (NEW.brand);
        NOTIFY work;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER suspects_held AFTER INSERT ON trace.custody_event FOR EACH ROW
    WHEN (NEW.biz_step IN ('holding', 'unblocking', 'recalling') OR NEW.corrects_seq IS NOT NULL) EXECUTE FUNCTION trace.queue_suspects();
CREATE TRIGGER suspects_quarantined AFTER INSERT OR UPDATE OF resolved_at ON trace.quarantine FOR EACH ROW
    WHEN (NEW.brand IS NOT NULL) EXECUTE FUNCTION trace.queue_suspects();
CREATE TRIGGER suspects_raised AFTER INSERT OR UPDATE OF state, outcome, cases ON trace.alert
    FOR EACH ROW EXECUTE FUNCTION trace.queue_suspects();
-- What was suspect may have been sold or taken away.
CREATE TRIGGER suspects_moved AFTER UPDATE OF ledger ON trace.stock FOR EACH ROW
    WHEN (NEW.suspect > 0 AND NEW.ledger <> OLD.ledger) EXECUTE FUNCTION trace.queue_suspects();
