-- name: put_base
INSERT INTO trace.inspection_base (brand, name, lon, lat, hours, speed_kmh)
VALUES (%(brand)s, %(name)s, %(lon)s, %(lat)s, %(hours)s, %(speed_kmh)s)

-- name: bases
SELECT name, lon, lat, hours, speed_kmh FROM (
    SELECT DISTINCT ON (name) name, lon, lat, hours, speed_kmh FROM trace.inspection_base
    WHERE brand = %(brand)s ORDER BY name, id DESC
) AS newest
WHERE hours > 0 ORDER BY name

-- name: put_state
INSERT INTO trace.inspection_state (brand, at, suspicions, places, versions)
VALUES (%(brand)s, %(at)s, %(suspicions)s, %(places)s, %(versions)s)
ON CONFLICT (brand) DO UPDATE SET at = excluded.at, suspicions = excluded.suspicions, places = excluded.places,
    versions = excluded.versions

-- name: state
SELECT at, suspicions, places, versions FROM trace.inspection_state WHERE brand = %(brand)s

-- name: brands_with_bases
-- Brands whose inspectors start somewhere and that have no plan of that night, and whether it would be their first.
-- A first one waits until the engine suspects something, or for a day: before, places could only be drawn by lot.
SELECT brand, bool_and(first) AS first FROM (
    SELECT DISTINCT ON (brand, name) brand, hours, recorded_at > %(young)s AS young,
        NOT EXISTS (SELECT FROM trace.inspection_plan AS plan WHERE plan.brand = base.brand) AS first
    FROM trace.inspection_base AS base ORDER BY brand, name, id DESC
) AS newest
WHERE hours > 0 AND NOT EXISTS (SELECT FROM trace.inspection_plan AS plan
    WHERE plan.brand = newest.brand AND plan.night = %(night)s)
AND (NOT first OR NOT young OR EXISTS (SELECT FROM trace.inspection_state AS state
    WHERE state.brand = newest.brand AND state.suspicions <> '[]'))
GROUP BY brand ORDER BY brand

-- name: begin_plan
INSERT INTO trace.inspection_plan (brand, night, seed, model, state_at)
VALUES (%(brand)s, %(night)s, %(seed)s, %(model)s, %(state_at)s)
ON CONFLICT (brand, night) DO NOTHING RETURNING id

-- name: insert_visits
INSERT INTO trace.inspection_visit (plan, brand, base, rank, stop, city, lon, lat, share, gain, explore, hours, reasons)
SELECT %(plan)s, %(brand)s, base, rank, stop, city, lon, lat, share, gain, explore, hours, reasons
FROM jsonb_to_recordset(%(rows)s) AS row (base text, rank integer, stop integer, city text, lon double precision,
    lat double precision, share text, gain double precision, explore double precision, hours double precision,
    reasons jsonb)

-- name: newest_plan
SELECT id, brand, night, seed, model, state_at, made_at FROM trace.inspection_plan
WHERE brand = %(brand)s ORDER BY night DESC LIMIT 1

-- name: visits
SELECT visit.id, visit.base, visit.rank, visit.stop, visit.city, visit.lon, visit.lat, visit.share, visit.gain,
    visit.explore, visit.hours, visit.reasons, visit.field_check, field_check.state AS check_state
FROM trace.inspection_visit AS visit LEFT JOIN trace.field_check ON field_check.id = visit.field_check
WHERE visit.plan = %(plan)s ORDER BY visit.base, visit.rank

-- name: lock_visit
SELECT visit.id, visit.base, visit.city, visit.share, visit.reasons, visit.field_check, plan.night
FROM trace.inspection_visit AS visit JOIN trace.inspection_plan AS plan ON plan.id = visit.plan
WHERE visit.id = %(visit)s AND visit.brand = %(brand)s FOR UPDATE OF visit

-- name: set_check
UPDATE trace.inspection_visit SET field_check = %(check)s WHERE id = %(visit)s

-- name: dealer_names
SELECT id, name_zh, name_en FROM trace.dealer WHERE brand = %(brand)s AND id = ANY(%(ids)s)

-- name: shops
-- The brand's own shops in some cities; a code of a city stands for all that begin like it.
SELECT id, name_zh, name_en, left(adcode, 4) || '00' AS city FROM trace.site
WHERE kind = 'store' AND ended IS NULL AND left(adcode, 4) || '00' = ANY(%(cities)s)
    AND dealer IN (SELECT id FROM trace.dealer WHERE brand = %(brand)s)
ORDER BY id

-- name: looks
-- Visits that are done: where, when, by which share, and whose goods were found where they may not be.
SELECT visit.city, visit.share, max(result.at) AS at, bool_or(result.result = 'code_removed') AS removed,
    array_remove(array_agg(DISTINCT verdict.dealer) FILTER (WHERE verdict.place = 'outside'), NULL) AS dealers,
    coalesce(bool_or(verdict.code_state IN ('unknown', 'not_commissioned')), false) AS not_genuine
FROM trace.inspection_visit AS visit
JOIN trace.field_check ON field_check.id = visit.field_check AND field_check.state = 'done'
JOIN trace.field_check_result AS result ON result.field_check = field_check.id
LEFT JOIN trace.verdict ON (verdict.device, verdict.boot, verdict.seq) = (result.device, result.boot, result.seq)
WHERE visit.brand = %(brand)s AND result.at > %(since)s
GROUP BY visit.id, visit.city, visit.share
ORDER BY at DESC
