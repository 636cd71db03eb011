-- name: insert_account
INSERT INTO trace.account (login, brand, name, role, password_hash, language)
VALUES (%(login)s, %(brand)s, %(name)s, %(role)s, %(password_hash)s, %(language)s)
ON CONFLICT (login) DO UPDATE SET name = excluded.name, role = excluded.role, password_hash = excluded.password_hash,
    language = excluded.language, disabled_at = NULL
WHERE account.brand = excluded.brand
RETURNING login

-- name: insert_token
INSERT INTO trace.partner_token (brand, name, token_hash, scopes, expires_at)
VALUES (%(brand)s, %(name)s, %(token_hash)s, %(scopes)s, %(expires_at)s)

-- name: tokens
SELECT brand, name, scopes, created_at, expires_at, last_used_at, revoked_at FROM trace.partner_token
WHERE brand = %(brand)s::text OR %(brand)s::text IS NULL ORDER BY brand, name, created_at

-- name: revoke_token
UPDATE trace.partner_token SET revoked_at = now()
WHERE brand = %(brand)s AND name = %(name)s AND revoked_at IS NULL RETURNING id

-- name: demo_lock
SELECT pg_advisory_xact_lock(hashtextextended('demo', 0))

-- name: insert_brand
INSERT INTO trace.brand (id, name_zh, name_en) VALUES (%(id)s, %(name_zh)s, %(name_en)s) ON CONFLICT DO NOTHING

-- name: insert_master
INSERT INTO trace.master_key (brand, epoch, wrapped) VALUES (%(brand)s, %(epoch)s, %(wrapped)s) ON CONFLICT DO NOTHING

-- name: insert_product
INSERT INTO trace.product (gtin, brand, name_zh, name_en, items_per_case, unit_price, unit_weight_g)
VALUES (%(gtin)s, %(brand)s, %(name_zh)s, %(name_en)s, %(items_per_case)s, %(unit_price)s, %(unit_weight_g)s)
ON CONFLICT DO NOTHING

-- name: insert_dealer
INSERT INTO trace.dealer (id, brand, parent, name_zh, name_en, kind, level, lft, rgt)
VALUES (%(id)s, %(brand)s, %(parent)s, %(name_zh)s, %(name_en)s, %(kind)s, %(level)s, %(lft)s, %(rgt)s)
ON CONFLICT DO NOTHING

-- name: insert_territory
INSERT INTO trace.territory (brand, dealer, channel, adcodes, exclusive, valid_from, recorded_at, sha256)
SELECT %(brand)s, %(dealer)s, %(channel)s, %(adcodes)s, %(exclusive)s, %(valid_from)s, %(recorded_at)s, %(sha256)s
WHERE NOT EXISTS (SELECT FROM trace.territory WHERE dealer = %(dealer)s)

-- name: insert_site
INSERT INTO trace.site (id, kind, dealer, name_zh, name_en, lon, lat, adcode)
VALUES (%(id)s, %(kind)s, %(dealer)s, %(name_zh)s, %(name_en)s, %(lon)s, %(lat)s, %(adcode)s)
ON CONFLICT DO NOTHING

-- name: insert_device
INSERT INTO landing.device (id, site, kind) VALUES (%(id)s, %(site)s, %(kind)s) ON CONFLICT DO NOTHING

-- name: insert_stock
INSERT INTO trace.stock (site, gtin, brand, dealer, daily_demand, reorder, maximum)
VALUES (%(site)s, %(gtin)s, %(brand)s, %(dealer)s, %(daily_demand)s, %(reorder)s, %(capacity)s)
ON CONFLICT DO NOTHING

-- name: runs
SELECT count(DISTINCT lot) FROM trace.batch WHERE brand = %(brand)s

-- name: sscc_serials
SELECT nextval('trace.sscc_serial') FROM generate_series(1, %(count)s)

-- name: claim
-- As many rows from the front as hold the wanted number of events, or so: what another worker holds is passed over.
-- Deleted within the transaction that does the work: a worker that dies leaves them queued.
WITH front AS (
    SELECT sum(1 + cardinality(following)) OVER (ORDER BY id) - cardinality(following) AS nth
    FROM (SELECT id, following FROM landing.work ORDER BY id LIMIT %(limit)s) AS oldest
), taken AS (
    DELETE FROM landing.work WHERE id = ANY(ARRAY(
        SELECT id FROM landing.work ORDER BY id
        LIMIT (SELECT count(*) FROM front WHERE nth <= %(limit)s) FOR UPDATE SKIP LOCKED))
    RETURNING id, kind, device, boot, seq, ts, following
)
SELECT id, kind, device, boot, seq + nth - 1 AS seq, each.ts
FROM taken CROSS JOIN LATERAL unnest(taken.ts || following) WITH ORDINALITY AS each (ts, nth)

