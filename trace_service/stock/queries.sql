-- name: readings
SELECT stock.device, stock.boot, stock.seq, stock.ts, stock.site, stock.channel, stock.gtin, stock.units,
    stock.confidence, stock.fault, site.id IS NOT NULL AS known_site, product.gtin IS NOT NULL AS known_product,
    product.brand, place.site IS NOT NULL AS planned, stock.filled, stock.empty, stock.unseen, stock.strange, stock.share,
    place.sold_lately = 0 OR cardinality(place.differences) = 3 AND place.differences[1] = place.differences[2]
        AND place.differences[2] = place.differences[3] AS settled
FROM unnest(%(devices)s::text[], %(boots)s::uuid[], %(seqs)s::bigint[], %(moments)s::timestamptz[])
    AS wanted (device, boot, seq, ts)
JOIN landing.stock USING (device, boot, seq, ts)
LEFT JOIN trace.site ON site.id = stock.site
LEFT JOIN trace.product ON product.gtin = stock.gtin
LEFT JOIN trace.stock AS place ON place.site = stock.site AND place.gtin = stock.gtin

-- name: channels
SELECT device, channel, site, gtin, units, confidence, fault FROM trace.shelf_channel WHERE device = ANY(%(devices)s)

-- name: write_channels
INSERT INTO trace.shelf_channel (device, channel, site, gtin, units, confidence, fault, ts, boot, seq)
SELECT device, channel, site, gtin, units, confidence, fault, ts, boot, seq
FROM jsonb_to_recordset(%(rows)s) AS fresh (device text, channel smallint, site text, gtin text, units integer,
    confidence real, fault text, ts timestamptz, boot uuid, seq bigint)
ON CONFLICT (device, channel) DO UPDATE SET site = excluded.site, gtin = excluded.gtin, units = excluded.units,
    confidence = excluded.confidence, fault = excluded.fault, ts = excluded.ts, boot = excluded.boot, seq = excluded.seq
WHERE (excluded.ts, excluded.boot, excluded.seq) > (shelf_channel.ts, shelf_channel.boot, shelf_channel.seq)

-- name: silent_channels
-- What was last heard of by the server's clock ten minutes ago; `left_out` where its device goes on to report others.
SELECT channel.device, channel.channel, channel.ts, channel.fault, device.retired_at IS NOT NULL AS retired,
    coalesce((SELECT max(other.ts) FROM trace.shelf_channel AS other WHERE other.device = channel.device)
        > channel.ts + interval '10 minutes', false) AS left_out
FROM trace.shelf_channel AS channel
JOIN landing.device ON device.id = channel.device
WHERE channel.ts - coalesce(device.skew_ms, 0) * interval '1 millisecond' < now() - interval '10 minutes'
    OR device.retired_at IS NOT NULL

-- name: drop_channels
DELETE FROM trace.shelf_channel AS channel
USING jsonb_to_recordset(%(rows)s) AS gone (device text, channel smallint, ts timestamptz)
WHERE channel.device = gone.device AND channel.channel = gone.channel AND channel.ts = gone.ts
RETURNING channel.device, channel.site, channel.gtin, channel.boot, channel.seq

-- name: silence_channels
UPDATE trace.shelf_channel AS channel SET fault = 'SILENT', confidence = 0
FROM jsonb_to_recordset(%(rows)s) AS silent (device text, channel smallint, ts timestamptz)
WHERE channel.device = silent.device AND channel.channel = silent.channel AND channel.ts = silent.ts
RETURNING channel.device, channel.site, channel.gtin, channel.boot, channel.seq

-- name: sense
-- What the channels of each place say together. One that cannot be believed makes the sum unbelievable.
SELECT wanted.site, wanted.gtin, stock.brand, sum(channel.units)::integer AS units, max(channel.ts) AS ts,
    min(CASE WHEN channel.fault <> '' THEN 0 ELSE channel.confidence END) AS confidence,
    (array_agg(channel.device ORDER BY channel.ts DESC, channel.seq DESC))[1] AS device,
    (array_agg(channel.boot ORDER BY channel.ts DESC, channel.seq DESC))[1] AS boot,
    (array_agg(channel.seq ORDER BY channel.ts DESC, channel.seq DESC))[1] AS seq,
    stock.sensed, stock.sensed_at, stock.ledger, stock.received, stock.sold_lately, stock.coming, stock.unexplained,
    stock.backroom, stock.differences, stock.settled, stock.quantity, stock.certainty, stock.sure_at,
    product.items_per_case, bool_or(channel.fault = 'PLANOGRAM') IS TRUE AS misplanned, open.phantom, open.unplanned,
    open.wrong
