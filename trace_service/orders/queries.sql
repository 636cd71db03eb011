-- name: lock_order
-- Whoever changes an order, or places one of that number, waits here for whoever does so now.
SELECT pg_advisory_xact_lock(hashtextextended('order ' || %(brand)s || ' ' || %(id)s, 0))

-- name: order
SELECT outbound_order.id, outbound_order.brand, outbound_order.version, outbound_order.state,
    order_version.dealer, dealer.name_zh AS dealer_zh, dealer.name_en AS dealer_en, order_version.from_site,
    site.name_zh AS site_zh, site.name_en AS site_en, order_version.channel, order_version.due,
    outbound_order.placed_at, outbound_order.updated_at, outbound_order.acknowledged_at
FROM trace.outbound_order
JOIN trace.order_version ON order_version.brand = outbound_order.brand
    AND order_version.order_id = outbound_order.id AND order_version.version = outbound_order.version
JOIN trace.dealer ON dealer.id = order_version.dealer
JOIN trace.site ON site.id = order_version.from_site
WHERE outbound_order.brand = %(brand)s AND outbound_order.id = %(id)s

-- name: orders
SELECT outbound_order.id, outbound_order.brand, outbound_order.version, outbound_order.state,
    order_version.dealer, dealer.name_zh AS dealer_zh, dealer.name_en AS dealer_en, order_version.from_site,
    site.name_zh AS site_zh, site.name_en AS site_en, order_version.channel, order_version.due,
    outbound_order.placed_at, outbound_order.updated_at, outbound_order.acknowledged_at
FROM trace.outbound_order
JOIN trace.order_version ON order_version.brand = outbound_order.brand
    AND order_version.order_id = outbound_order.id AND order_version.version = outbound_order.version
JOIN trace.dealer ON dealer.id = order_version.dealer
JOIN trace.site ON site.id = order_version.from_site
WHERE outbound_order.brand = %(brand)s
    AND (%(states)s::text[] IS NULL OR outbound_order.state = ANY(%(states)s))
    AND (%(before)s::text IS NULL OR (outbound_order.placed_at, outbound_order.id) <
        (SELECT placed_at, id FROM trace.outbound_order AS earlier
         WHERE earlier.brand = %(brand)s AND earlier.id = %(before)s))
ORDER BY outbound_order.placed_at DESC, outbound_order.id DESC
LIMIT %(limit)s

-- name: lines
SELECT order_line.order_id, order_line.line, order_line.gtin, product.name_zh, product.name_en, order_line.quantity,
    order_line.unit, product.items_per_case,
    order_line.quantity * CASE order_line.unit WHEN 'case' THEN product.items_per_case ELSE 1 END AS items
FROM trace.outbound_order
JOIN trace.order_line ON order_line.brand = outbound_order.brand AND order_line.order_id = outbound_order.id
    AND order_line.version = outbound_order.version
JOIN trace.product ON product.gtin = order_line.gtin
WHERE outbound_order.brand = %(brand)s AND outbound_order.id = ANY(%(ids)s)
ORDER BY order_line.order_id, order_line.line

-- name: order_counts
SELECT state, count(*) AS number FROM trace.outbound_order WHERE brand = %(brand)s GROUP BY state

-- name: version_content
SELECT content FROM trace.order_version WHERE brand = %(brand)s AND order_id = %(id)s AND version = %(version)s

-- name: foreign_gtins
SELECT wanted.gtin FROM unnest(%(gtins)s::text[]) AS wanted (gtin)
LEFT JOIN trace.product ON product.gtin = wanted.gtin AND product.brand = %(brand)s
WHERE product.gtin IS NULL

-- name: parties
-- A logistics provider's site belongs to nobody; a dealer's own only to the brand of that dealer.
SELECT
    EXISTS (SELECT FROM trace.dealer WHERE id = %(dealer)s AND brand = %(brand)s) AS dealer,
    EXISTS (SELECT FROM trace.site LEFT JOIN trace.dealer ON dealer.id = site.dealer
            WHERE site.id = %(site)s AND (site.dealer IS NULL OR dealer.brand = %(brand)s)) AS site

-- name: insert_order
INSERT INTO trace.outbound_order (brand, id, version) VALUES (%(brand)s, %(id)s, %(version)s)

-- name: insert_version
INSERT INTO trace.order_version (brand, order_id, version, dealer, from_site, channel, due, content, source)
VALUES (%(brand)s, %(id)s, %(version)s, %(dealer)s, %(from_site)s, %(channel)s, %(due)s, %(content)s, %(source)s)

