-- What ingest keeps beside the events themselves: rollups, gaps, and the books of what retention removed.

-- Nearly free to maintain, since events come roughly in the order of their time.
CREATE INDEX scan_time ON landing.scan USING brin (ts) WITH (pages_per_range = 32, autosummarize = on);
CREATE INDEX stock_time ON landing.stock USING brin (ts) WITH (pages_per_range = 32, autosummarize = on);
CREATE INDEX environment_time ON landing.environment USING brin (ts) WITH (pages_per_range = 32, autosummarize = on);
CREATE INDEX status_time ON landing.status USING brin (ts) WITH (pages_per_range = 32, autosummarize = on);

-- Five-minute buckets to be added up again, noted in the transaction that stores their events: whoever sees the note
-- sees the events. No key: two workers that note the same bucket do not wait for one another.
CREATE TABLE landing.rollup_dirty (
    kind   text NOT NULL CHECK (kind IN ('scan', 'stock', 'environment')),
    bucket timestamptz NOT NULL
);
INSERT INTO landing.rollup_dirty
SELECT DISTINCT 'scan', date_bin('5 minutes', ts, '2000-01-01 00:00Z') FROM landing.scan
UNION ALL
SELECT DISTINCT 'stock', date_bin('5 minutes', ts, '2000-01-01 00:00Z') FROM landing.stock
UNION ALL
SELECT DISTINCT 'environment', date_bin('5 minutes', ts, '2000-01-01 00:00Z') FROM landing.environment;

CREATE TABLE landing.scan_rollup (
    minutes  smallint NOT NULL CHECK (minutes IN (5, 60, 1440)),
    bucket   timestamptz NOT NULL,
    site     text NOT NULL,
    activity text NOT NULL,
    device   text NOT NULL,
    scans    bigint NOT NULL,
    PRIMARY KEY (minutes, bucket, site, activity, device)
);

CREATE TABLE landing.stock_rollup (
    minutes    smallint NOT NULL CHECK (minutes IN (5, 60, 1440)),
    bucket     timestamptz NOT NULL,
    site       text NOT NULL,
    gtin       text NOT NULL,
    device     text NOT NULL,
    channel    smallint NOT NULL,
    readings   bigint NOT NULL,
    min_units  integer,
    max_units  integer,
    last_units integer,
    last_ts    timestamptz,
    faults     bigint NOT NULL,
    PRIMARY KEY (minutes, bucket, site, gtin, device, channel)
);
COMMENT ON TABLE landing.stock_rollup IS
    'units are null where every reading was faulty; a product on several channels has a row for each';

CREATE TABLE landing.environment_rollup (
    minutes           smallint NOT NULL CHECK (minutes IN (5, 60, 1440)),
    bucket            timestamptz NOT NULL,
    site              text NOT NULL,
    device            text NOT NULL,
    readings          bigint NOT NULL,
    min_temperature_c real NOT NULL,
    max_temperature_c real NOT NULL,
    sum_temperature_c double precision NOT NULL,
    avg_temperature_c double precision NOT NULL GENERATED ALWAYS AS (sum_temperature_c / readings) STORED,
    moist_readings    bigint NOT NULL,
    min_humidity      real,
    max_humidity      real,
    sum_humidity      double precision,
    avg_humidity      double precision GENERATED ALWAYS AS (sum_humidity / nullif(moist_readings, 0)) STORED,
    PRIMARY KEY (minutes, bucket, site, device)
);

-- Holes in what was received, and what was done about them.
CREATE TABLE landing.gap (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    device     text NOT NULL REFERENCES landing.device,
    boot       uuid NOT NULL,
    numbers    int8range NOT NULL,
    missing    int8multirange NOT NULL,
    found_at   timestamptz NOT NULL,
    moved_at   timestamptz NOT NULL,
    asked      integer NOT NULL DEFAULT 0,
    asked_at   timestamptz,
    alerted_at timestamptz,
    closed_at  timestamptz
);
CREATE INDEX gap_open ON landing.gap (device, boot) WHERE closed_at IS NULL;
COMMENT ON COLUMN landing.gap.numbers IS 'the hole as it was found; missing is what is left of it';
COMMENT ON COLUMN landing.gap.moved_at IS 'when the hole last became smaller';

-- Sequence numbers whose rows retention removed, and tombstones that went with them: the audit still balances.
CREATE TABLE landing.expired (
    device     text NOT NULL,
    boot       uuid NOT NULL,
    ranges     int8multirange NOT NULL DEFAULT '{}',
    tombstones int8multirange NOT NULL DEFAULT '{}',
    PRIMARY KEY (device, boot)
);
CREATE TABLE landing.retention (
    kind         text PRIMARY KEY CHECK (kind IN ('scan', 'stock', 'environment', 'status')),
    removed_until timestamptz NOT NULL
);
COMMENT ON TABLE landing.retention IS 'rollups of buckets before removed_until are final: their events are gone';