FROM unnest(%(sites)s::text[], %(gtins)s::text[]) AS wanted (site, gtin)
JOIN trace.stock USING (site, gtin)
JOIN trace.product USING (gtin)
LEFT JOIN trace.shelf_channel AS channel USING (site, gtin)
LEFT JOIN LATERAL (
    SELECT max(id) FILTER (WHERE kind = 'phantom_stock') AS phantom,
        max(id) FILTER (WHERE kind = 'unplanned_product') AS unplanned,
        max(id) FILTER (WHERE kind = 'wrong_planogram') AS wrong
    FROM trace.stock_finding AS finding WHERE finding.site = stock.site AND finding.gtin = stock.gtin
        AND kind IN ('phantom_stock', 'misplaced_product', 'unplanned_product', 'wrong_planogram')
        AND resolved_at IS NULL
) AS open ON true
GROUP BY wanted.site, wanted.gtin, stock.site, stock.gtin, product.gtin, open.phantom, open.unplanned, open.wrong

-- name: facings
SELECT device, channel, ts FROM trace.shelf_facing WHERE device = ANY(%(devices)s)

-- name: write_facings
INSERT INTO trace.shelf_facing (device, channel, site, gtin, filled, empty, unseen, strange, share, fault, ts, boot, seq)
SELECT device, channel, site, gtin, filled, empty, unseen, strange, share, fault, ts, boot, seq
FROM jsonb_to_recordset(%(rows)s) AS fresh (device text, channel smallint, site text, gtin text, filled smallint,
    empty smallint, unseen smallint, strange smallint, share real, fault text, ts timestamptz, boot uuid, seq bigint)
ON CONFLICT (device, channel) DO UPDATE SET site = excluded.site, gtin = excluded.gtin, filled = excluded.filled,
    empty = excluded.empty, unseen = excluded.unseen, strange = excluded.strange, share = excluded.share,
    fault = excluded.fault, ts = excluded.ts, boot = excluded.boot, seq = excluded.seq
WHERE (excluded.ts, excluded.boot, excluded.seq) > (shelf_facing.ts, shelf_facing.boot, shelf_facing.seq)

-- name: end_findings
-- Contradictions of a kind that no place of these sites shows any more.
UPDATE trace.stock_finding SET resolved_at = clock_timestamp()
FROM unnest(%(sites)s::text[], %(gtins)s::text[]) AS over (site, gtin)
WHERE stock_finding.site = over.site AND stock_finding.gtin = over.gtin AND kind = %(kind)s
    AND kind IN ('phantom_stock', 'misplaced_product', 'unplanned_product', 'wrong_planogram') AND resolved_at IS NULL

-- name: items_of_moves
-- Items behind moved units at sites with stock: an item is itself, a case or pallet what ever lay in it, at any level.
-- What is shipped to a dealer is on its way to the dealer's sites with stock.
WITH RECURSIVE moved AS (
    SELECT site, unit FROM unnest(%(sites)s::text[], %(units)s::text[]) AS given (site, unit)
    WHERE EXISTS (SELECT FROM trace.stock WHERE stock.site = given.site)
    UNION
    SELECT stock.site, given.unit FROM unnest(%(sites)s::text[], %(units)s::text[]) AS given (site, unit)
    JOIN trace.custody_event AS event ON event.unit = given.unit AND event.site = given.site
        AND event.biz_step = 'shipping' AND event.dealer IS NOT NULL
    JOIN trace.stock ON stock.dealer = event.dealer
), inside AS (
    SELECT site, unit FROM moved
    UNION
    SELECT inside.site, inner_unit.child FROM inside
    JOIN trace.containment AS inner_unit ON inner_unit.parent = inside.unit
        AND inner_unit.valid_to IS DISTINCT FROM inner_unit.valid_from
)
SELECT inside.site, inside.unit, stock.gtin FROM inside
JOIN trace.stock ON stock.site = inside.site AND stock.gtin = split_part(inside.unit, '/', 3)
WHERE inside.unit LIKE '/01/%%/21/%%'

