-- Every statement about trips.

-- name: put_site
INSERT INTO trace.geofence_site (brand, name, shape, recorded_by)
SELECT %(brand)s, %(name)s, %(shape)s::jsonb, %(by)s
WHERE (SELECT shape FROM trace.geofence_site WHERE brand = %(brand)s AND name = %(name)s ORDER BY id DESC LIMIT 1)
    IS DISTINCT FROM %(shape)s::jsonb

-- name: sites
SELECT name, shape, recorded_at FROM (
    SELECT DISTINCT ON (name) name, shape, recorded_at FROM trace.geofence_site
    WHERE brand = %(brand)s AND (%(names)s::text[] IS NULL OR name = ANY (%(names)s))
    ORDER BY name, id DESC
) AS newest
WHERE shape IS NOT NULL AND name > %(after)s
ORDER BY name
LIMIT %(limit)s

-- name: put_route
INSERT INTO trace.trip_route (brand, name, legs, recorded_by)
SELECT %(brand)s, %(name)s, %(legs)s::jsonb, %(by)s
WHERE (SELECT legs FROM trace.trip_route WHERE brand = %(brand)s AND name = %(name)s ORDER BY id DESC LIMIT 1)
    IS DISTINCT FROM %(legs)s::jsonb

-- name: route
SELECT legs FROM trace.trip_route WHERE brand = %(brand)s AND name = %(name)s ORDER BY id DESC LIMIT 1

-- name: lock_trip
SELECT pg_advisory_xact_lock(hashtextextended(%(brand)s || '/' || %(trip)s, 0))

-- name: newest_plan
SELECT version, device, begins, ends, plan FROM trace.trip_plan
WHERE brand = %(brand)s AND trip = %(trip)s ORDER BY version DESC LIMIT 1

-- name: insert_plan
INSERT INTO trace.trip_plan (brand, trip, version, device, begins, ends, plan, recorded_by)
VALUES (%(brand)s, %(trip)s, %(version)s, %(device)s, %(begins)s, %(ends)s, %(plan)s::jsonb, %(by)s)

-- name: begin_work
-- A changed plan is judged from the beginning; what was told stays told, and is compared with.
INSERT INTO trace.trip_work (brand, trip, version, device, begins, ends, due_at)
VALUES (%(brand)s, %(trip)s, %(version)s, %(device)s, %(begins)s, %(ends)s, clock_timestamp())
ON CONFLICT (brand, trip) DO UPDATE
SET version = excluded.version, device = excluded.device, begins = excluded.begins, ends = excluded.ends,
    due_at = excluded.due_at, finished_at = NULL

-- name: insert_fixes
INSERT INTO trace.trip_fix (brand, device, at, lon, lat, accuracy_m, speed_mps, crs, raw_lon, raw_lat)
SELECT %(brand)s, device, at, lon, lat, accuracy_m, speed_mps, crs, raw_lon, raw_lat
FROM jsonb_to_recordset(%(rows)s::jsonb) AS row (device text, at timestamptz, lon float8, lat float8,
    accuracy_m float4, speed_mps float4, crs text, raw_lon float8, raw_lat float8)
ON CONFLICT DO NOTHING
RETURNING device, at, 'fix' AS kind

-- name: insert_handlings
INSERT INTO trace.trip_handling (brand, device, at, kind, amount)
SELECT %(brand)s, device, at, kind, amount
FROM jsonb_to_recordset(%(rows)s::jsonb) AS row (device text, at timestamptz, kind text, amount float4)
ON CONFLICT DO NOTHING
RETURNING device, at, kind

-- name: queue_news
WITH fresh AS (
    SELECT * FROM unnest(%(devices)s::text[], %(ats)s::timestamptz[], %(kinds)s::text[]) AS row (device, at, kind)
), concerned AS (
    SELECT trip_work.trip, fresh.at, fresh.kind FROM fresh JOIN trace.trip_work
        ON trip_work.brand = %(brand)s AND trip_work.device = fresh.device
        AND fresh.at BETWEEN trip_work.begins AND trip_work.ends
), queued AS (
    INSERT INTO trace.trip_news (brand, trip, at, kind) SELECT %(brand)s, trip, at, kind FROM concerned
), locked AS (
    -- In a fixed order: two requests about the same trucks wait for one another instead of deadlocking.
    SELECT trip FROM trace.trip_work WHERE brand = %(brand)s AND trip IN (SELECT trip FROM concerned)
    ORDER BY trip FOR UPDATE
)
UPDATE trace.trip_work SET due_at = least(due_at, clock_timestamp())
WHERE brand = %(brand)s AND trip IN (SELECT trip FROM locked)

-- name: claim_trip
SELECT brand, trip, version, device, begins, ends, state, finished_at, clock_timestamp() AS now
FROM trace.trip_work WHERE due_at <= clock_timestamp()
ORDER BY due_at FOR UPDATE SKIP LOCKED LIMIT 1

-- name: plan
SELECT plan FROM trace.trip_plan WHERE brand = %(brand)s AND trip = %(trip)s AND version = %(version)s

-- name: take_news
DELETE FROM trace.trip_news WHERE brand = %(brand)s AND trip = %(trip)s RETURNING at, kind

-- name: fixes
SELECT at, device, lon, lat, accuracy_m, speed_mps FROM trace.trip_fix
WHERE brand = %(brand)s AND device = %(device)s AND at BETWEEN %(begins)s AND %(ends)s
    AND (%(ats)s::timestamptz[] IS NULL OR at = ANY (%(ats)s))