-- A letter of which nobody is told, such as one without identity, may come again for ever: it is counted, not kept.
ALTER TABLE landing.dead_letter
    ADD COLUMN repeats bigint NOT NULL DEFAULT 0,
    ADD COLUMN digest bytea NOT NULL GENERATED ALWAYS AS (sha256(payload)) STORED;
COMMENT ON COLUMN landing.dead_letter.repeats IS 'further letters of the same source and reason that were only counted';

-- The one way in which ingest may remove events: old ones only, each noted in landing.expired. Events are accepted up
-- to 30 days late, so that what is younger than 31 days is still needed to recognise a copy.
CREATE FUNCTION landing.expire(kind text, before timestamptz, most integer) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    -- The parameter `kind` is checked against this list before it names a table.
    home      name := (SELECT nspname FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace
                       WHERE extname = 'timescaledb');
    dropped   text := CASE expire.kind WHEN 'status' THEN 'dropped' ELSE 'int8multirange()' END;
    chunked   boolean := false;
    until     timestamptz;
    removed   bigint;
BEGIN
    IF expire.kind NOT IN ('scan', 'stock', 'environment', 'status') THEN
        RAISE EXCEPTION 'no events of kind %', expire.kind USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF before > now() - interval '31 days' THEN
        RAISE EXCEPTION 'events younger than 31 days are still needed' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF home IS NOT NULL THEN
        EXECUTE 'SELECT count(*) > 0 FROM timescaledb_information.hypertables
                 WHERE hypertable_schema = ''landing'' AND hypertable_name = $1'
            INTO chunked USING expire.kind;
    END IF;
    IF chunked THEN
        -- One chunk a call, the oldest, and only where it is old as a whole.
        EXECUTE 'SELECT min(range_end) FROM timescaledb_information.chunks
                 WHERE hypertable_schema = ''landing'' AND hypertable_name = $1 AND range_end <= $2'
            INTO until USING expire.kind, before;
        IF until IS NULL THEN
            RETURN 0;
        END IF;
        EXECUTE format(
            'WITH old AS (SELECT device, boot, count(*) AS n, range_agg(int8range(seq, seq + 1)) AS ranges,
                                 coalesce(range_agg(%s), ''{}'') AS tombstones
                          FROM landing.%I WHERE ts < $1 GROUP BY device, boot),
                  noted AS (INSERT INTO landing.expired AS e SELECT device, boot, ranges, tombstones FROM old
                            ON CONFLICT (device, boot) DO UPDATE SET ranges = e.ranges + excluded.ranges,
                                                                     tombstones = e.tombstones + excluded.tombstones)
             SELECT coalesce(sum(n), 0)::bigint FROM old', dropped, expire.kind) INTO removed USING until;
        EXECUTE format('SELECT %I.drop_chunks(''landing.%I''::regclass, older_than => $1)', home, expire.kind)
            USING until;
        -- An empty chunk went too: whoever asks again until nothing is left must not stop here.
        removed := greatest(removed, 1);
    ELSE
        EXECUTE format(
            'WITH gone AS (DELETE FROM landing.%2$I
                           WHERE ctid = ANY (ARRAY(SELECT ctid FROM landing.%2$I WHERE ts < $1 LIMIT $2))
                           RETURNING *),
                  old AS (SELECT device, boot, count(*) AS n, range_agg(int8range(seq, seq + 1)) AS ranges,
                                 coalesce(range_agg(%1$s), ''{}'') AS tombstones
                          FROM gone GROUP BY device, boot),
                  noted AS (INSERT INTO landing.expired AS e SELECT device, boot, ranges, tombstones FROM old
                            ON CONFLICT (device, boot) DO UPDATE SET ranges = e.ranges + excluded.ranges,
                                                                     tombstones = e.tombstones + excluded.tombstones)
             SELECT coalesce(sum(n), 0)::bigint FROM old', dropped, expire.kind) INTO removed USING before, most;
        until := before;
    END IF;
    INSERT INTO landing.retention AS r VALUES (expire.kind, until)
    ON CONFLICT ON CONSTRAINT retention_pkey DO UPDATE SET removed_until = greatest(r.removed_until, until);
    RETURN removed;
END
$$;
REVOKE ALL ON FUNCTION landing.expire FROM PUBLIC;
