-- What operating ingest takes: names of its own on the broker.

-- Brokers that make the user name the client id would let such a device end a worker's session.
ALTER TABLE landing.device ADD CONSTRAINT device_name_is_not_ingests CHECK (id !~* '^ingest');

-- How full each device's outbox was, hour by hour of UTC; `most` is the largest number of events that waited in it.
-- TimescaleDB's Community build keeps the figures as a continuous aggregate and replaces this function.
CREATE FUNCTION landing.outbox_hourly(since timestamptz)
RETURNS TABLE (hour timestamptz, device text, most bigint, messages bigint) LANGUAGE sql STABLE AS $$
    SELECT date_trunc('hour', ts, 'UTC'), device, max(outbox_depth), count(*) FROM landing.status
    WHERE ts >= date_trunc('hour', outbox_hourly.since, 'UTC') GROUP BY 1, 2
$$;

-- A letter that is neither mended nor missed is closed, with the reason.
ALTER TABLE landing.dead_letter
    ADD COLUMN closed_at timestamptz,
    ADD COLUMN decision text NOT NULL DEFAULT '';
CREATE INDEX dead_letter_settled ON landing.dead_letter (coalesce(replayed_at, closed_at))
    WHERE coalesce(replayed_at, closed_at) IS NOT NULL;
CREATE INDEX gap_closed ON landing.gap (closed_at) WHERE closed_at IS NOT NULL;

-- What stays of letters that were removed: why each number was refused, and how many letters stood in nobody's books.
CREATE TABLE landing.letter_proof (
    device   text NOT NULL,
    boot     uuid NOT NULL,
    reason   text NOT NULL,
    replayed boolean NOT NULL,
    ranges   int8multirange NOT NULL,
    PRIMARY KEY (device, boot, reason, replayed)
);
CREATE TABLE landing.stray_proof (
    day     date NOT NULL,
    reason  text NOT NULL,
    letters bigint NOT NULL,
    repeats bigint NOT NULL,
    PRIMARY KEY (day, reason)
);
COMMENT ON COLUMN landing.stray_proof.day IS 'of UTC, on which the letters came';

-- The one way in which ingest may remove letters: replayed or closed ones only, each noted. Copies may come 30 days late.
CREATE FUNCTION landing.expire_letters(before timestamptz, most integer) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    removed bigint;
BEGIN
    IF before > now() - interval '31 days' THEN
        RAISE EXCEPTION 'letters younger than 31 days are still needed' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    WITH gone AS (
        DELETE FROM landing.dead_letter WHERE id = ANY (ARRAY(
            SELECT id FROM landing.dead_letter
            WHERE coalesce(replayed_at, closed_at) < before AND received_at < before LIMIT most))
        RETURNING device, boot, first_seq, last_seq, reason, replayed_at IS NOT NULL AS replayed, received_at, repeats
    ), noted AS (
        INSERT INTO landing.letter_proof AS proof
        SELECT device, boot, reason, replayed, range_agg(int8range(first_seq, last_seq + 1)) FROM gone
        WHERE device IS NOT NULL AND boot IS NOT NULL AND first_seq IS NOT NULL
        GROUP BY device, boot, reason, replayed
        ON CONFLICT (device, boot, reason, replayed) DO UPDATE SET ranges = proof.ranges + excluded.ranges
    ), strays AS (
        INSERT INTO landing.stray_proof AS proof
        SELECT (received_at AT TIME ZONE 'UTC')::date, reason, count(*), sum(repeats) FROM gone
        WHERE NOT replayed AND (first_seq IS NULL OR device IS NULL OR NOT EXISTS (
            SELECT FROM landing.received WHERE received.device = gone.device AND received.boot = gone.boot))
        GROUP BY 1, 2
        ON CONFLICT (day, reason) DO UPDATE
            SET letters = proof.letters + excluded.letters, repeats = proof.repeats + excluded.repeats
    )
    SELECT count(*) FROM gone INTO removed;
    RETURN removed;
END
$$;
REVOKE ALL ON FUNCTION landing.expire_letters FROM PUBLIC;