-- name: insert_line
INSERT INTO trace.order_line (brand, order_id, version, line, gtin, quantity, unit)
VALUES (%(brand)s, %(id)s, %(version)s, %(line)s, %(gtin)s, %(quantity)s, %(unit)s)

-- name: advance_version
UPDATE trace.outbound_order SET version = %(version)s, updated_at = now() WHERE brand = %(brand)s AND id = %(id)s

-- name: advance_state
UPDATE trace.outbound_order SET state = %(state)s, updated_at = now() WHERE brand = %(brand)s AND id = %(id)s

-- name: acknowledge
UPDATE trace.outbound_order SET acknowledged_at = coalesce(acknowledged_at, now()) WHERE brand = %(brand)s AND id = %(id)s

-- name: insert_history
INSERT INTO trace.order_history (brand, order_id, version, state, actor, reason, occurred_at)
VALUES (%(brand)s, %(id)s, %(version)s, %(state)s, %(actor)s, %(reason)s, coalesce(%(at)s::timestamptz, now()))

-- name: history
SELECT state, version, actor, reason, occurred_at, recorded_at FROM trace.order_history
WHERE brand = %(brand)s AND order_id = %(id)s ORDER BY id

-- name: is_loading
SELECT EXISTS (SELECT FROM trace.shipment WHERE brand = %(brand)s AND id = %(id)s)

-- name: loaded
-- What custody bound to the dealer by this order, and what lies in it: one row for each unit that was scanned and each
-- product in it. A unit whose contents nobody knows counts nothing.
WITH RECURSIVE bound AS (
    SELECT DISTINCT unit, valid_from FROM trace.binding
    WHERE brand = %(brand)s AND shipment = %(id)s AND (valid_to IS NULL OR valid_to > valid_from)
), down AS (
    SELECT unit AS scanned, unit, valid_from FROM bound
    UNION
    SELECT down.scanned, inner_unit.child, down.valid_from FROM down CROSS JOIN LATERAL (
        SELECT containment.child FROM trace.containment
        WHERE containment.parent = down.unit AND containment.valid_from <= down.valid_from + interval '10 minutes'
            AND (containment.valid_to IS NULL OR containment.valid_to > down.valid_from)
        OFFSET 0) AS inner_unit
)
SELECT scanned, substr(unit, 5, 14) AS gtin, count(*) AS items FROM down WHERE unit LIKE '/01/%%/21/%%' GROUP BY 1, 2
UNION ALL
SELECT unit, '', 0 FROM bound WHERE NOT EXISTS (
    SELECT FROM down WHERE down.scanned = bound.unit AND down.unit LIKE '/01/%%/21/%%')
ORDER BY 1, 2

-- name: product_names
SELECT gtin, name_zh, name_en FROM trace.product WHERE gtin = ANY(%(gtins)s)

-- name: device
SELECT id, site FROM landing.device WHERE id = %(device)s AND retired_at IS NULL

-- name: site
SELECT site.id, site.kind, site.dealer, dealer.brand FROM trace.site LEFT JOIN trace.dealer ON dealer.id = site.dealer
WHERE site.id = %(site)s

-- name: revoke_device_token
UPDATE trace.device_token SET revoked_at = now() WHERE device = %(device)s AND revoked_at IS NULL

-- name: insert_device_token
INSERT INTO trace.device_token (device, token_hash) VALUES (%(device)s, %(token_hash)s)

-- name: insert_supervisor
INSERT INTO trace.supervisor (site, id, name, salt, pin_hash)
VALUES (%(site)s, %(id)s, %(name)s, %(salt)s, %(pin_hash)s)
ON CONFLICT (site, id) DO UPDATE SET name = excluded.name, salt = excluded.salt, pin_hash = excluded.pin_hash,
    disabled_at = NULL

-- name: supervisors
SELECT id, name, salt, pin_hash FROM trace.supervisor WHERE site = %(site)s AND disabled_at IS NULL ORDER BY id

-- name: open_orders
SELECT outbound_order.brand, outbound_order.id FROM trace.outbound_order
JOIN trace.order_version ON order_version.brand = outbound_order.brand
    AND order_version.order_id = outbound_order.id AND order_version.version = outbound_order.version
WHERE order_version.from_site = %(site)s AND outbound_order.state IN ('open', 'loading')
ORDER BY outbound_order.brand, outbound_order.id

