-- What a worker does beside storing: adds up, watches for gaps, forgets what is old.

-- name: try_upkeep
SELECT pg_try_advisory_lock(%(key)s)

-- name: patience_of_upkeep
-- A day of events may take minutes; but nobody shall wait behind upkeep that itself waits for a lock.
SELECT set_config('statement_timeout', '10min', false), set_config('lock_timeout', '2s', false)

-- name: take_dirty
-- In one statement with its choice: a note that is deleted here was seen, and so its events will be.
DELETE FROM landing.rollup_dirty
WHERE kind = %(kind)s AND bucket IN (
    SELECT DISTINCT bucket FROM landing.rollup_dirty WHERE kind = %(kind)s ORDER BY bucket LIMIT %(limit)s
)
RETURNING bucket

-- name: final_buckets
SELECT removed_until FROM landing.retention WHERE kind = %(kind)s

-- name: clear_scan
DELETE FROM landing.scan_rollup WHERE minutes = %(minutes)s AND bucket = ANY (%(buckets)s)

-- name: roll_scan_5
INSERT INTO landing.scan_rollup (minutes, bucket, site, activity, device, scans)
SELECT 5, %(bucket)s, site, activity, device, count(*)
FROM landing.scan WHERE ts >= %(bucket)s AND ts < %(end)s
GROUP BY site, activity, device

-- name: roll_scan_up
INSERT INTO landing.scan_rollup (minutes, bucket, site, activity, device, scans)
SELECT %(minutes)s, %(bucket)s, site, activity, device, sum(scans)
FROM landing.scan_rollup WHERE minutes = %(parts)s AND bucket >= %(bucket)s AND bucket < %(end)s
GROUP BY site, activity, device

-- name: clear_stock
DELETE FROM landing.stock_rollup WHERE minutes = %(minutes)s AND bucket = ANY (%(buckets)s)

-- name: roll_stock_5
-- A faulty reading is counted and otherwise not believed.
INSERT INTO landing.stock_rollup (minutes, bucket, site, gtin, device, channel, readings, min_units, max_units,
    last_units, last_ts, faults)
SELECT 5, %(bucket)s, site, gtin, device, channel, count(*),
    min(units) FILTER (WHERE fault = ''), max(units) FILTER (WHERE fault = ''),
    (array_agg(units ORDER BY ts DESC, boot DESC, seq DESC) FILTER (WHERE fault = ''))[1],
    max(ts) FILTER (WHERE fault = ''), count(*) FILTER (WHERE fault <> '')
FROM landing.stock WHERE ts >= %(bucket)s AND ts < %(end)s
GROUP BY site, gtin, device, channel

-- name: roll_stock_up
INSERT INTO landing.stock_rollup (minutes, bucket, site, gtin, device, channel, readings, min_units, max_units,
    last_units, last_ts, faults)
SELECT %(minutes)s, %(bucket)s, site, gtin, device, channel, sum(readings), min(min_units), max(max_units),
    (array_agg(last_units ORDER BY last_ts DESC) FILTER (WHERE last_ts IS NOT NULL))[1], max(last_ts), sum(faults)
FROM landing.stock_rollup WHERE minutes = %(parts)s AND bucket >= %(bucket)s AND bucket < %(end)s
GROUP BY site, gtin, device, channel

-- name: clear_environment
DELETE FROM landing.environment_rollup WHERE minutes = %(minutes)s AND bucket = ANY (%(buckets)s)

-- name: roll_environment_5
INSERT INTO landing.environment_rollup (minutes, bucket, site, device, readings, min_temperature_c, max_temperature_c,
    sum_temperature_c, moist_readings, min_humidity, max_humidity, sum_humidity)
SELECT 5, %(bucket)s, site, device, count(*), min(temperature_c), max(temperature_c), sum(temperature_c::float8),
    count(humidity), min(humidity), max(humidity), sum(humidity::float8)
FROM landing.environment WHERE ts >= %(bucket)s AND ts < %(end)s
GROUP BY site, device

-- name: roll_environment_up
INSERT INTO landing.environment_rollup (minutes, bucket, site, device, readings, min_temperature_c, max_temperature_c,
    sum_temperature_c, moist_readings, min_humidity, max_humidity, sum_humidity)
SELECT %(minutes)s, %(bucket)s, site, device, sum(readings), min(min_temperature_c), max(max_temperature_c),
    sum(sum_temperature_c), sum(moist_readings), min(min_humidity), max(max_humidity), sum(sum_humidity)
FROM landing.environment_rollup WHERE minutes = %(parts)s AND bucket >= %(bucket)s AND bucket < %(end)s
GROUP BY site, device

-- name: expire
SELECT landing.expire(%(kind)s, %(before)s, %(most)s)

-- name: expire_letters
SELECT landing.expire_letters(%(before)s, %(most)s)

-- name: expire_gaps
-- What became of the numbers stands in the received ranges and in the dropped ones.
DELETE FROM landing.gap WHERE closed_at < %(before)s

