-- name: product_lock
-- Allotments of one product wait for one another; the exclusion constraint would otherwise refuse the later one.
SELECT pg_advisory_xact_lock(hashtextextended('batch ' || %(gtin)s, 0))

-- name: product_brand
SELECT brand FROM trace.product WHERE gtin = %(gtin)s

-- name: next_counter
SELECT coalesce(max(upper(counters)), 0) FROM trace.batch WHERE gtin = %(gtin)s

-- name: active_key
SELECT epoch, wrapped, state, profile FROM trace.master_key
WHERE brand = %(brand)s AND CASE WHEN %(epoch)s::int IS NULL THEN state = 'active' AND epoch > 0
    ELSE epoch = %(epoch)s::int END

-- name: key
SELECT wrapped, profile, state FROM trace.master_key WHERE brand = %(brand)s AND epoch = %(epoch)s

-- name: product_name
SELECT name_zh FROM trace.product WHERE gtin = %(gtin)s

-- name: insert_batch
INSERT INTO trace.batch (brand, gtin, epoch, counters, lot, produced_on, expires_on)
VALUES (%(brand)s, %(gtin)s, %(epoch)s, int8range(%(first)s, %(first)s + %(count)s), %(lot)s,
    coalesce(%(produced)s, current_date), %(expires)s)
RETURNING id

-- name: taken_by
SELECT id, lower(counters) AS first, upper(counters) - 1 AS last FROM trace.batch
WHERE gtin = %(gtin)s AND counters && int8range(%(first)s, %(first)s + %(count)s) ORDER BY lower(counters) LIMIT 1

-- name: batch
SELECT id, brand, gtin, epoch, lower(counters) AS first, upper(counters) - lower(counters) AS count, lot, produced_on,
    expires_on, commissioned_at, excluded
FROM trace.batch WHERE id = %(batch)s AND brand = %(brand)s

-- name: list_batches
SELECT id AS batch, gtin, epoch, lower(counters) AS start, upper(counters) - lower(counters) AS count, excluded, lot,
    produced_on, expires_on, issued_at, commissioned_at
FROM trace.batch
WHERE brand = %(brand)s AND (%(gtin)s::text IS NULL OR gtin = %(gtin)s) AND (%(lot)s::text IS NULL OR lot = %(lot)s)
ORDER BY id

-- name: batches
SELECT id, gtin, epoch, lower(counters) AS first, upper(counters) AS stop, excluded
FROM trace.batch WHERE brand = %(brand)s AND commissioned_at IS NOT NULL ORDER BY gtin, lower(counters)

-- name: lock_batch
SELECT commissioned_at FROM trace.batch WHERE id = %(batch)s AND brand = %(brand)s FOR UPDATE

-- name: commission
UPDATE trace.batch SET commissioned_at = now() WHERE id = %(batch)s

-- name: exclude
-- What is new of the given ranges is recorded with its reason and added to the sum; returns how many labels that is.
WITH fresh AS (
    SELECT id, brand, %(counters)s::int8multirange - excluded AS counters FROM trace.batch WHERE id = %(batch)s
), recorded AS (
    INSERT INTO trace.batch_exclusion (brand, batch, counters, reason)
    SELECT brand, id, counters, %(reason)s FROM fresh WHERE NOT isempty(counters)
), summed AS (
    UPDATE trace.batch SET excluded = batch.excluded + fresh.counters FROM fresh WHERE batch.id = fresh.id
)
SELECT coalesce(sum(upper(piece) - lower(piece)), 0)::bigint FROM fresh, unnest(fresh.counters) AS piece

-- name: seen
SELECT DISTINCT unit FROM trace.custody_event WHERE unit = ANY(%(units)s)

-- name: seen_before
-- Whoever stole a key can mint until it is killed and after: only what custody knew by then stays honest stock.
SELECT DISTINCT event.unit FROM trace.custody_event AS event
JOIN unnest(%(units)s::text[], %(moments)s::timestamptz[]) AS wanted (unit, killed_at)
    ON event.unit = wanted.unit AND event.recorded_at <= wanted.killed_at

-- name: products
SELECT gtin, brand FROM trace.product WHERE gtin = ANY(%(gtins)s)

-- name: keys
-- Labels of epoch 0 are for training: they are never goods.
SELECT brand, epoch, wrapped, state, profile, killed_at FROM trace.master_key WHERE brand = ANY(%(brands)s) AND epoch > 0

-- name: issued
-- One look-up by index for each: of a product's batches the last that begins at or below the counter.
SELECT wanted.unit, batch.commissioned_at IS NOT NULL AS commissioned, batch.id, batch.lot, batch.expires_on
FROM unnest(%(units)s::text[], %(gtins)s::text[], %(epochs)s::int[], %(counters)s::bigint[])
    AS wanted (unit, gtin, epoch, counter)
CROSS JOIN LATERAL (
    SELECT id, epoch, counters, excluded, commissioned_at, lot, expires_on FROM trace.batch
    WHERE batch.gtin = wanted.gtin AND lower(batch.counters) <= wanted.counter
    ORDER BY lower(batch.counters) DESC LIMIT 1) AS batch
WHERE batch.epoch = wanted.epoch AND batch.counters @> wanted.counter AND NOT batch.excluded @> wanted.counter

-- name: lock_keys
SELECT pg_advisory_xact_lock(hashtextextended('code keys ' || %(brand)s, 0))

-- name: retire_keys
UPDATE trace.master_key SET state = 'verify' WHERE brand = %(brand)s AND epoch > 0 AND state = 'active'

-- name: insert_key
INSERT INTO trace.master_key (brand, epoch, wrapped, profile)
SELECT %(brand)s, coalesce(max(epoch), 0) + 1, %(wrapped)s, %(profile)s FROM trace.master_key
WHERE brand = %(brand)s AND epoch > 0
RETURNING epoch

-- name: list_keys
SELECT brand, epoch, profile, state, created_at, killed_at, killed_because,
    (SELECT coalesce(sum(upper(counters) - lower(counters)), 0)::bigint FROM trace.batch
        WHERE batch.brand = master_key.brand AND batch.epoch = master_key.epoch) AS issued
FROM trace.master_key WHERE brand = %(brand)s ORDER BY epoch

-- name: kill_key
UPDATE trace.master_key SET state = 'killed', killed_because = %(reason)s
WHERE brand = %(brand)s AND epoch = %(epoch)s AND state <> 'killed'
RETURNING epoch

-- name: lock_ssccs
SELECT pg_advisory_xact_lock(hashtextextended('sscc', 0))

-- name: next_sscc_body
SELECT coalesce(max(upper(bodies)), %(first)s) FROM trace.sscc_range
WHERE bodies && int8range(%(first)s, %(stop)s)

-- name: insert_sscc_range
INSERT INTO trace.sscc_range (brand, bodies) VALUES (%(brand)s, int8range(%(first)s, %(first)s + %(count)s))