-- name: count_units
-- Where each item stands by what was scanned at the site, of itself or of what it lay in then. A case whose label is
-- read again brings back nothing that was sold out of it; events that were taken back do not count.
WITH RECURSIVE wanted AS (
    SELECT site, unit, gtin FROM unnest(%(sites)s::text[], %(units)s::text[], %(gtins)s::text[]) AS w (site, unit, gtin)
), above AS (
    SELECT unit AS item, unit AS holder, '-infinity'::timestamptz AS since, 'infinity'::timestamptz AS until
    FROM (SELECT DISTINCT unit FROM wanted) AS items
    UNION ALL
    SELECT above.item, outer_unit.parent, greatest(above.since, outer_unit.valid_from),
        least(above.until, coalesce(outer_unit.valid_to, 'infinity'))
    FROM above JOIN trace.containment AS outer_unit ON outer_unit.child = above.holder
        AND outer_unit.valid_to IS DISTINCT FROM outer_unit.valid_from
        AND outer_unit.valid_from <= above.until AND coalesce(outer_unit.valid_to, 'infinity') >= above.since
), said AS MATERIALIZED (
    SELECT event.unit, event.site, event.dealer, event.biz_step, event.occurred_at, event.lot
    FROM (SELECT DISTINCT holder FROM above) AS holders
    JOIN trace.custody_event AS event ON event.unit = holders.holder AND event.biz_step IN
        ('receiving', 'shipping', 'retail_selling', 'returning', 'decommissioning', 'destroying', 'commissioning')
    WHERE NOT EXISTS (
        SELECT FROM trace.custody_event AS taken_back WHERE taken_back.unit = event.unit
            AND taken_back.corrects_device = event.device AND taken_back.corrects_boot = event.boot
            AND taken_back.corrects_seq = event.seq)
), lasts AS (
    SELECT wanted.site, wanted.unit, wanted.gtin, max(said.lot) AS lot,
        max(said.occurred_at) FILTER (WHERE said.biz_step = 'receiving' AND here) AS received,
        max(said.occurred_at) FILTER (WHERE said.biz_step = 'receiving' AND here AND said.unit = wanted.unit)
            AS returned,
        max(said.occurred_at) FILTER (WHERE said.biz_step IN ('shipping', 'returning') AND here) AS shipped,
        max(said.occurred_at) FILTER (WHERE said.biz_step IN ('retail_selling', 'decommissioning', 'destroying') AND here)
            AS gone,
        max(said.occurred_at) FILTER (WHERE said.biz_step = 'retail_selling' AND here) AS sold,
        max(said.occurred_at) FILTER (WHERE said.biz_step = 'shipping' AND said.dealer = place.dealer) AS supplied
    FROM wanted JOIN trace.site AS place ON place.id = wanted.site
    JOIN above ON above.item = wanted.unit
    JOIN said ON said.unit = above.holder AND said.occurred_at BETWEEN above.since AND above.until
    CROSS JOIN LATERAL (SELECT said.site = wanted.site AS here) AS at_site
    GROUP BY wanted.site, wanted.unit, wanted.gtin
)
INSERT INTO trace.stock_unit (site, unit, gtin, lot, present, coming, strange, sold_at, received_at)
SELECT site, unit, gtin, lot,
    coalesce(received > shipped, received IS NOT NULL) AND coalesce(returned > gone, gone IS NULL),
    supplied IS NOT NULL AND received IS NULL AND gone IS NULL AND supplied > now() - interval '60 days',
    sold IS NOT NULL AND received IS NULL AND supplied IS NULL, sold, received
FROM lasts
ON CONFLICT (site, unit) DO UPDATE SET lot = coalesce(excluded.lot, stock_unit.lot), present = excluded.present, coming = excluded.coming,
    strange = excluded.strange, sold_at = excluded.sold_at, received_at = excluded.received_at

-- name: lotless
SELECT site, unit FROM unnest(%(sites)s::text[], %(units)s::text[]) AS wanted (site, unit)
JOIN trace.stock_unit USING (site, unit) WHERE stock_unit.lot IS NULL

-- name: name_lots
UPDATE trace.stock_unit SET lot = named.lot
FROM unnest(%(sites)s::text[], %(units)s::text[], %(lots)s::text[]) AS named (site, unit, lot)
WHERE stock_unit.site = named.site AND stock_unit.unit = named.unit

