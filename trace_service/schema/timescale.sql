-- Where the extension is at hand the landing tables become hypertables; the queries are the same either way.
CREATE EXTENSION IF NOT EXISTS timescaledb;
SELECT create_hypertable(name, 'ts', chunk_time_interval => interval '1 day', if_not_exists => true, migrate_data => true)
FROM unnest(ARRAY['landing.scan', 'landing.stock', 'landing.environment', 'landing.status']::regclass[]) AS name;