-- name: territory_now
SELECT dealer, encode(sha256, 'hex') AS sha256 FROM (
    SELECT DISTINCT ON (dealer) dealer, sha256, valid_to FROM trace.territory
    WHERE dealer = ANY(%(dealers)s) AND product_line IS NULL AND valid_from <= now()
    ORDER BY dealer, recorded_at DESC, id DESC) AS newest
WHERE valid_to IS NULL OR valid_to > now()

-- name: stock
-- The outermost units that stand at a site, left it lately, or are on their way to it. Goods that a brand's own factory
-- has packed count at every warehouse of the brand until somebody receives them: nobody scans them between the two.
-- What custody refused says nothing here.
WITH place AS (
    SELECT site.id, site.dealer, site.dealer IS NULL AND site.kind IN ('factory', 'warehouse') AS home
    FROM trace.site WHERE site.id = %(site)s
), pool AS (
    SELECT id FROM place
    UNION
    SELECT site.id FROM place JOIN trace.site ON place.home AND site.dealer IS NULL AND site.kind = 'factory'
), seen AS (
    SELECT unit FROM trace.custody_event WHERE site IN (SELECT id FROM pool)
        AND biz_step IN ('commissioning', 'packing', 'receiving', 'returning', 'unpacking')
    UNION
    SELECT parent FROM trace.custody_event WHERE site IN (SELECT id FROM pool)
        AND biz_step = 'packing' AND parent IS NOT NULL
    UNION
    SELECT binding.unit FROM place JOIN trace.binding ON binding.dealer = place.dealer AND binding.valid_to IS NULL
), outermost AS (
    SELECT unit FROM seen WHERE NOT EXISTS (
        SELECT FROM trace.containment WHERE containment.child = seen.unit AND containment.valid_to IS NULL)
)
SELECT outermost.unit,
    CASE WHEN last.biz_step = 'shipping' AND last.site = ANY(ARRAY(SELECT id FROM pool)) THEN 1
        WHEN last.biz_step = 'shipping' THEN 2 ELSE 0 END AS standing,
    last.shipment, last.dealer, last.occurred_at
FROM outermost
LEFT JOIN LATERAL (
    SELECT event.biz_step, event.site, event.shipment, event.dealer, event.occurred_at FROM trace.custody_event AS event
    WHERE event.unit = outermost.unit AND event.biz_step IN ('shipping', 'receiving', 'returning', 'void_shipping',
            'retail_selling', 'decommissioning', 'destroying')
        AND NOT EXISTS (
            SELECT FROM trace.quarantine WHERE quarantine.device = event.device AND quarantine.boot = event.boot
                AND quarantine.seq = event.seq AND quarantine.resolved_at IS NULL)
    ORDER BY event.occurred_at DESC, event.id DESC LIMIT 1) AS last ON true
WHERE last.biz_step IS NULL
    OR (last.biz_step IN ('receiving', 'returning', 'void_shipping') AND last.site IN (SELECT id FROM pool))
    OR (last.biz_step = 'shipping' AND last.site IN (SELECT id FROM pool)
        AND last.occurred_at > now() - interval '7 days')
    OR (last.biz_step = 'shipping' AND last.dealer = (SELECT dealer FROM place))

-- name: contents
WITH RECURSIVE down AS (
    SELECT child, parent FROM trace.containment WHERE parent = ANY(%(units)s) AND valid_to IS NULL
    UNION
    SELECT containment.child, containment.parent FROM down CROSS JOIN LATERAL (
        SELECT child, parent FROM trace.containment
        WHERE containment.parent = down.child AND containment.valid_to IS NULL OFFSET 0) AS containment
)
SELECT child, parent FROM down

-- name: held
-- What must not move: units, whole products (/01/GTIN) and lots (/01/GTIN/10/LOT), by the last word on each.
SELECT unit, biz_step, reason FROM (
    SELECT DISTINCT ON (event.unit) event.unit, event.biz_step, event.reason FROM trace.custody_event AS event
    WHERE event.biz_step IN ('holding', 'unblocking', 'recalling', 'decommissioning', 'destroying')
        AND NOT EXISTS (
            SELECT FROM trace.quarantine WHERE quarantine.device = event.device AND quarantine.boot = event.boot
                AND quarantine.seq = event.seq AND quarantine.resolved_at IS NULL)
    ORDER BY event.unit, event.occurred_at DESC, event.id DESC) AS last
WHERE biz_step <> 'unblocking'