-- name: shrink_gaps
WITH left_over AS (
    SELECT gap.id, gap.missing - received.ranges AS missing
    FROM landing.gap JOIN landing.received USING (device, boot)
    WHERE gap.closed_at IS NULL AND gap.missing && received.ranges
)
UPDATE landing.gap
SET missing = left_over.missing,
    moved_at = %(now)s,
    closed_at = CASE WHEN isempty(left_over.missing) THEN %(now)s::timestamptz END
FROM left_over WHERE gap.id = left_over.id
RETURNING gap.device, gap.boot, lower(gap.numbers), upper(gap.numbers) - 1, gap.asked, gap.closed_at IS NOT NULL

-- name: forget_quiet_gaps
-- Closed before anybody had to ask: events that overtook one another, no gap worth remembering.
DELETE FROM landing.gap WHERE closed_at IS NOT NULL AND asked = 0

-- name: find_gaps
INSERT INTO landing.gap (device, boot, numbers, missing, found_at, moved_at)
SELECT device, boot, hole, int8multirange(hole), %(now)s, %(now)s
FROM (
    SELECT device, boot, int8multirange(int8range(1, upper(ranges))) - ranges - coalesce(
        (SELECT range_agg(gap.missing) FROM landing.gap
         WHERE gap.device = received.device AND gap.boot = received.boot AND gap.closed_at IS NULL), '{}') AS holes
    FROM landing.received
    WHERE NOT isempty(ranges) AND ranges <> int8multirange(int8range(1, upper(ranges)))
) AS broken, unnest(holes) AS hole

-- name: due_gaps
-- Only of a device that was heard from since: one that is away cannot answer, and is asked when it is back.
WITH due AS (
    UPDATE landing.gap
    SET asked = asked + 1,
        asked_at = %(now)s,
        alerted_at = CASE WHEN asked >= %(patience)s THEN coalesce(alerted_at, %(now)s) ELSE alerted_at END
    FROM landing.device
    WHERE gap.id = ANY (ARRAY(
            SELECT gap.id FROM landing.gap JOIN landing.device ON device.id = gap.device
            WHERE gap.closed_at IS NULL AND device.retired_at IS NULL
              AND device.last_seen >= greatest(gap.moved_at, gap.asked_at)
              AND greatest(gap.moved_at, gap.asked_at) + %(limit)s * 2 ^ least(gap.asked, 10) <= %(now)s
            ORDER BY gap.id LIMIT %(most)s))
      AND device.id = gap.device
    RETURNING gap.id, device.site, gap.device, gap.boot, gap.missing, gap.asked, gap.alerted_at = %(now)s AS alerted
)
SELECT site, device, boot, missing, asked, alerted FROM due ORDER BY id

-- name: count_gaps
SELECT count(*), count(alerted_at) FROM landing.gap WHERE closed_at IS NULL AND asked > 0

-- name: addressed
-- Whom a command reaches: the devices of a site, or one.
SELECT id, site FROM landing.device
WHERE retired_at IS NULL AND (site = %(site)s OR %(site)s IS NULL) AND (id = %(device)s OR %(device)s IS NULL)
ORDER BY id

-- name: device_health
WITH hourly AS MATERIALIZED (SELECT device, most FROM landing.outbox_hourly(now() - interval '24 hours'))
SELECT device.id, site, kind, state, last_seen, skew_ms, firmware, outbox_depth, retired_at,
    (SELECT max(most) FROM hourly WHERE hourly.device = device.id) AS most_waiting,
    count(gap.id) AS gaps,
    coalesce(sum((SELECT sum(upper(hole) - lower(hole)) FROM unnest(gap.missing) AS hole)), 0)::bigint AS missing,
    count(gap.alerted_at) > 0 AS alerted
FROM landing.device LEFT JOIN landing.gap ON gap.device = device.id AND gap.closed_at IS NULL
GROUP BY device.id
ORDER BY device.id

-- name: recent_strays
-- The letters of the last hour of which nobody was told, by where they came from: a topic without its last level.
SELECT regexp_replace(topic, '/[^/]*$', ''), reason, digest
FROM landing.dead_letter
WHERE replayed_at IS NULL AND received_at > %(since)s
  AND regexp_replace(topic, '/[^/]*$', '') = ANY (%(sources)s)
  AND (first_seq IS NULL OR NOT EXISTS (SELECT FROM landing.device WHERE device.id = dead_letter.device))

-- name: count_repeats
UPDATE landing.dead_letter SET repeats = dead_letter.repeats + more.repeats
FROM (
    SELECT max(id) AS id, counted.repeats
    FROM unnest(%(sources)s::text[], %(reasons)s::text[], %(repeats)s::int8[]) AS counted (source, reason, repeats)
    JOIN landing.dead_letter AS kept USING (reason)
    WHERE replayed_at IS NULL AND received_at > %(since)s AND regexp_replace(topic, '/[^/]*$', '') = source
    GROUP BY source, reason, counted.repeats
) AS more
WHERE dead_letter.id = more.id
