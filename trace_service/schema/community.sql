-- What only TimescaleDB's Community build can do, step by step; a step that fails leaves everything as it was.

-- step: compress landing.scan
ALTER TABLE landing.scan SET (timescaledb.enable_columnstore = true, timescaledb.segmentby = 'device',
    timescaledb.orderby = 'boot, seq, ts');
CALL add_columnstore_policy('landing.scan', after => interval '32 days', if_not_exists => true);

-- step: compress landing.stock
ALTER TABLE landing.stock SET (timescaledb.enable_columnstore = true, timescaledb.segmentby = 'device',
    timescaledb.orderby = 'boot, seq, ts');
CALL add_columnstore_policy('landing.stock', after => interval '32 days', if_not_exists => true);

-- step: compress landing.environment
ALTER TABLE landing.environment SET (timescaledb.enable_columnstore = true, timescaledb.segmentby = 'device',
    timescaledb.orderby = 'boot, seq, ts');
CALL add_columnstore_policy('landing.environment', after => interval '32 days', if_not_exists => true);

-- step: compress landing.status
ALTER TABLE landing.status SET (timescaledb.enable_columnstore = true, timescaledb.segmentby = 'device',
    timescaledb.orderby = 'boot, seq, ts');
CALL add_columnstore_policy('landing.status', after => interval '32 days', if_not_exists => true);

-- step: continuous landing.outbox_hourly_kept
CREATE MATERIALIZED VIEW IF NOT EXISTS landing.outbox_hourly_kept
WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS
SELECT time_bucket(interval '1 hour', ts) AS hour, device, max(outbox_depth) AS most, count(*) AS messages
FROM landing.status GROUP BY 1, 2
WITH NO DATA;
SELECT add_continuous_aggregate_policy('landing.outbox_hourly_kept', start_offset => interval '32 days',
    end_offset => interval '1 hour', schedule_interval => interval '1 hour', if_not_exists => true);
GRANT SELECT ON landing.outbox_hourly_kept TO codefence_ingest, codefence_trace;
CREATE OR REPLACE FUNCTION landing.outbox_hourly(since timestamptz)
RETURNS TABLE (hour timestamptz, device text, most bigint, messages bigint) LANGUAGE sql STABLE AS $$
    SELECT hour, device, most, messages FROM landing.outbox_hourly_kept
    WHERE hour >= date_trunc('hour', outbox_hourly.since, 'UTC')
$$;