ORDER BY at

-- name: handlings
SELECT at, device, kind, amount FROM trace.trip_handling
WHERE brand = %(brand)s AND device = %(device)s AND at BETWEEN %(begins)s AND %(ends)s
    AND (%(ats)s::timestamptz[] IS NULL OR at = ANY (%(ats)s))
ORDER BY at

-- name: insert_episode
INSERT INTO trace.trip_episode (brand, trip, version, episode, action, kind, subject, severity, started_at, ended_at,
    notes, evidence)
VALUES (%(brand)s, %(trip)s, %(version)s, %(episode)s, %(action)s, %(kind)s, %(subject)s, %(severity)s, %(started_at)s,
    %(ended_at)s, %(notes)s::jsonb, %(evidence)s)

-- name: save_work
UPDATE trace.trip_work
SET state = %(state)s, due_at = %(due_at)s, stop = %(stop)s, progress_m = %(progress_m)s, last_at = %(last_at)s,
    finished_at = %(finished_at)s
WHERE brand = %(brand)s AND trip = %(trip)s

-- name: postpone
UPDATE trace.trip_work SET due_at = NULL WHERE brand = %(brand)s AND trip = %(trip)s

-- name: trips
SELECT trip, version, device, begins, ends, stop, progress_m, last_at, finished_at,
    (SELECT jsonb_array_length(plan -> 'stops') FROM trace.trip_plan
        WHERE (trip_plan.brand, trip_plan.trip, trip_plan.version)
            = (trip_work.brand, trip_work.trip, trip_work.version)) AS stops,
    (SELECT count(*) FROM trace.trip_violation AS found
        WHERE found.brand = trip_work.brand AND found.trip = trip_work.trip AND action <> 'retracted') AS violations
FROM trace.trip_work
WHERE brand = %(brand)s AND (%(trip)s::text IS NULL OR trip = %(trip)s)
    AND (%(before)s::text IS NULL OR (begins, trip) < (SELECT begins, trip FROM trace.trip_work AS last
        WHERE last.brand = %(brand)s AND last.trip = %(before)s))
    AND (NOT %(open)s OR finished_at IS NULL)
ORDER BY begins DESC, trip DESC
LIMIT %(limit)s

-- name: violations
SELECT id AS number, trip, episode AS id, kind, subject, severity, started_at, ended_at, known_at, notes, evidence,
    CASE WHEN action = 'retracted' THEN 'retracted' WHEN ended_at IS NULL THEN 'open' ELSE 'ended' END AS state
FROM trace.trip_violation
WHERE brand = %(brand)s AND (%(trip)s::text IS NULL OR trip = %(trip)s) AND id < %(before)s
ORDER BY id DESC
LIMIT %(limit)s

-- name: violations_known
-- What was known of a trip at an earlier time.
SELECT DISTINCT ON (episode) id AS number, trip, episode AS id, kind, subject, severity, started_at, ended_at, known_at,
    notes, evidence,
    CASE WHEN action = 'retracted' THEN 'retracted' WHEN ended_at IS NULL THEN 'open' ELSE 'ended' END AS state
FROM trace.trip_episode
WHERE brand = %(brand)s AND trip = %(trip)s AND known_at <= %(known_at)s
ORDER BY episode, id DESC

-- name: end_trip
-- Reports up to now belong to it; the worker ends it as soon as it has judged them.
UPDATE trace.trip_work SET ends = greatest(begins + interval '1 s', least(ends, clock_timestamp())),
    due_at = clock_timestamp()
WHERE brand = %(brand)s AND trip = %(trip)s RETURNING trip

-- name: tell_console
SELECT pg_notify('console', json_build_object('kind', 'trip', 'brand', %(brand)s::text)::text)

-- name: open_trip_of
-- A plan names any device: one that works for a dealer follows plans of the dealer's brand alone, and one of a site that
-- serves several brands follows none while brands disagree.
SELECT brand, trip, version, begins, ends FROM trace.trip_work AS own
WHERE device = %(device)s AND ends > clock_timestamp() AND finished_at IS NULL AND brand = (
    SELECT coalesce(max(dealer.brand), CASE WHEN count(DISTINCT open.brand) = 1 THEN max(open.brand) END)
    FROM trace.trip_work AS open
    LEFT JOIN landing.device ON device.id = open.device
    LEFT JOIN trace.site ON site.id = device.site
    LEFT JOIN trace.dealer ON dealer.id = site.dealer
    WHERE open.device = own.device AND open.ends > clock_timestamp() AND open.finished_at IS NULL)
ORDER BY begins LIMIT 1

-- name: site_of
SELECT site.id, site.lon, site.lat, dealer.brand FROM trace.site LEFT JOIN trace.dealer ON dealer.id = site.dealer
WHERE site.id = %(site)s

-- name: newest_fence
SELECT version, content, issued_at, expires_at, body FROM trace.fence
WHERE audience = %(audience)s ORDER BY version DESC LIMIT 1

-- name: lock_fence
SELECT pg_advisory_xact_lock(hashtextextended(%(audience)s, 1))

-- name: insert_fence
INSERT INTO trace.fence (audience, version, brand, source, content, issued_at, expires_at, body)
VALUES (%(audience)s, %(version)s, %(brand)s, %(source)s, %(content)s, %(issued_at)s, %(expires_at)s, %(body)s)
