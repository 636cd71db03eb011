-- name: receive_orders
-- What came in takes approved orders off the way, the oldest first; less than a case was only put back.
UPDATE trace.proposal SET arrived = proposal.arrived + least(due.open, came.units - due.before),
    arrived_at = CASE WHEN due.open <= came.units - due.before THEN clock_timestamp() END
FROM unnest(%(sites)s::text[], %(gtins)s::text[], %(rises)s::integer[]) AS came (site, gtin, units)
JOIN trace.product ON product.gtin = came.gtin AND came.units >= product.items_per_case
JOIN LATERAL (
    SELECT id, quantity - arrived AS open,
        sum(quantity - arrived) OVER (ORDER BY decided_at, id) - (quantity - arrived) AS before
    FROM trace.proposal AS approved
    WHERE coalesce(approved.to_site, approved.site) = came.site AND approved.gtin = came.gtin
        AND approved.state = 'approved' AND approved.kind IN ('order', 'vmi', 'transfer')
        AND approved.decided_at > now() - interval '5 days'
) AS due ON due.before < came.units
WHERE proposal.id = due.id AND due.open > 0

-- name: positions
-- Lines that rest on the place's own demand count where half of that figure or more is its own history; until then the
-- configured ones do. What was rejected is not proposed again for a day. Suspect goods are no stock.
SELECT stock.site, stock.gtin, stock.brand, stock.dealer, stock.sensed, stock.confidence, stock.ledger, stock.quantity
    AS figure, stock.certainty, stock.suspect, stock.managed, stock.updated_at AS figure_at,
    stock.ledger <> 0 OR EXISTS (
        SELECT FROM trace.custody_event WHERE custody_event.site = stock.site AND biz_step = 'receiving') AS counted,
    coalesce(in_transit.quantity, 0) AS in_transit, coalesce(line.mean * line.bias, stock.daily_demand) AS daily_demand,
    coalesce(line.warning, stock.reorder) AS reorder, coalesce(line.maximum, stock.maximum) AS maximum,
    line.ratio, line.lead_days, coalesce(line.model, 'lines-1') AS model, coalesce(line.evidence, 0) AS evidence,
    coalesce(line.history_days, 0) AS history_days, product.items_per_case, product.unit_price, now(),
    proposal.id AS proposal, proposal.quantity, proposal.need_by, proposal.reason, proposal.kind, EXISTS (
        SELECT FROM trace.proposal AS old WHERE old.site = stock.site AND old.gtin = stock.gtin
            AND old.kind IN ('order', 'vmi') AND old.state = 'rejected' AND old.decided_at > now() - interval '1 day')
        AS rejected_lately
FROM unnest(%(sites)s::text[], %(gtins)s::text[]) AS wanted (site, gtin)
JOIN trace.stock USING (site, gtin)
JOIN trace.product USING (gtin)
LEFT JOIN trace.stock_line AS line ON line.site = stock.site AND line.gtin = stock.gtin AND line.evidence >= 0.5
LEFT JOIN trace.proposal ON proposal.site = stock.site AND proposal.gtin = stock.gtin AND proposal.state = 'open'
    AND proposal.kind IN ('order', 'vmi')
LEFT JOIN trace.in_transit ON in_transit.site = stock.site AND in_transit.gtin = stock.gtin

-- name: insert_proposals
INSERT INTO trace.proposal (brand, kind, site, to_site, gtin, dealer, quantity, need_by, reason, created_at, updated_at,
    device, boot, seq, p_without, p_with, cost, confidence, model, inputs)
SELECT brand, kind, site, to_site, gtin, dealer, quantity, need_by, reason, clock_timestamp(), clock_timestamp(), device,
    boot, seq, p_without, p_with, cost, confidence, model, inputs
FROM jsonb_to_recordset(%(rows)s) AS fresh (brand text, kind text, site text, to_site text, gtin text, dealer text,
    quantity integer, need_by date, reason jsonb, device text, boot uuid, seq bigint, p_without double precision,
    p_with double precision, cost numeric, confidence real, model text, inputs jsonb)
ON CONFLICT DO NOTHING

-- name: update_proposals
UPDATE trace.proposal SET quantity = fresh.quantity, need_by = fresh.need_by, reason = fresh.reason,
    device = fresh.device, boot = fresh.boot, seq = fresh.seq, p_without = fresh.p_without, p_with = fresh.p_with,
    cost = fresh.cost, confidence = fresh.confidence, model = fresh.model, inputs = fresh.inputs,
    updated_at = clock_timestamp()
FROM jsonb_to_recordset(%(rows)s) AS fresh (id bigint, quantity integer, need_by date, reason jsonb, device text,
    boot uuid, seq bigint, p_without double precision, p_with double precision, cost numeric, confidence real, model text,
    inputs jsonb)
WHERE proposal.id = fresh.id AND proposal.state = 'open'

-- name: withdraw_proposals
UPDATE trace.proposal SET state = 'withdrawn', updated_at = clock_timestamp()
FROM jsonb_to_recordset(%(rows)s) AS gone (id bigint)
WHERE proposal.id = gone.id AND proposal.state = 'open'