-- name: units_of_lots
SELECT DISTINCT event.unit, wanted.held FROM unnest(%(gtins)s::text[], %(lots)s::text[], %(held)s::text[])
    AS wanted (gtin, lot, held)
JOIN trace.custody_event AS event ON event.lot = wanted.lot AND event.unit LIKE '/01/' || wanted.gtin || '/21/%%'

-- name: stocked_products
SELECT gtin, name_zh, name_en, items_per_case FROM trace.product WHERE gtin = ANY(%(gtins)s) ORDER BY gtin

-- name: lock_manifest
SELECT pg_advisory_xact_lock(hashtextextended('manifest ' || %(site)s, 0))

-- name: newest_manifest
SELECT version, issued_at, expires_at, content, body FROM trace.manifest WHERE site = %(site)s
ORDER BY version DESC LIMIT 1

-- name: manifest
SELECT body FROM trace.manifest WHERE site = %(site)s AND version = %(version)s

-- name: insert_manifest
INSERT INTO trace.manifest (site, version, issued_at, expires_at, content, body)
VALUES (%(site)s, %(version)s, %(issued_at)s, %(expires_at)s, %(content)s, %(body)s)

-- name: prune_manifests
DELETE FROM trace.manifest WHERE site = %(site)s AND version <= %(version)s

-- name: insert_station_event
INSERT INTO trace.station_event (device, id, site, kind, brand, order_id, unit, operator, occurred_at, body)
VALUES (%(device)s, %(id)s, %(site)s, %(kind)s, %(brand)s, %(order_id)s, %(unit)s, %(operator)s, %(occurred_at)s,
    %(body)s)
ON CONFLICT DO NOTHING RETURNING id

-- name: order_at_site
-- An order that leaves from this site, or goes to the dealer whose site it is.
SELECT outbound_order.brand, outbound_order.id FROM trace.outbound_order
JOIN trace.order_version ON order_version.brand = outbound_order.brand
    AND order_version.order_id = outbound_order.id AND order_version.version = outbound_order.version
WHERE outbound_order.id = %(id)s AND (%(brand)s = '' OR outbound_order.brand = %(brand)s)
    AND (order_version.from_site = %(site)s
        OR order_version.dealer = (SELECT dealer FROM trace.site WHERE site.id = %(site)s))
ORDER BY outbound_order.brand LIMIT 1

-- name: station_events
SELECT device, site, kind, unit, operator, occurred_at, body FROM trace.station_event
WHERE brand = %(brand)s AND order_id = %(id)s ORDER BY occurred_at, id LIMIT %(limit)s

-- name: refused_notes
SELECT recorded_at, device, site, kind, brand, order_id AS "order", unit, id::text AS id,
    body #>> '{refused,code}' AS code, body #>> '{refused,reason}' AS reason, body #>> '{refused,note}' AS note
FROM trace.station_event WHERE body ? 'refused' ORDER BY recorded_at DESC, id LIMIT %(limit)s

-- name: last_document
SELECT number, sha256, key, issued_at FROM trace.order_document WHERE brand = %(brand)s AND order_id = %(id)s
ORDER BY number DESC LIMIT 1

-- name: insert_document
INSERT INTO trace.order_document (brand, order_id, number, content, sha256, key, signature, issued_at)
VALUES (%(brand)s, %(id)s, %(number)s, %(content)s, %(sha256)s, %(key)s, %(signature)s, %(issued_at)s)

-- name: document_parties
SELECT brand.name_zh AS brand_zh, brand.name_en AS brand_en FROM trace.brand WHERE brand.id = %(brand)s

-- name: lots_of_batches
SELECT id, gtin, lot FROM trace.batch WHERE id = ANY(%(batches)s) ORDER BY gtin, lot, id

-- name: brand_of_product
-- A dealer's site speaks for the goods of that dealer's brand alone.
SELECT product.brand FROM trace.product JOIN trace.site ON site.id = %(site)s
LEFT JOIN trace.dealer ON dealer.id = site.dealer
WHERE product.gtin = %(gtin)s AND (site.dealer IS NULL OR dealer.brand = product.brand)

-- name: mark
SELECT (SELECT max(id) FROM trace.custody_event) AS event, (SELECT max(id) FROM trace.order_history) AS history,
    (SELECT max(id) FROM trace.quarantine) AS quarantine,
    (SELECT count(*) FROM trace.supervisor WHERE disabled_at IS NULL) AS supervisors
