-- name: lock
-- The lock of the channel's imports, which write territories too.
SELECT pg_advisory_xact_lock(hashtextextended('channel', 0))

-- name: clock
-- After the lock: versions that were recorded later must say so.
SELECT clock_timestamp() AS now

-- name: insert_draft
INSERT INTO trace.territory_draft (brand, name, proposals, created_by)
VALUES (%(brand)s, %(name)s, %(proposals)s, %(by)s) RETURNING id

-- name: draft
SELECT id, name, proposals, created_at, created_by, state, decided_at, decided_by, accepted, report, map_version
FROM trace.territory_draft WHERE brand = %(brand)s AND id = %(id)s

-- name: draft_to_decide
SELECT id, name, proposals, state FROM trace.territory_draft WHERE brand = %(brand)s AND id = %(id)s FOR UPDATE

-- name: drafts
SELECT id, name, json_array_length(proposals) AS proposals, created_at, created_by, state, decided_at, decided_by
FROM trace.territory_draft WHERE brand = %(brand)s AND id < %(before)s ORDER BY id DESC LIMIT %(limit)s

-- name: decide_draft
UPDATE trace.territory_draft SET state = %(state)s, decided_at = %(now)s, decided_by = %(by)s,
    accepted = %(accepted)s, report = %(report)s, map_version = %(map_version)s
WHERE brand = %(brand)s AND id = %(id)s

-- name: insert_version
INSERT INTO trace.territory (brand, dealer, channel, product_line, adcodes, polygon, exclusive, valid_from, valid_to,
    recorded_at, sha256, draft)
VALUES (%(brand)s, %(dealer)s, %(channel)s, %(product_line)s, %(adcodes)s, %(polygon)s, %(exclusive)s, %(valid_from)s,
    %(valid_to)s, %(recorded_at)s, %(sha256)s, %(draft)s)
RETURNING id

-- name: versions
-- Newest first, of one dealer or of all.
SELECT territory.id, dealer, channel, product_line, adcodes, polygon, exclusive, valid_from, valid_to, recorded_at,
    sha256, by_contracts, draft, territory_draft.decided_by AS published_by
FROM trace.territory LEFT JOIN trace.territory_draft ON territory_draft.id = draft
WHERE territory.brand = %(brand)s AND (%(dealer)s::text IS NULL OR dealer = %(dealer)s)
    AND territory.recorded_at <= %(known_at)s AND territory.id < %(before)s
ORDER BY territory.id DESC LIMIT %(limit)s

-- name: reevaluate
INSERT INTO trace.reevaluation (unit, since)
SELECT unit, min(occurred_at) FROM trace.verdict
WHERE brand = %(brand)s AND dealer = ANY(%(dealers)s) AND occurred_at >= %(since)s AND place <> 'not_checked'
GROUP BY unit
ON CONFLICT (unit) DO UPDATE SET since = least(reevaluation.since, excluded.since)

-- name: scans
-- What was judged by its place, as it was judged; the raw scan tells whose radius it was, as long as it is kept.
SELECT verdict.device, verdict.boot::text AS boot, verdict.seq, verdict.occurred_at, verdict.decided_at, verdict.gtin,
    verdict.unit, verdict.dealer, verdict.city, verdict.place, verdict.p_inside, verdict.territory, verdict.lon,
    verdict.lat, verdict.accuracy_m, verdict.map_version, scan.platform,
    verdict.reasons @> '[{"code": "registered_site"}]' AS registered, verdict.code
FROM trace.verdict
LEFT JOIN landing.scan ON scan.device = verdict.device AND scan.boot = verdict.boot AND scan.seq = verdict.seq
    AND scan.ts = verdict.occurred_at
WHERE verdict.brand = %(brand)s AND verdict.dealer = ANY(%(dealers)s) AND verdict.place <> 'not_checked'
    AND verdict.occurred_at >= %(since)s AND verdict.occurred_at < %(until)s

-- name: scans_superseded
SELECT verdict.device, verdict.boot::text AS boot, verdict.seq, verdict.occurred_at, verdict.decided_at, verdict.gtin,
    verdict.unit, verdict.dealer, verdict.city, verdict.place, verdict.p_inside, verdict.territory, verdict.lon,
    verdict.lat, verdict.accuracy_m, verdict.map_version, scan.platform,
    verdict.reasons @> '[{"code": "registered_site"}]' AS registered, verdict.code
FROM trace.verdict_superseded AS verdict
LEFT JOIN landing.scan ON scan.device = verdict.device AND scan.boot = verdict.boot AND scan.seq = verdict.seq
    AND scan.ts = verdict.occurred_at
WHERE verdict.brand = %(brand)s AND verdict.dealer = ANY(%(dealers)s) AND verdict.place <> 'not_checked'
    AND verdict.occurred_at >= %(since)s AND verdict.occurred_at < %(until)s