-- name: claim_these
WITH taken AS (
    DELETE FROM landing.work WHERE id = ANY(ARRAY(
        SELECT id FROM landing.work WHERE id = ANY(%(ids)s) ORDER BY id FOR UPDATE SKIP LOCKED))
    RETURNING id, kind, device, boot, seq, ts, following
)
SELECT id, kind, device, boot, seq + nth - 1 AS seq, each.ts
FROM taken CROSS JOIN LATERAL unnest(taken.ts || following) WITH ORDINALITY AS each (ts, nth)

-- name: split_work
-- A row of several events becomes two of half as many each; nothing where it holds one, or another worker holds it.
WITH whole AS (
    DELETE FROM landing.work WHERE id = ANY(ARRAY(
        SELECT id FROM landing.work WHERE id = %(id)s AND cardinality(following) > 0 FOR UPDATE SKIP LOCKED))
    RETURNING *
), halved AS (
    SELECT *, ts || following AS times, (cardinality(following) + 1) / 2 AS middle FROM whole
)
INSERT INTO landing.work (kind, device, boot, seq, ts, following, enqueued_at)
SELECT kind, device, boot, seq, ts, times[2:middle], enqueued_at FROM halved
UNION ALL
SELECT kind, device, boot, seq + middle, times[middle + 1], times[middle + 2:], enqueued_at FROM halved
RETURNING id

-- name: scans
SELECT scan.device, scan.boot, scan.seq, scan.ts, scan.site, scan.code, scan.aim, scan.activity, scan.reference,
    scan.parent, scan.recipient, scan.lon, scan.lat, scan.accuracy_m, scan.platform, scan.crs, scan.received_at,
    scan.symbology, scan.operator
FROM unnest(%(devices)s::text[], %(boots)s::uuid[], %(seqs)s::bigint[], %(moments)s::timestamptz[])
    AS wanted (device, boot, seq, ts)
JOIN landing.scan USING (device, boot, seq, ts)

-- name: scans_of_units
SELECT scan.device, scan.boot, scan.seq, scan.ts, scan.site, scan.code, scan.aim, scan.activity, scan.reference,
    scan.parent, scan.recipient, scan.lon, scan.lat, scan.accuracy_m, scan.platform, scan.crs, scan.received_at,
    scan.symbology, scan.operator
FROM trace.verdict
JOIN landing.scan ON scan.device = verdict.device AND scan.boot = verdict.boot AND scan.seq = verdict.seq
    AND scan.ts = verdict.occurred_at
JOIN unnest(%(units)s::text[], %(sinces)s::timestamptz[]) AS changed (unit, since) ON verdict.unit = changed.unit
    AND verdict.occurred_at >= changed.since - interval '10 minutes'

-- name: lock
-- Transaction-level locks, taken in the order of the keys.
SELECT pg_advisory_xact_lock(key) FROM unnest(%(keys)s::bigint[]) WITH ORDINALITY AS wanted (key, place) ORDER BY place

-- name: lock_units
-- In one order for everybody: containers before items, each by its key. What is only looked at is shared.
SELECT CASE WHEN shared THEN pg_advisory_xact_lock_shared(key) ELSE pg_advisory_xact_lock(key) END
FROM (SELECT key, shared FROM unnest(%(keys)s::bigint[], %(shared)s::boolean[]) WITH ORDINALITY
    AS wanted (key, shared, place) ORDER BY place OFFSET 0) AS wanted

-- name: path_above
-- Whatever the given units were ever packed into, at any level.
WITH RECURSIVE up AS (
    SELECT unnest(%(units)s::text[]) AS unit
    UNION
    SELECT outer_unit.parent FROM up CROSS JOIN LATERAL (
        SELECT event.parent FROM trace.custody_event AS event
        WHERE event.unit = up.unit AND event.biz_step = 'packing' AND event.parent IS NOT NULL OFFSET 0) AS outer_unit
)
SELECT unit FROM up

-- name: now
SELECT now()

-- name: sites
SELECT id, kind, dealer, lon, lat FROM trace.site
WHERE id = ANY(%(names)s) OR upper(id) = ANY(%(recipients)s)

