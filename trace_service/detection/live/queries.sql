-- name: put
INSERT INTO trace.observation_inbox (brand, kind, body)
SELECT %(brand)s, each.kind, each.body::json
FROM unnest(string_to_array(%(kinds)s, E'\x1e'), string_to_array(%(bodies)s, E'\x1e')) WITH ORDINALITY
    AS each (kind, body, place) ORDER BY each.place

-- name: told
-- Notes what is said under each key; returns those under which something else was said before, or nothing.
INSERT INTO trace.observed (brand, key, kind, digest)
SELECT %(brand)s, each.key, each.kind, each.digest
FROM unnest(%(keys)s::text[], %(kinds)s::text[], %(digests)s::bigint[]) AS each (key, kind, digest)
ORDER BY each.key, each.kind
ON CONFLICT (brand, key, kind) DO UPDATE SET digest = excluded.digest WHERE observed.digest <> excluded.digest
RETURNING key, kind

-- name: untold
DELETE FROM trace.observed WHERE brand = %(brand)s AND key = ANY(%(keys)s) RETURNING key

-- name: contents_of
-- What logistic units were packed with: one product, lot and item of each, and the logistic units right inside.
SELECT wanted.unit,
    (SELECT min(member) FROM trace.custody_content WHERE container = wanted.unit AND member LIKE '/01/%%'
        AND member NOT LIKE '/01/%%/%%') AS product,
    (SELECT min(member) FROM trace.custody_content WHERE container = wanted.unit AND member LIKE '/01/%%/10/%%') AS lot,
    (SELECT min(child) FROM trace.containment WHERE parent = wanted.unit AND child LIKE '/01/%%/21/%%') AS item,
    ARRAY(SELECT child FROM trace.containment WHERE parent = wanted.unit AND child LIKE '/00/%%'
        AND valid_to IS DISTINCT FROM valid_from ORDER BY child) AS inside
FROM unnest(%(units)s::text[]) AS wanted (unit)

-- name: shipments_of
-- Shipments as they stand: parties, departure, the cases of their units, and how many items lie in those.
WITH RECURSIVE sent AS (
    SELECT shipment, dealer, min(valid_from) AS departed, array_agg(DISTINCT unit ORDER BY unit) AS units
    FROM trace.binding
    WHERE brand = %(brand)s AND shipment = ANY(%(numbers)s) AND valid_to IS DISTINCT FROM valid_from
    GROUP BY shipment, dealer
), inside AS (
    SELECT shipment, dealer, unnest(units) AS unit FROM sent
    UNION
    SELECT inside.shipment, inside.dealer, containment.child
    FROM inside JOIN trace.containment ON containment.parent = inside.unit AND containment.child LIKE '/00/%%'
        AND containment.valid_to IS DISTINCT FROM containment.valid_from
), counted AS (
    SELECT inside.shipment, inside.dealer, inside.unit, held.items, held.cases
    FROM inside CROSS JOIN LATERAL (
        SELECT count(*) FILTER (WHERE child LIKE '/01/%%') AS items, count(*) FILTER (WHERE child LIKE '/00/%%') AS cases
        FROM trace.containment WHERE parent = inside.unit AND valid_to IS DISTINCT FROM valid_from) AS held
)
SELECT sent.shipment, sent.dealer, sent.departed, sender.dealer AS sender, receiver.parent AS above,
    (SELECT parent FROM trace.dealer WHERE dealer.id = sender.dealer) AS sender_above,
    (SELECT min(event.occurred_at) FROM trace.custody_event AS event JOIN trace.site AS place ON place.id = event.site
     WHERE event.unit = ANY(sent.units) AND event.biz_step = 'receiving' AND place.dealer = sent.dealer
        AND event.occurred_at >= sent.departed) AS arrived,
    array_agg(counted.unit ORDER BY counted.unit) FILTER (WHERE counted.cases = 0) AS cases,
    sum(CASE WHEN counted.unit LIKE '/01/%%' THEN 1 ELSE counted.items END)::bigint AS items
