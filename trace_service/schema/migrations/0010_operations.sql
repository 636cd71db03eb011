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
