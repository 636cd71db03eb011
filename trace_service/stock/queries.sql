-- name: readings
SELECT stock.device, stock.boot, stock.seq, stock.ts, stock.site, stock.channel, stock.gtin, stock.units,
    stock.confidence, stock.fault, site.id IS NOT NULL AS known_site, product.gtin IS NOT NULL AS known_product
FROM unnest(%(devices)s::text[], %(boots)s::uuid[], %(seqs)s::bigint[], %(moments)s::timestamptz[])
    AS wanted (device, boot, seq, ts)
JOIN landing.stock USING (device, boot, seq, ts)
LEFT JOIN trace.site ON site.id = stock.site
LEFT JOIN trace.product ON product.gtin = stock.gtin

-- name: channels
SELECT site, gtin FROM trace.shelf_channel WHERE device = ANY(%(devices)s)

-- name: write_channels
INSERT INTO trace.shelf_channel (device, channel, site, gtin, units, confidence, fault, ts, boot, seq)
SELECT device, channel, site, gtin, units, confidence, fault, ts, boot, seq
FROM jsonb_to_recordset(%(rows)s) AS fresh (device text, channel smallint, site text, gtin text, units integer,
    confidence real, fault text, ts timestamptz, boot uuid, seq bigint)
ON CONFLICT (device, channel) DO UPDATE SET site = excluded.site, gtin = excluded.gtin, units = excluded.units,
    confidence = excluded.confidence, fault = excluded.fault, ts = excluded.ts, boot = excluded.boot, seq = excluded.seq
WHERE (excluded.ts, excluded.boot, excluded.seq) > (shelf_channel.ts, shelf_channel.boot, shelf_channel.seq)

-- name: sense_stock
-- One channel that cannot be believed makes the sum unbelievable: the last good figure stays, marked as doubtful.
WITH sums AS (
    SELECT wanted.site, wanted.gtin, sum(channel.units)::integer AS units, max(channel.ts) AS ts,
        min(CASE WHEN channel.fault <> '' THEN 0 ELSE channel.confidence END) AS confidence,
        (array_agg(channel.device ORDER BY channel.ts DESC, channel.seq DESC))[1] AS device,
        (array_agg(channel.boot ORDER BY channel.ts DESC, channel.seq DESC))[1] AS boot,
        (array_agg(channel.seq ORDER BY channel.ts DESC, channel.seq DESC))[1] AS seq
    FROM unnest(%(sites)s::text[], %(gtins)s::text[]) AS wanted (site, gtin)
    LEFT JOIN trace.shelf_channel AS channel USING (site, gtin)
    GROUP BY wanted.site, wanted.gtin
)
UPDATE trace.stock SET
    sensed = CASE WHEN coalesce(sums.confidence, 1) >= %(least)s THEN sums.units ELSE stock.sensed END,
    sensed_at = CASE WHEN coalesce(sums.confidence, 1) >= %(least)s THEN sums.ts ELSE stock.sensed_at END,
    confidence = sums.confidence, device = sums.device, boot = sums.boot, seq = sums.seq,
    updated_at = clock_timestamp()
FROM sums, trace.stock AS old
WHERE stock.site = sums.site AND stock.gtin = sums.gtin AND old.site = sums.site AND old.gtin = sums.gtin
RETURNING stock.site, stock.gtin, coalesce(stock.sensed - old.sensed, 0) AS rise

-- name: products_of_moves
-- Which products stand behind moved units: an item names its own, a case those of what lies in it.
SELECT DISTINCT moved.site, split_part(coalesce(inner_unit.child, moved.unit), '/', 3) AS gtin
FROM unnest(%(sites)s::text[], %(units)s::text[]) AS moved (site, unit)
LEFT JOIN trace.containment AS inner_unit ON inner_unit.parent = moved.unit AND inner_unit.valid_to IS DISTINCT FROM
    inner_unit.valid_from
JOIN trace.stock ON stock.site = moved.site
    AND stock.gtin = split_part(coalesce(inner_unit.child, moved.unit), '/', 3)

-- name: count_stock
-- The ledger: items received at the site, by themselves or in their case, and since then neither sold there nor
-- shipped on. A case whose label is read again brings back nothing that was sold out of it.
WITH wanted AS (
    SELECT site, gtin FROM unnest(%(sites)s::text[], %(gtins)s::text[]) AS w (site, gtin)
), own AS (
    SELECT site, unit, biz_step, occurred_at FROM trace.custody_event
    WHERE site = ANY(%(sites)s) AND biz_step IN ('receiving', 'shipping', 'retail_selling')
), moves AS (
    SELECT site, unit, biz_step, occurred_at, true AS by_itself FROM own
    UNION ALL
    SELECT own.site, inner_unit.child, own.biz_step, own.occurred_at, false
    FROM own JOIN trace.containment AS inner_unit ON inner_unit.parent = own.unit
        AND inner_unit.valid_to IS DISTINCT FROM inner_unit.valid_from
), lasts AS (
    SELECT site, unit, max(occurred_at) FILTER (WHERE biz_step = 'receiving') AS received,
        max(occurred_at) FILTER (WHERE biz_step = 'receiving' AND by_itself) AS returned,
        max(occurred_at) FILTER (WHERE biz_step = 'shipping') AS shipped,
        max(occurred_at) FILTER (WHERE biz_step = 'retail_selling') AS sold
    FROM moves GROUP BY site, unit
), totals AS (
    SELECT wanted.site, wanted.gtin, count(lasts.unit)::integer AS ledger
    FROM wanted LEFT JOIN lasts ON lasts.site = wanted.site
        AND lasts.unit LIKE '/01/' || wanted.gtin || '/21/%%'
        AND coalesce(lasts.received > lasts.shipped, lasts.received IS NOT NULL)
        AND coalesce(lasts.returned > lasts.sold, lasts.sold IS NULL)
    GROUP BY wanted.site, wanted.gtin
)
UPDATE trace.stock SET ledger = totals.ledger, updated_at = clock_timestamp()
FROM totals, trace.stock AS old
WHERE stock.site = totals.site AND stock.gtin = totals.gtin AND stock.ledger <> totals.ledger
    AND old.site = totals.site AND old.gtin = totals.gtin
RETURNING stock.site, stock.gtin, CASE WHEN stock.sensed IS NULL THEN stock.ledger - old.ledger ELSE 0 END AS rise
