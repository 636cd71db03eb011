-- The chain of custody takes more steps, events of other sources, and corrections; what was believed stays on record.
ALTER TABLE trace.custody_event
    ADD COLUMN reason text,
    ADD COLUMN lot text,
    ADD COLUMN verified boolean NOT NULL DEFAULT false,
    ADD COLUMN recipient text,
    ADD COLUMN corrects_device text,
    ADD COLUMN corrects_boot uuid,
    ADD COLUMN corrects_seq bigint,
    ADD CHECK ((corrects_device IS NULL) = (corrects_boot IS NULL) AND (corrects_boot IS NULL) = (corrects_seq IS NULL)),
    -- Evidence before paperwork: an event at a place that nobody registered yet is kept, and refused until it is.
    DROP CONSTRAINT custody_event_site_fkey,
    ALTER COLUMN recorded_at SET DEFAULT clock_timestamp();
COMMENT ON COLUMN trace.custody_event.verified IS 'the code was found to be issued and commissioned with its batch';
COMMENT ON COLUMN trace.custody_event.recipient IS 'in upper case, whom a shipment named while nobody knew that name';
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

-- Repairs that are no events: what was refused for want of a registration is judged again once it is there.
CREATE FUNCTION trace.site_registered() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog AS $$
BEGIN
    INSERT INTO trace.reevaluation (unit, since)
    SELECT held.code, min(held.ts) FROM trace.quarantine AS held
    WHERE held.resolved_at IS NULL AND (held.reason = 'unknown_site' AND held.detail = NEW.id
        OR held.reason = 'unknown_dealer' AND EXISTS (
            SELECT FROM trace.custody_event AS event WHERE event.device = held.device AND event.boot = held.boot
                AND event.seq = held.seq AND event.recipient = upper(NEW.id)))
    GROUP BY held.code
    ON CONFLICT (unit) DO UPDATE SET since = least(reevaluation.since, excluded.since);
    -- Who looks at a unit moves nothing, so that nothing is replayed for it.
    UPDATE trace.quarantine AS held SET resolved_at = now() FROM trace.custody_event AS event
    WHERE held.resolved_at IS NULL AND held.reason = 'unknown_site' AND held.detail = NEW.id
        AND event.device = held.device AND event.boot = held.boot AND event.seq = held.seq
        AND event.biz_step IN ('consumer_scanning', 'inspecting');
    NOTIFY work;
    RETURN NULL;
END $$;
CREATE TRIGGER site_registered AFTER INSERT ON trace.site FOR EACH ROW EXECUTE FUNCTION trace.site_registered();

CREATE FUNCTION trace.dealer_registered() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog AS $$
BEGIN
    INSERT INTO trace.reevaluation (unit, since)
    SELECT held.code, min(held.ts) FROM trace.quarantine AS held
    JOIN trace.custody_event AS event USING (device, boot, seq)
    WHERE held.resolved_at IS NULL AND held.reason = 'unknown_dealer' AND event.recipient = upper(NEW.id)
    GROUP BY held.code
    ON CONFLICT (unit) DO UPDATE SET since = least(reevaluation.since, excluded.since);
    NOTIFY work;
    RETURN NULL;
END $$;
CREATE TRIGGER dealer_registered AFTER INSERT ON trace.dealer FOR EACH ROW EXECUTE FUNCTION trace.dealer_registered();

CREATE FUNCTION trace.batch_commissioned() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog AS $$
BEGIN
    INSERT INTO landing.work (kind, device, boot, seq, ts)
    SELECT 'scan', held.device, held.boot, held.seq, held.ts FROM trace.quarantine AS held
    WHERE held.resolved_at IS NULL AND held.reason = 'code_not_accepted' AND position(NEW.gtin IN held.code) > 0
        AND EXISTS (SELECT FROM landing.scan WHERE scan.device = held.device AND scan.boot = held.boot
            AND scan.seq = held.seq AND scan.ts = held.ts);
    NOTIFY work;
    RETURN NULL;
END $$;
CREATE TRIGGER batch_commissioned AFTER INSERT OR UPDATE OF commissioned_at ON trace.batch
    FOR EACH ROW WHEN (NEW.commissioned_at IS NOT NULL) EXECUTE FUNCTION trace.batch_commissioned();