-- name: recipients
SELECT id, brand FROM trace.dealer WHERE upper(id) = ANY(%(recipients)s) OR id = ANY(%(names)s)

-- name: insert_events
INSERT INTO trace.custody_event (brand, unit, biz_step, site, dealer, shipment, parent, occurred_at, device, boot, seq,
    reason, lot, verified, recipient, corrects_device, corrects_boot, corrects_seq, approvers)
SELECT brand, unit, biz_step, site, dealer, shipment, parent, occurred_at, device, boot, seq, reason, lot, verified,
    upper(recipient), corrects_device, corrects_boot, corrects_seq, coalesce(approvers, '{}')
FROM jsonb_to_recordset(%(rows)s) AS fresh (brand text, unit text, biz_step text, site text, dealer text,
    shipment text, parent text, occurred_at timestamptz, device text, boot uuid, seq bigint, reason text, lot text,
    verified boolean, recipient text, corrects_device text, corrects_boot uuid, corrects_seq bigint, approvers text[])
ON CONFLICT (device, boot, seq) DO NOTHING
RETURNING device, boot, seq

-- name: insert_members
-- What was ever packed into a container, as the products and lots of the items; and, one by one, units that were ever
-- held, which name themselves. Each unit passes on what it knows to whatever it was itself packed into.
WITH RECURSIVE fresh AS (
    SELECT unit, member FROM unnest(%(units)s::text[], %(members)s::text[]) AS f (unit, member)
    UNION
    SELECT content.container, content.member FROM unnest(%(packed)s::text[]) AS p (unit)
    JOIN trace.custody_content AS content ON content.container = p.unit
    UNION
    SELECT event.unit, event.lot FROM unnest(%(packed)s::text[]) AS p (unit)
    JOIN trace.custody_event AS event ON event.unit = p.unit AND event.lot IS NOT NULL
), up AS (
    SELECT unit AS container, member, false AS passed_on FROM fresh
    UNION
    SELECT outer_unit.parent, up.member, true FROM up CROSS JOIN LATERAL (
        SELECT event.parent FROM trace.custody_event AS event
        WHERE event.unit = up.container AND event.biz_step = 'packing' AND event.parent IS NOT NULL OFFSET 0
    ) AS outer_unit
)
INSERT INTO trace.custody_content (container, member)
SELECT DISTINCT container, member FROM up WHERE passed_on OR container = member
ON CONFLICT DO NOTHING
RETURNING container, member

-- name: held_among
SELECT DISTINCT unit FROM trace.custody_event
WHERE unit = ANY(%(units)s) AND biz_step IN ('recalling', 'holding')

-- name: corrected
SELECT event.unit, event.occurred_at
FROM unnest(%(devices)s::text[], %(boots)s::uuid[], %(seqs)s::bigint[]) AS wanted (device, boot, seq)
JOIN trace.custody_event AS event USING (device, boot, seq)

-- name: dependents
-- Who must be asked again when a container's past changes: what was put into it or taken out since, and what relied on
-- it; a scan also looks ten minutes ahead.
SELECT unit, min(occurred_at) AS since FROM (
    SELECT event.unit, event.occurred_at
    FROM unnest(%(units)s::text[], %(sinces)s::timestamptz[]) AS changed (unit, since)
    JOIN trace.custody_event AS event ON event.parent = changed.unit AND event.occurred_at >= changed.since
    UNION ALL
    SELECT reliance.unit, greatest(reliance.occurred_at, changed.since)
    FROM unnest(%(units)s::text[], %(sinces)s::timestamptz[]) AS changed (unit, since)
    JOIN trace.custody_reliance AS reliance ON reliance.container = changed.unit
        AND reliance.occurred_at >= changed.since - interval '10 minutes'
) AS found
GROUP BY unit
LIMIT %(limit)s

-- name: queue_dependents
INSERT INTO trace.reevaluation (unit, since)
SELECT unit, min(occurred_at) FROM (
    SELECT event.unit, event.occurred_at
    FROM unnest(%(units)s::text[], %(sinces)s::timestamptz[]) AS changed (unit, since)
    JOIN trace.custody_event AS event ON event.parent = changed.unit AND event.occurred_at >= changed.since
    UNION ALL
    SELECT reliance.unit, greatest(reliance.occurred_at, changed.since)
    FROM unnest(%(units)s::text[], %(sinces)s::timestamptz[]) AS changed (unit, since)
    JOIN trace.custody_reliance AS reliance ON reliance.container = changed.unit
        AND reliance.occurred_at >= changed.since - interval '10 minutes'
) AS found
GROUP BY unit
ON CONFLICT (unit) DO UPDATE SET since = least(reevaluation.since, excluded.since)