FROM sent JOIN counted USING (shipment, dealer)
JOIN trace.shipment AS head ON head.brand = %(brand)s AND head.id = sent.shipment
JOIN trace.site AS sender ON sender.id = head.from_site
JOIN trace.dealer AS receiver ON receiver.id = sent.dealer
GROUP BY sent.shipment, sent.dealer, sent.departed, sent.units, sender.dealer, receiver.parent
ORDER BY sent.departed, sent.shipment

-- name: brands_waiting
SELECT brand, max(id) AS newest FROM trace.observation_inbox GROUP BY brand ORDER BY min(id)

-- name: own
-- Held by the session of the worker that runs the brand's engine; it ends with the session, however that ends.
SELECT pg_try_advisory_lock(%(space)s, hashtext(%(brand)s)) AS had

-- name: take
WITH taken AS (
    DELETE FROM trace.observation_inbox WHERE id = ANY (ARRAY(
        SELECT id FROM trace.observation_inbox WHERE brand = %(brand)s ORDER BY id LIMIT %(limit)s))
    RETURNING id, kind, body
), logged AS (
    INSERT INTO trace.observation (brand, seq, kind, body)
    SELECT %(brand)s, %(last)s + row_number() OVER (ORDER BY id), kind, body FROM taken
    RETURNING seq, kind, body
)
SELECT seq, kind, body::text AS body FROM logged ORDER BY seq

-- name: log_entry
INSERT INTO trace.observation (brand, seq, kind, body) VALUES (%(brand)s, %(last)s + 1, %(kind)s, %(body)s)

-- name: snapshot
SELECT seq, fingerprint, state, seal FROM trace.engine_snapshot
WHERE brand = %(brand)s AND fingerprint = %(fingerprint)s
    AND seq <= (SELECT max(seq) FROM trace.observation WHERE brand = %(brand)s)

-- name: keep_snapshot
INSERT INTO trace.engine_snapshot AS old (brand, seq, fingerprint, state, seal)
VALUES (%(brand)s, %(seq)s, %(fingerprint)s, %(state)s, %(seal)s)
ON CONFLICT (brand) DO UPDATE SET seq = excluded.seq, fingerprint = excluded.fingerprint,
    made_at = excluded.made_at, state = excluded.state, seal = excluded.seal
WHERE old.seq < excluded.seq OR old.fingerprint <> excluded.fingerprint

-- name: log
SELECT seq, kind, body::text AS body FROM trace.observation
WHERE brand = %(brand)s AND seq > %(after)s ORDER BY seq LIMIT %(limit)s

-- name: network_version
SELECT (SELECT count(*) FROM trace.territory) AS territories, (SELECT max(id) FROM trace.territory) AS newest,
    (SELECT count(*) FROM trace.dealer) AS dealers, (SELECT count(*) FROM trace.site) AS sites,
    (SELECT max(id) FROM trace.channel_version) AS changes, (SELECT max(id) FROM trace.channel_refresh) AS refreshed

-- name: network_dealers
-- A dealer is where its first warehouse is.
SELECT id, parent, level, dealer.kind, home.lat, home.lon
FROM trace.dealer LEFT JOIN LATERAL (
    SELECT lat, lon FROM trace.site WHERE site.dealer = dealer.id AND site.kind = 'warehouse' AND lon IS NOT NULL
    ORDER BY site.id LIMIT 1) AS home ON true
WHERE brand = %(brand)s ORDER BY id

-- name: network_stores
-- Shops as they were from each day on, by what was recorded last of that day.
SELECT DISTINCT ON (fact.key, fact.valid_from) fact.key AS id, fact.facts ->> 'dealer' AS dealer, fact.valid_from,
    fact.ended, site.lat, site.lon, site.adcode
FROM trace.channel_fact AS fact JOIN trace.site ON site.id = fact.key
WHERE fact.kind = 'site' AND site.kind = 'store' AND EXISTS (
    SELECT FROM trace.dealer WHERE dealer.id = fact.facts ->> 'dealer' AND dealer.brand = %(brand)s)
ORDER BY fact.key, fact.valid_from, fact.recorded_at DESC, fact.id DESC