-- name: count_stock
-- The ledger from its items; what somebody counted is added until the next count.
WITH totals AS (
    SELECT wanted.site, wanted.gtin,
        (SELECT count(*) FROM trace.stock_unit AS unit
            WHERE unit.site = wanted.site AND unit.gtin = wanted.gtin AND unit.present) AS present,
        (SELECT count(*) FROM trace.stock_unit AS unit
            WHERE unit.site = wanted.site AND unit.gtin = wanted.gtin AND unit.coming) AS coming,
        (SELECT count(*) FROM trace.stock_unit AS unit
            WHERE unit.site = wanted.site AND unit.gtin = wanted.gtin AND unit.strange) AS strange,
        (SELECT count(*) FROM trace.stock_unit AS unit WHERE unit.site = wanted.site AND unit.gtin = wanted.gtin
            AND unit.sold_at > now() - interval '30 days') AS sold,
        EXISTS (SELECT FROM trace.stock_unit AS unit WHERE unit.site = wanted.site AND unit.gtin = wanted.gtin
            AND unit.received_at IS NOT NULL) AS received
    FROM unnest(%(sites)s::text[], %(gtins)s::text[]) AS wanted (site, gtin)
)
UPDATE trace.stock SET ledger = totals.present + old.adjusted, coming = totals.coming, unexplained = totals.strange,
    sold_lately = totals.sold, received = totals.received, updated_at = clock_timestamp()
FROM totals, trace.stock AS old
WHERE stock.site = totals.site AND stock.gtin = totals.gtin AND old.site = totals.site AND old.gtin = totals.gtin
RETURNING stock.site, stock.gtin, CASE WHEN stock.sensed IS NULL THEN stock.ledger - old.ledger ELSE 0 END AS rise,
    stock.unexplained - old.unexplained AS strangers, greatest(stock.ledger - old.ledger, 0) AS arrived

-- name: write_figures
UPDATE trace.stock SET sensed = fresh.sensed, sensed_at = fresh.sensed_at, confidence = fresh.confidence,
    device = fresh.device, boot = fresh.boot, seq = fresh.seq, quantity = fresh.quantity,
    certainty = fresh.certainty, differences = fresh.differences, settled = fresh.settled, sure_at = fresh.sure_at,
    backroom = fresh.backroom, updated_at = clock_timestamp()
FROM jsonb_to_recordset(%(rows)s) AS fresh (site text, gtin text, sensed integer, sensed_at timestamptz,
    confidence real, device text, boot uuid, seq bigint, quantity integer, certainty real, differences integer[],
    settled integer, sure_at timestamptz, backroom integer)
WHERE stock.site = fresh.site AND stock.gtin = fresh.gtin

-- name: insert_findings
INSERT INTO trace.stock_finding (brand, site, gtin, kind, quantity, detail, device, boot, seq)
SELECT brand, site, gtin, kind, quantity, detail, device, boot, seq
FROM jsonb_to_recordset(%(rows)s) AS fresh (brand text, site text, gtin text, kind text, quantity integer,
    detail jsonb, device text, boot uuid, seq bigint)
ON CONFLICT DO NOTHING

-- name: resolve_findings
UPDATE trace.stock_finding SET resolved_at = clock_timestamp()
FROM jsonb_to_recordset(%(rows)s) AS gone (id bigint)
WHERE stock_finding.id = gone.id AND resolved_at IS NULL

-- name: strangers
-- The items that were sold and never supplied, newest first.
SELECT site, gtin, (array_agg(unit ORDER BY sold_at DESC))[1:20] AS units
FROM trace.stock_unit WHERE strange AND (site, gtin) IN (SELECT * FROM unnest(%(sites)s::text[], %(gtins)s::text[]))
GROUP BY site, gtin

-- name: queue_moves
INSERT INTO trace.stock_due (site, unit, device, boot, seq)
SELECT site, unit, %(device)s, %(boot)s, %(seq)s FROM unnest(%(sites)s::text[], %(units)s::text[]) AS moved (site, unit)

-- name: claim_moves
DELETE FROM trace.stock_due WHERE id IN (
    SELECT id FROM trace.stock_due ORDER BY id LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
RETURNING site, unit, device, boot, seq