-- name: queue_judged
-- Only units that were scanned have verdicts to be decided again.
INSERT INTO trace.reevaluation (unit, since)
SELECT unit, since FROM unnest(%(units)s::text[], %(sinces)s::timestamptz[]) AS changed (unit, since)
WHERE EXISTS (SELECT FROM trace.verdict WHERE verdict.unit = changed.unit
    AND verdict.occurred_at >= changed.since - interval '10 minutes')
ON CONFLICT (unit) DO UPDATE SET since = least(reevaluation.since, excluded.since)

-- name: queue_held_classes
-- A product or lot was held or released at a time that has passed: what left or was sold since is judged again.
INSERT INTO trace.reevaluation (unit, since)
SELECT event.unit, min(event.occurred_at)
FROM unnest(%(units)s::text[], %(sinces)s::timestamptz[]) AS changed (unit, since)
JOIN trace.custody_event AS event ON event.occurred_at >= changed.since AND event.brand = %(brand)s
    AND event.biz_step IN ('shipping', 'retail_selling', 'transfer_requesting', 'transfer_approving')
GROUP BY event.unit
ON CONFLICT (unit) DO UPDATE SET since = least(reevaluation.since, excluded.since)

-- name: brands_of_sources
SELECT DISTINCT brand FROM unnest(%(devices)s::text[], %(boots)s::uuid[], %(seqs)s::bigint[])
    AS wanted (device, boot, seq)
JOIN trace.custody_event USING (device, boot, seq)
WHERE brand IS NOT NULL

-- name: product_brands
SELECT gtin, brand FROM trace.product WHERE gtin = ANY(%(gtins)s)

-- name: dealer_names
SELECT id, name_zh, name_en FROM trace.dealer WHERE id = ANY(%(dealers)s) AND brand = %(brand)s

-- name: sightings
SELECT brand, unit, biz_step, site, dealer, shipment, parent, occurred_at, device, boot, seq, reason, lot,
    verified, corrects_device, corrects_boot, corrects_seq, approvers, recorded_at
FROM trace.custody_event
WHERE unit = %(unit)s AND biz_step IN ('consumer_scanning', 'inspecting') AND recorded_at <= %(known_at)s
ORDER BY occurred_at DESC LIMIT 200

-- name: sightings_since
SELECT event.brand, event.unit, biz_step, site, dealer, shipment, parent, occurred_at, device, boot, seq, reason, lot,
    verified, corrects_device, corrects_boot, corrects_seq, approvers, recorded_at
FROM unnest(%(units)s::text[], %(sinces)s::timestamptz[]) AS changed (unit, since)
JOIN trace.custody_event AS event ON event.unit = changed.unit
    AND event.occurred_at >= changed.since - interval '10 minutes'
WHERE biz_step IN ('consumer_scanning', 'inspecting') AND event.brand IS NOT NULL

-- name: lock_backfill
SELECT pg_advisory_xact_lock(hashtextextended('backfill ' || %(brand)s, 0))

-- name: backfilled
SELECT at, device, boot, seq FROM trace.backfill WHERE brand = %(brand)s

-- name: backfilled_to
INSERT INTO trace.backfill (brand, at, device, boot, seq)
VALUES (%(brand)s, %(at)s, %(device)s, %(boot)s, %(seq)s)
ON CONFLICT (brand) DO UPDATE SET (at, device, boot, seq) = (excluded.at, excluded.device, excluded.boot, excluded.seq)

-- name: past
-- Scans that were judged, and events that no station scanned, in the order in which they came.
SELECT at, device, boot, seq, at_ts, unit, captured FROM (
    SELECT scan.received_at AS at, device, boot, seq, scan.ts AS at_ts, verdict.unit, false AS captured
    FROM trace.verdict JOIN landing.scan USING (device, boot, seq)
    WHERE verdict.brand = %(brand)s AND scan.ts = verdict.occurred_at
    UNION ALL
    SELECT recorded_at, device, boot, seq, occurred_at, unit, true
    FROM trace.custody_event AS event
    WHERE brand = %(brand)s AND NOT EXISTS (SELECT FROM trace.verdict WHERE verdict.device = event.device
        AND verdict.boot = event.boot AND verdict.seq = event.seq)
) AS past
WHERE (at, device, boot, seq) > (%(at)s::timestamptz, %(device)s, %(boot)s::uuid, %(seq)s)
ORDER BY at, device, boot, seq

