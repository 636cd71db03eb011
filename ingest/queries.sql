-- Every statement of ingest. Arrays arrive as parameters, so that a batch of any size is one statement.

-- name: look_up
-- The registry and what was received, locked in a fixed order: two workers that share devices wait for one another
-- instead of deadlocking.
WITH wanted AS (
    SELECT * FROM unnest(%(devices)s::text[], %(boots)s::uuid[]) AS stream (device, boot)
), locked AS (
    SELECT device, boot, ranges FROM landing.received JOIN wanted USING (device, boot)
    ORDER BY device, boot
    FOR UPDATE OF received
)
SELECT device.id, device.site, device.retired_at IS NOT NULL, locked.boot, locked.ranges
FROM wanted JOIN landing.device ON device.id = wanted.device
LEFT JOIN locked ON locked.device = wanted.device AND locked.boot = wanted.boot

-- name: open_received
INSERT INTO landing.received (device, boot)
SELECT * FROM unnest(%(devices)s::text[], %(boots)s::uuid[])
ON CONFLICT DO NOTHING

-- name: stored
-- What the landing tables hold under keys that were received before. A sequence runs through all four kinds.
WITH wanted AS (
    SELECT * FROM unnest(%(devices)s::text[], %(boots)s::uuid[], %(seqs)s::int8[]) AS key (device, boot, seq)
)
SELECT device, boot, seq, content FROM landing.scan JOIN wanted USING (device, boot, seq)
UNION ALL
SELECT device, boot, seq, content FROM landing.stock JOIN wanted USING (device, boot, seq)
UNION ALL
SELECT device, boot, seq, content FROM landing.environment JOIN wanted USING (device, boot, seq)
UNION ALL
SELECT device, boot, seq, content FROM landing.status JOIN wanted USING (device, boot, seq)

-- name: refused
-- Why keys were refused before. No message has more than 100 events: the bound keeps the index scan short.
SELECT wanted.device, wanted.boot, wanted.seq, letter.reason
FROM unnest(%(devices)s::text[], %(boots)s::uuid[], %(seqs)s::int8[]) AS wanted (device, boot, seq)
CROSS JOIN LATERAL (
    SELECT id, reason FROM landing.dead_letter
    WHERE dead_letter.boot = wanted.boot
      AND dead_letter.first_seq BETWEEN wanted.seq - 100 AND wanted.seq
      AND dead_letter.last_seq >= wanted.seq
      AND dead_letter.device IS NOT DISTINCT FROM wanted.device
    UNION ALL
    SELECT 0, reason FROM landing.letter_proof AS proof
    WHERE proof.device = wanted.device AND proof.boot = wanted.boot AND proof.ranges @> wanted.seq
    ORDER BY id
    LIMIT 1
) AS letter

-- name: copy_scan
COPY landing.scan (device, boot, site, seq, ts, sent_at, received_at, content, code, symbology, aim, activity,
    reference, parent, recipient, operator, lon, lat, accuracy_m, platform, crs, image) FROM STDIN (FORMAT binary)

-- name: copy_stock
COPY landing.stock (device, boot, site, seq, ts, sent_at, received_at, content, channel, gtin, grams, units,
    confidence, fault, filled, empty, unseen, strange, share) FROM STDIN (FORMAT binary)

-- name: copy_environment
COPY landing.environment (device, boot, site, seq, ts, sent_at, received_at, content, temperature_c, humidity,
    mean_kinetic_c, door_open, alarm) FROM STDIN (FORMAT binary)

-- name: copy_status
COPY landing.status (device, boot, site, seq, ts, sent_at, received_at, content, state, firmware, outbox_depth,
    dropped) FROM STDIN (FORMAT binary)

-- name: copy_work
COPY landing.work (kind, device, boot, seq, ts, following) FROM STDIN (FORMAT binary)

-- name: copy_dead_letter
COPY landing.dead_letter (received_at, topic, payload, device, boot, first_seq, last_seq, reason, detail, sqlstate)
FROM STDIN (FORMAT binary)

-- name: note
-- What a batch leaves behind beside its rows, in one statement.
WITH extended AS (
    UPDATE landing.received
    SET ranges = received.ranges + added.ranges::int8multirange
    FROM unnest(%(devices)s::text[], %(boots)s::uuid[], %(ranges)s::text[]) AS added (device, boot, ranges)
    WHERE received.device = added.device AND received.boot = added.boot
), dirty AS (
    INSERT INTO landing.rollup_dirty (kind, bucket)
    SELECT * FROM unnest(%(kinds)s::text[], %(buckets)s::timestamptz[])
), updated AS (
    -- A device that only ever sends events counts as online from its first one; after that its status messages decide.
    UPDATE landing.device
    SET last_seen = greatest(device.last_seen, news.last_seen),
        skew_ms = coalesce(news.skew_ms, device.skew_ms),
        state = coalesce(news.state, CASE device.state WHEN 'unseen' THEN 'online' ELSE device.state END),
        firmware = coalesce(news.firmware, device.firmware),
        outbox_depth = coalesce(news.outbox_depth, device.outbox_depth)
    FROM unnest(%(ids)s::text[], %(last_seens)s::timestamptz[], %(skews)s::int8[], %(states)s::text[],
            %(firmwares)s::text[], %(depths)s::int8[])
        AS news (id, last_seen, skew_ms, state, firmware, outbox_depth)
    WHERE device.id = news.id
)
SELECT pg_notify('work', '') WHERE %(work)s

-- name: list_dead_letters
SELECT id, received_at, topic, device, boot, first_seq, last_seq, reason, detail, sqlstate, replayed_at, closed_at,
    decision, repeats
FROM landing.dead_letter
WHERE (replayed_at IS NULL AND closed_at IS NULL) OR %(all)s
ORDER BY id DESC
LIMIT %(limit)s

-- name: get_dead_letter
SELECT id, received_at, topic, device, boot, first_seq, last_seq, reason, detail, sqlstate, replayed_at, closed_at,
    decision, repeats, payload
FROM landing.dead_letter WHERE id = %(id)s

-- name: lock_dead_letter
SELECT replayed_at FROM landing.dead_letter WHERE id = %(id)s FOR UPDATE

-- name: mark_replayed
UPDATE landing.dead_letter SET replayed_at = clock_timestamp() WHERE id = %(id)s

-- name: close_dead_letter
UPDATE landing.dead_letter SET closed_at = clock_timestamp(), decision = %(decision)s
WHERE id = %(id)s AND replayed_at IS NULL AND closed_at IS NULL