-- name: network_territories
SELECT dealer, channel, product_line, adcodes, polygon, valid_from, valid_to FROM trace.territory WHERE brand = %(brand)s
ORDER BY dealer, recorded_at, id

-- name: network_products
SELECT gtin, items_per_case, unit_price::float8 AS unit_price FROM trace.product WHERE brand = %(brand)s

-- name: brand_dealer
-- Who answers for what no dealer is named for: the top of the channel.
SELECT id FROM trace.dealer WHERE brand = %(brand)s ORDER BY level, lft LIMIT 1

-- name: raise_alert
INSERT INTO trace.alert (brand, kind, dealer, city, raised_at, updated_at, cases, scans, reason, probability, claim,
    number)
VALUES (%(brand)s, %(kind)s, %(dealer)s, %(city)s, clock_timestamp(), clock_timestamp(), %(cases)s, %(scans)s,
    %(reason)s, %(probability)s, %(claim)s, %(number)s)
ON CONFLICT (brand, number) WHERE number IS NOT NULL DO NOTHING
RETURNING id

-- name: find_alert
SELECT id, state FROM trace.alert WHERE brand = %(brand)s AND number = %(number)s FOR UPDATE

-- name: change_alert
UPDATE trace.alert SET updated_at = clock_timestamp(), kind = %(kind)s, cases = %(cases)s, scans = %(scans)s,
    reason = %(reason)s, probability = %(probability)s
WHERE id = %(id)s

-- name: retract_alert
UPDATE trace.alert SET updated_at = clock_timestamp(), decided_at = clock_timestamp(), decided_by = NULL,
    state = 'closed', outcome = 'retracted', reason = reason || %(note)s
WHERE id = %(id)s AND state <> 'closed'

-- name: evidence
SELECT verdict.device, verdict.boot::text AS boot, verdict.seq, verdict.unit, verdict.case_unit, verdict.shipment,
    verdict.signed_distance_m, verdict.reasons
FROM unnest(%(devices)s::text[], %(boots)s::uuid[], %(seqs)s::bigint[]) AS wanted (device, boot, seq)
JOIN trace.verdict USING (device, boot, seq)
ORDER BY verdict.occurred_at, verdict.device, verdict.boot, verdict.seq

-- name: benign_days
SELECT benign_days FROM trace.case_policy WHERE brand = %(brand)s ORDER BY id DESC LIMIT 1

-- name: claims_of_case
SELECT alert.claim, alert.number FROM trace.case_alert JOIN trace.alert ON alert.id = case_alert.alert
WHERE case_alert.case_id = %(case)s AND alert.claim IS NOT NULL ORDER BY alert.id

-- name: calibration
-- The calibration in force: the newest adopted one that was fitted from the shipped version in use.
SELECT version, models FROM trace.calibration
WHERE brand = %(brand)s AND shipped = %(shipped)s AND decision = 'adopted' ORDER BY number DESC LIMIT 1

-- name: next_calibration
SELECT coalesce(max(number), 0) + 1 AS number FROM trace.calibration WHERE brand = %(brand)s

-- name: insert_calibration
INSERT INTO trace.calibration (brand, number, recorded_by, version, shipped, decision, cases, confirmed, newest,
    loss_before, loss_after, models)
VALUES (%(brand)s, %(number)s, %(actor)s, %(version)s, %(shipped)s, %(decision)s, %(cases)s, %(confirmed)s, %(newest)s,
    %(loss_before)s, %(loss_after)s, %(models)s)

-- name: brands_to_recalibrate
-- Once a day at most, and only where a person decided something since.
SELECT case_file.brand FROM trace.case_file
LEFT JOIN LATERAL (
    SELECT newest, recorded_at FROM trace.calibration AS tried
    WHERE tried.brand = case_file.brand ORDER BY number DESC LIMIT 1) AS last ON true
WHERE case_file.state = 'closed' AND case_file.outcome <> 'retracted'
GROUP BY case_file.brand, last.newest, last.recorded_at
HAVING last.newest IS NULL
    OR (max(case_file.closed_at) > last.newest AND last.recorded_at < clock_timestamp() - interval '20 hours')
ORDER BY case_file.brand