-- name: custody_details
-- What a state's names stand for, as they were known; a dealer's levels with the root first.
SELECT
    (SELECT jsonb_build_object('id', site.id, 'kind', site.kind, 'name_zh', site.name_zh, 'name_en', site.name_en,
        'dealer', site.dealer, 'lon', site.lon, 'lat', site.lat) FROM trace.site WHERE site.id = %(site)s) AS site,
    (SELECT site.dealer FROM trace.site WHERE site.id = %(site)s) AS holder,
    CASE WHEN %(dealer)s::text IS NULL THEN NULL
        ELSE trace.dealer_path(%(dealer)s, %(valid_at)s, least(%(known_at)s, now())) END AS levels,
    (SELECT jsonb_build_object('id', territory.id, 'valid_from', territory.valid_from, 'valid_to', territory.valid_to,
        'recorded_at', territory.recorded_at, 'adcodes', territory.adcodes, 'sha256', encode(territory.sha256, 'hex'))
     FROM trace.territory
     WHERE territory.dealer = %(dealer)s AND territory.channel = 'retail' AND territory.product_line IS NULL
        AND territory.recorded_at <= %(known_at)s
        AND territory.valid_from <= %(valid_at)s AND (territory.valid_to IS NULL OR territory.valid_to > %(valid_at)s)
     ORDER BY territory.recorded_at DESC, territory.id DESC LIMIT 1) AS territory

-- name: claim_reevaluations
DELETE FROM trace.reevaluation WHERE id = ANY(ARRAY(
    SELECT id FROM trace.reevaluation ORDER BY id LIMIT %(limit)s FOR UPDATE SKIP LOCKED))
RETURNING unit, since

-- name: containers_of_held
-- Containers whose held contents come to lie elsewhere when the given units change: those that share one with them.
SELECT DISTINCT around.container, inside.container AS changed
FROM trace.custody_content AS inside
JOIN trace.custody_content AS around ON around.member = inside.member
WHERE inside.container = ANY(%(units)s)
    AND (inside.member LIKE '/00/%%' OR inside.member LIKE '/01/%%/21/%%')

-- name: held_contents
-- Products, lots and units inside containers that were ever held.
SELECT content.container, content.member FROM trace.custody_content AS content
WHERE content.container = ANY(%(units)s) AND (content.member LIKE '/00/%%' OR content.member LIKE '/01/%%/21/%%'
    OR EXISTS (SELECT FROM trace.custody_event AS event
               WHERE event.unit = content.member AND event.biz_step IN ('recalling', 'holding')))

-- name: brands_of
-- What lies in a container says whose it is, before whom it was shipped to.
SELECT wanted.unit, coalesce(
    (SELECT brand FROM trace.custody_event WHERE parent = wanted.unit AND brand IS NOT NULL
     ORDER BY occurred_at LIMIT 1),
    (SELECT brand FROM trace.custody_event WHERE unit = wanted.unit AND brand IS NOT NULL
     ORDER BY occurred_at LIMIT 1)) AS brand
FROM unnest(%(units)s::text[]) AS wanted (unit)

-- name: filled
SELECT DISTINCT parent FROM trace.containment
WHERE parent = ANY(%(units)s) AND valid_to IS DISTINCT FROM valid_from

-- name: open_quarantine
SELECT device, boot, seq FROM trace.quarantine WHERE code = ANY(%(units)s) AND resolved_at IS NULL

-- name: insert_reliance
INSERT INTO trace.custody_reliance (container, occurred_at, unit)
SELECT container, occurred_at, unit FROM jsonb_to_recordset(%(rows)s)
    AS fresh (container text, occurred_at timestamptz, unit text)
ON CONFLICT DO NOTHING

