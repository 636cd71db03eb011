-- The books of what was captured, read in one snapshot.

-- name: audit_patience
-- However long it takes: it only reads.
SELECT set_config('statement_timeout', '0', true)

-- name: audit_streams
SELECT received.device, device.site, received.boot, received.ranges,
    coalesce(expired.ranges, '{}') AS expired, coalesce(expired.tombstones, '{}') AS tombstones, device.outbox_depth
FROM landing.received
JOIN landing.device ON device.id = received.device
LEFT JOIN landing.expired ON expired.device = received.device AND expired.boot = received.boot
WHERE (received.device = %(device)s OR %(device)s IS NULL) AND (device.site = %(site)s OR %(site)s IS NULL)
ORDER BY received.device, received.boot

-- name: audit_period
-- The first and last number that each boot has in the period: by capture time, or by arrival of what has none.
SELECT device, boot, min(first), max(last)
FROM (
    SELECT device, boot, min(seq) AS first, max(seq) AS last FROM landing.scan
    WHERE ts >= %(since)s AND ts < %(until)s GROUP BY device, boot
    UNION ALL
    SELECT device, boot, min(seq), max(seq) FROM landing.stock
    WHERE ts >= %(since)s AND ts < %(until)s GROUP BY device, boot
    UNION ALL
    SELECT device, boot, min(seq), max(seq) FROM landing.environment
    WHERE ts >= %(since)s AND ts < %(until)s GROUP BY device, boot
    UNION ALL
    SELECT device, boot, min(seq), max(seq) FROM landing.status
    WHERE ts >= %(since)s AND ts < %(until)s GROUP BY device, boot
    UNION ALL
    SELECT device, boot, min(first_seq), max(last_seq) FROM landing.dead_letter
    WHERE received_at >= %(since)s AND received_at < %(until)s AND first_seq IS NOT NULL AND device IS NOT NULL
    GROUP BY device, boot
) AS heard
GROUP BY device, boot

-- name: audit_stored
WITH audited AS (
    SELECT * FROM unnest(%(devices)s::text[], %(boots)s::uuid[], %(firsts)s::int8[], %(lasts)s::int8[])
        AS stream (device, boot, first, last)
), stored AS (
    SELECT 'scan' AS kind, device, boot, seq FROM landing.scan
    UNION ALL SELECT 'stock', device, boot, seq FROM landing.stock
    UNION ALL SELECT 'environment', device, boot, seq FROM landing.environment
    UNION ALL SELECT 'status', device, boot, seq FROM landing.status
)
SELECT device, boot, count(*) FILTER (WHERE kind = 'scan'), count(*) FILTER (WHERE kind = 'stock'),
    count(*) FILTER (WHERE kind = 'environment'), count(*) FILTER (WHERE kind = 'status'),
    range_agg(int8range(seq, seq + 1))
FROM stored JOIN audited USING (device, boot)
WHERE seq BETWEEN first AND last
GROUP BY device, boot

-- name: audit_dropped
SELECT device, boot, range_agg(dropped) FROM landing.status
WHERE device = ANY (%(devices)s) AND NOT isempty(dropped)
GROUP BY device, boot

-- name: audit_letters
SELECT device, boot, range_agg(numbers) AS every,
    coalesce(range_agg(numbers) FILTER (WHERE reason = 'TIME_OUT_OF_RANGE'), '{}'),
    coalesce(range_agg(numbers) FILTER (WHERE replayed), '{}')
FROM (
    SELECT device, boot, int8multirange(int8range(first_seq, last_seq + 1)) AS numbers, reason,
        replayed_at IS NOT NULL AS replayed
    FROM landing.dead_letter WHERE device = ANY (%(devices)s) AND first_seq IS NOT NULL
    UNION ALL
    SELECT device, boot, ranges, reason, replayed FROM landing.letter_proof WHERE device = ANY (%(devices)s)
) AS letter
GROUP BY device, boot

-- name: audit_strays
-- Letters that stand in nobody's books: without identity, or from a device that is not registered. Of those that were
-- removed only the day is known.
SELECT sum(letters)::bigint, sum(repeats)::bigint FROM (
    SELECT count(*) AS letters, coalesce(sum(repeats), 0) AS repeats FROM landing.dead_letter
    WHERE replayed_at IS NULL AND received_at >= %(since)s AND received_at < %(until)s
      AND (first_seq IS NULL OR device IS NULL
           OR NOT EXISTS (SELECT FROM landing.received
                          WHERE received.device = dead_letter.device AND received.boot = dead_letter.boot))
    UNION ALL
    SELECT coalesce(sum(letters), 0), coalesce(sum(repeats), 0) FROM landing.stray_proof
    WHERE day >= (%(since)s::timestamptz AT TIME ZONE 'UTC')::date
      AND day < (%(until)s::timestamptz AT TIME ZONE 'UTC')::date
) AS strays
