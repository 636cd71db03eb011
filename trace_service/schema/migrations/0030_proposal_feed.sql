-- Readers follow proposals in the order of transactions, not of clocks: what a long one wrote before commits after what a
-- short one wrote later, and a row that changes again must take nobody past others.
ALTER TABLE trace.proposal ADD COLUMN changed xid8 NOT NULL DEFAULT pg_current_xact_id();
COMMENT ON COLUMN trace.proposal.changed IS 'the last transaction that wrote the row';
CREATE INDEX proposal_changed ON trace.proposal (brand, changed, id);

CREATE FUNCTION trace.note_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.changed := pg_current_xact_id();
    RETURN NEW;
END
$$;
CREATE TRIGGER proposal_changed BEFORE UPDATE ON trace.proposal FOR EACH ROW EXECUTE FUNCTION trace.note_change();