-- name: events
-- Everything that moved the given units, or whatever they were ever packed into, or held their products.
-- OFFSET 0 keeps each step a look-up by index: the planner thinks of a recursion as large, and would read all events.
WITH RECURSIVE up AS (
    SELECT unnest(%(units)s::text[]) AS unit
    UNION
    SELECT outer_unit.parent FROM up CROSS JOIN LATERAL (
        SELECT event.parent FROM trace.custody_event AS event
        WHERE event.unit = up.unit AND event.biz_step = 'packing' AND event.parent IS NOT NULL
            AND event.recorded_at <= %(known_at)s OFFSET 0
    ) AS outer_unit
), wanted AS (
    SELECT unit FROM up UNION SELECT left(unit, 18) FROM up WHERE unit LIKE '/01/%%/21/%%'
)
SELECT event.*, site.kind AS site_kind, site.dealer AS site_dealer, site.lon, site.lat
FROM wanted CROSS JOIN LATERAL (
    SELECT brand, unit, biz_step, site, shipment, parent, occurred_at, device, boot, seq, reason, lot, verified,
        corrects_device, corrects_boot, corrects_seq, approvers, recorded_at,
        -- A recipient that was registered since is who was meant.
        CASE WHEN event.dealer IS NOT NULL OR event.recipient IS NULL THEN event.dealer ELSE coalesce(
            (SELECT dealer.id FROM trace.dealer WHERE upper(dealer.id) = event.recipient
                AND dealer.brand = coalesce(event.brand, dealer.brand)),
            (SELECT dealer.id FROM trace.site JOIN trace.dealer ON dealer.id = site.dealer
             WHERE upper(site.id) = event.recipient AND dealer.brand = coalesce(event.brand, dealer.brand) LIMIT 1))
        END AS dealer
    FROM trace.custody_event AS event
    WHERE event.unit = wanted.unit AND event.biz_step NOT IN ('consumer_scanning', 'inspecting')
        AND event.recorded_at <= %(known_at)s OFFSET 0
) AS event
LEFT JOIN trace.site ON site.id = event.site

-- name: insert_shipments
-- A shipment is what stations say of it, also where custody refuses a unit: the earliest statement heads it.
INSERT INTO trace.shipment (id, brand, from_site, to_dealer, started_at)
SELECT DISTINCT ON (brand, shipment) shipment, brand, site, dealer, occurred_at
FROM jsonb_to_recordset(%(rows)s) AS fresh (brand text, shipment text, site text, dealer text,
    occurred_at timestamptz, device text, boot uuid, seq bigint)
WHERE shipment IS NOT NULL AND dealer IS NOT NULL AND brand IS NOT NULL
    AND EXISTS (SELECT FROM trace.site WHERE site.id = fresh.site)
ORDER BY brand, shipment, occurred_at, device, boot, seq
ON CONFLICT (brand, id) DO UPDATE SET from_site = excluded.from_site, to_dealer = excluded.to_dealer,
    started_at = excluded.started_at
WHERE excluded.started_at < shipment.started_at

-- name: retract_containments
-- What a replay no longer says never held; what it says has ended ends first, so that the next row may begin.
WITH fresh AS (
    SELECT child, parent, valid_from, valid_to
    FROM jsonb_to_recordset(%(rows)s) AS r (child text, parent text, valid_from timestamptz, valid_to timestamptz)
)
UPDATE trace.containment AS old SET valid_to = wanted.valid_to
FROM (
    SELECT known.id, CASE WHEN fresh.child IS NULL THEN known.valid_from ELSE fresh.valid_to END AS valid_to
    FROM trace.containment AS known LEFT JOIN fresh USING (child, parent, valid_from)
    WHERE known.child = ANY(%(units)s)
) AS wanted
WHERE old.id = wanted.id AND wanted.valid_to IS NOT NULL AND old.valid_to IS DISTINCT FROM wanted.valid_to

-- name: insert_containments
INSERT INTO trace.containment (brand, child, parent, valid_from, valid_to)
SELECT brand, child, parent, valid_from, valid_to
FROM jsonb_to_recordset(%(rows)s)
    AS fresh (brand text, child text, parent text, valid_from timestamptz, valid_to timestamptz)
ON CONFLICT (child, parent, valid_from) DO UPDATE SET valid_to = excluded.valid_to
WHERE containment.valid_to IS DISTINCT FROM excluded.valid_to

-- name: retract_bindings
WITH fresh AS (
    SELECT device, boot, seq, valid_to
    FROM jsonb_to_recordset(%(rows)s) AS r (device text, boot uuid, seq bigint, valid_to timestamptz)
)
UPDATE trace.binding AS old SET valid_to = wanted.valid_to
FROM (
    SELECT known.id, CASE WHEN fresh.device IS NULL THEN known.valid_from ELSE fresh.valid_to END AS valid_to
    FROM trace.binding AS known LEFT JOIN fresh USING (device, boot, seq)
    WHERE known.unit = ANY(%(units)s)
) AS wanted
WHERE old.id = wanted.id AND wanted.valid_to IS NOT NULL AND old.valid_to IS DISTINCT FROM wanted.valid_to
RETURNING old.brand, old.shipment, old.valid_to = old.valid_from AS moved

