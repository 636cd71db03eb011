-- The chain of custody takes more steps, events of other sources, and corrections; what was believed stays on record.
ALTER TABLE trace.custody_event
    ADD COLUMN reason text,
    ADD COLUMN lot text,
    ADD COLUMN verified boolean NOT NULL DEFAULT false,
    ADD COLUMN corrects_device text,
    ADD COLUMN corrects_boot uuid,
    ADD COLUMN corrects_seq bigint,
    ADD CHECK ((corrects_device IS NULL) = (corrects_boot IS NULL) AND (corrects_boot IS NULL) = (corrects_seq IS NULL)),
    -- Evidence before paperwork: an event at a place that nobody registered yet is kept, and refused until it is.
    DROP CONSTRAINT custody_event_site_fkey,
    ALTER COLUMN recorded_at SET DEFAULT clock_timestamp();
COMMENT ON COLUMN trace.custody_event.verified IS 'the code was found to be issued and commissioned with its batch';
COMMENT ON COLUMN trace.custody_event.corrects_device IS 'with boot and seq: the event of the same unit taken back';
DROP INDEX trace.custody_event_parent;
CREATE INDEX custody_event_parent ON trace.custody_event (parent, occurred_at) WHERE parent IS NOT NULL;
CREATE INDEX custody_event_moment ON trace.custody_event (brand, occurred_at);

-- Who relied on a container: a unit inside it had something recorded or decided at that time. What changes later about
-- the container's past finds here whom to ask again, so that shipping a pallet touches none of its contents.
CREATE TABLE trace.custody_reliance (
    container   text NOT NULL,
    occurred_at timestamptz NOT NULL,
    unit        text NOT NULL,
    PRIMARY KEY (container, occurred_at, unit)
);

-- What was ever packed into each container: products, lots, and the single units that were ever held. A recall of a
-- product asks here whether a pallet may leave, and reads a row a product instead of ten thousand items.
CREATE TABLE trace.custody_content (
    container text NOT NULL,
    member    text NOT NULL,
    PRIMARY KEY (container, member)
);
CREATE INDEX custody_content_member ON trace.custody_content (member);

-- Units to be judged again by the worker, because what they rest on has changed.
CREATE TABLE trace.reevaluation (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    unit      text NOT NULL UNIQUE,
    since     timestamptz NOT NULL,
    queued_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON COLUMN trace.reevaluation.since IS 'scans of the unit from this time on may have another verdict';

ALTER TABLE trace.quarantine ADD COLUMN facts jsonb NOT NULL DEFAULT '{}';
COMMENT ON COLUMN trace.quarantine.facts IS 'what the event says, and what stood against it';
CREATE INDEX quarantine_code ON trace.quarantine (code) WHERE resolved_at IS NULL;

-- What was believed before a late event or a correction changed it. Live rows say what is believed now.
CREATE TABLE trace.containment_superseded (
    LIKE trace.containment,
    superseded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX containment_superseded_child ON trace.containment_superseded (child, recorded_at);
CREATE TABLE trace.binding_superseded (
    LIKE trace.binding,
    superseded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX binding_superseded_unit ON trace.binding_superseded (unit, recorded_at);
CREATE TABLE trace.quarantine_superseded (
    LIKE trace.quarantine,
    superseded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX quarantine_superseded_id ON trace.quarantine_superseded (id);
ALTER TABLE trace.containment ALTER COLUMN recorded_at SET DEFAULT clock_timestamp();
ALTER TABLE trace.binding ALTER COLUMN recorded_at SET DEFAULT clock_timestamp();
ALTER TABLE trace.quarantine ALTER COLUMN recorded_at SET DEFAULT clock_timestamp();

-- Runs with the owner's rights, so that nobody who may change a row can do so without leaving the earlier one behind.
CREATE FUNCTION trace.keep_superseded() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog AS $$
BEGIN
    EXECUTE format('INSERT INTO trace.%I SELECT ($1).*, clock_timestamp()', TG_TABLE_NAME || '_superseded') USING OLD;
    NEW.recorded_at := clock_timestamp();
    RETURN NEW;
END $$;
CREATE TRIGGER keep_superseded BEFORE UPDATE ON trace.containment
    FOR EACH ROW EXECUTE FUNCTION trace.keep_superseded();
CREATE TRIGGER keep_superseded BEFORE UPDATE ON trace.binding
    FOR EACH ROW EXECUTE FUNCTION trace.keep_superseded();
CREATE TRIGGER keep_superseded BEFORE UPDATE ON trace.quarantine
    FOR EACH ROW EXECUTE FUNCTION trace.keep_superseded();