-- name: insert_bindings
INSERT INTO trace.binding (brand, unit, dealer, shipment, valid_from, valid_to, device, boot, seq)
SELECT brand, unit, dealer, shipment, valid_from, valid_to, device, boot, seq
FROM jsonb_to_recordset(%(rows)s) AS fresh (brand text, unit text, dealer text, shipment text,
    valid_from timestamptz, valid_to timestamptz, device text, boot uuid, seq bigint)
ON CONFLICT (device, boot, seq) DO UPDATE SET valid_to = excluded.valid_to
WHERE binding.valid_to IS DISTINCT FROM excluded.valid_to
RETURNING brand, shipment, true AS moved

-- name: insert_quarantine
INSERT INTO trace.quarantine (brand, device, boot, seq, ts, code, reason, detail, facts)
SELECT brand, device, boot, seq, ts, code, reason, detail, coalesce(facts, '{}')
FROM jsonb_to_recordset(%(rows)s) AS fresh (brand text, device text, boot uuid, seq bigint, ts timestamptz, code text,
    reason text, detail text, facts jsonb)
ON CONFLICT (device, boot, seq) DO UPDATE SET brand = excluded.brand, reason = excluded.reason,
    detail = excluded.detail, facts = excluded.facts, resolved_at = NULL
WHERE quarantine.reason <> excluded.reason OR quarantine.resolved_at IS NOT NULL
    OR quarantine.brand IS DISTINCT FROM excluded.brand OR quarantine.facts <> excluded.facts

-- name: resolve_quarantine
UPDATE trace.quarantine SET resolved_at = now()
FROM unnest(%(devices)s::text[], %(boots)s::uuid[], %(seqs)s::bigint[]) AS mended (device, boot, seq)
WHERE quarantine.device = mended.device AND quarantine.boot = mended.boot AND quarantine.seq = mended.seq
    AND quarantine.resolved_at IS NULL

-- name: resolve_accepted
-- A code that was commissioned since may take part.
UPDATE trace.quarantine SET resolved_at = now()
FROM unnest(%(devices)s::text[], %(boots)s::uuid[], %(seqs)s::bigint[]) AS mended (device, boot, seq)
WHERE quarantine.device = mended.device AND quarantine.boot = mended.boot AND quarantine.seq = mended.seq
    AND quarantine.resolved_at IS NULL AND quarantine.reason = 'code_not_accepted'
    AND quarantine.code NOT LIKE '/01/%%'

-- name: verdicts
SELECT verdict.device, verdict.boot::text AS boot, verdict.seq, code, unit, gtin, case_unit, activity, occurred_at,
    code_state, custody_state, place, brand, p_inside, signed_distance_m, lon, lat, accuracy_m, city, dealer, shipment,
    territory, map_version, reasons
FROM unnest(%(devices)s::text[], %(boots)s::uuid[], %(seqs)s::bigint[]) AS wanted (device, boot, seq)
JOIN trace.verdict USING (device, boot, seq)

-- name: supersede_verdicts
INSERT INTO trace.verdict_superseded
SELECT verdict.*
FROM unnest(%(devices)s::text[], %(boots)s::uuid[], %(seqs)s::bigint[]) AS wanted (device, boot, seq)
JOIN trace.verdict USING (device, boot, seq)
ON CONFLICT DO NOTHING

-- name: write_verdicts
INSERT INTO trace.verdict (device, boot, seq, brand, code, unit, gtin, case_unit, activity, occurred_at, code_state,
    custody_state, place, p_inside, signed_distance_m, lon, lat, accuracy_m, city, dealer, shipment, territory,
    map_version, reasons)
SELECT device, boot, seq, brand, code, unit, gtin, case_unit, activity, occurred_at, code_state, custody_state, place,
    p_inside, signed_distance_m, lon, lat, accuracy_m, city, dealer, shipment, territory, map_version, reasons
FROM jsonb_to_recordset(%(rows)s) AS fresh (device text, boot uuid, seq bigint, brand text, code text, unit text,
    gtin text, case_unit text, activity text, occurred_at timestamptz, code_state text, custody_state text, place text,
    p_inside float8, signed_distance_m float8, lon float8, lat float8, accuracy_m float8, city text, dealer text,
    shipment text, territory bigint, map_version text, reasons jsonb)
ON CONFLICT (device, boot, seq) DO UPDATE SET (brand, code, unit, gtin, case_unit, activity, occurred_at, decided_at,
    code_state, custody_state, place, p_inside, signed_distance_m, lon, lat, accuracy_m, city, dealer, shipment,
    territory, map_version, reasons) = (excluded.brand, excluded.code, excluded.unit, excluded.gtin,
    excluded.case_unit, excluded.activity, excluded.occurred_at, clock_timestamp(), excluded.code_state,
    excluded.custody_state, excluded.place, excluded.p_inside, excluded.signed_distance_m, excluded.lon, excluded.lat,
    excluded.accuracy_m, excluded.city, excluded.dealer, excluded.shipment, excluded.territory, excluded.map_version,
    excluded.reasons)

-- name: books_version
SELECT (SELECT count(*) FROM trace.territory) AS territories, (SELECT max(id) FROM trace.territory) AS newest,
    (SELECT count(*) FROM trace.dealer) AS dealers,
    (SELECT max(id) FROM trace.channel_version) AS changes,
    (SELECT max(recorded_at) FROM trace.geofence_policy) AS policies

-- name: policies
SELECT DISTINCT ON (brand) brand, inside_at, outside_at FROM trace.geofence_policy ORDER BY brand, recorded_at DESC

-- name: add_policy
INSERT INTO trace.geofence_policy (brand, recorded_by, inside_at, outside_at)
VALUES (%(brand)s, %(by)s, %(inside_at)s, %(outside_at)s)

-- name: policy_history
SELECT brand, inside_at, outside_at, recorded_at, recorded_by FROM trace.geofence_policy
WHERE brand = coalesce(%(brand)s, brand) ORDER BY brand, recorded_at DESC

-- name: territories
SELECT id, brand, dealer, channel, adcodes, exclusive, valid_from, valid_to, recorded_at, sha256, product_line, polygon
FROM trace.territory

-- name: product_lines
SELECT brand, gtin, product_line FROM trace.product WHERE product_line <> ''

-- name: dealers
SELECT id, brand, level FROM trace.dealer

-- name: withdraw_evidence
DELETE FROM trace.alert_evidence AS old
WHERE old.alert = %(alert)s AND NOT EXISTS (
    SELECT FROM jsonb_to_recordset(%(rows)s) AS kept (device text, boot uuid, seq bigint, case_unit text)
    WHERE kept.device = old.device AND kept.boot = old.boot AND kept.seq = old.seq AND kept.case_unit = old.case_unit)

-- name: insert_evidence
INSERT INTO trace.alert_evidence (alert, device, boot, seq, unit, case_unit)
SELECT %(alert)s, device, boot, seq, unit, case_unit
FROM jsonb_to_recordset(%(rows)s) AS fresh (device text, boot uuid, seq bigint, unit text, case_unit text)
ON CONFLICT (alert, device, boot, seq) DO NOTHING

-- name: tell_console
SELECT pg_notify('console', payload) FROM unnest(%(payloads)s::text[]) AS payload

-- name: quarantine_claimed
INSERT INTO trace.quarantine (device, boot, seq, ts, code, reason, detail)
VALUES (%(device)s, %(boot)s, %(seq)s, %(ts)s, %(code)s, 'processing_failed', %(detail)s)
ON CONFLICT (device, boot, seq) DO NOTHING

-- name: claimed_code
SELECT code FROM landing.scan WHERE device = %(device)s AND boot = %(boot)s AND seq = %(seq)s AND ts = %(ts)s
UNION ALL
SELECT gtin FROM landing.stock WHERE device = %(device)s AND boot = %(boot)s AND seq = %(seq)s AND ts = %(ts)s

-- name: oldest_work
SELECT extract(epoch FROM clock_timestamp() - enqueued_at)::float8 AS seconds FROM landing.work ORDER BY id LIMIT 1;

-- name: lock_signing
SELECT pg_advisory_xact_lock(hashtextextended('signing key', 0))

-- name: signing_key
SELECT id, wrapped FROM trace.signing_key WHERE retired_at IS NULL ORDER BY created_at DESC, id LIMIT 1

-- name: insert_signing_key
INSERT INTO trace.signing_key (id, public, wrapped) VALUES (%(id)s, %(public)s, %(wrapped)s)

-- name: brand_known
SELECT FROM trace.brand WHERE id = %(brand)s
