-- name: receive_orders
-- What came in takes approved orders off the way, the oldest first; less than a case was only put back. What is late by
-- as much as the lead time still counts, or nobody would learn that it is longer.
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
        AND approved.decided_at > now() - interval '10 days'
) AS due ON due.before < came.units
WHERE proposal.id = due.id AND due.open > 0

-- name: positions
-- What was rejected, or approved in part, is not proposed again for a day. Suspect goods are no stock.
SELECT stock.site, stock.gtin, stock.brand, stock.dealer, stock.sensed, stock.confidence, stock.ledger, stock.quantity
    AS figure, stock.certainty, stock.suspect, stock.managed, stock.updated_at AS figure_at,
    stock.ledger <> 0 OR EXISTS (
        SELECT FROM trace.custody_event WHERE custody_event.site = stock.site AND biz_step = 'receiving') AS counted,
    coalesce(in_transit.quantity, 0) AS in_transit, stock.daily_demand, stock.reorder, stock.maximum, stock.ratio,
    stock.lead_days, stock.model, stock.evidence, stock.history_days, stock.occasion, stock.occasion_from,
    stock.occasion_units, product.items_per_case, product.unit_price, now(),
    proposal.id AS proposal, proposal.quantity, proposal.need_by, proposal.reason, proposal.kind, EXISTS (
        SELECT FROM trace.proposal AS old WHERE old.site = stock.site AND old.gtin = stock.gtin
            AND old.kind IN ('order', 'vmi') AND old.decided_at > now() - interval '1 day'
            AND (old.state = 'rejected' OR old.state = 'approved' AND old.quantity < old.proposed)) AS declined_lately
FROM unnest(%(sites)s::text[], %(gtins)s::text[]) AS wanted (site, gtin)
JOIN trace.stock_in_force AS stock USING (site, gtin)
JOIN trace.product USING (gtin)
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
-- `available` is what made an order unnecessary: what is there and what is coming.
UPDATE trace.proposal SET state = 'withdrawn', updated_at = clock_timestamp(),
    inputs = inputs || jsonb_strip_nulls(jsonb_build_object('withdrawn_at_stock', gone.available))
FROM jsonb_to_recordset(%(rows)s) AS gone (id bigint, available integer)
WHERE proposal.id = gone.id AND proposal.state = 'open'

-- name: brands_with_stock
SELECT DISTINCT brand FROM trace.stock WHERE brand = %(brand)s::text OR %(brand)s::text IS NULL ORDER BY brand

-- name: begin_night
INSERT INTO trace.replenish_night (brand, night) VALUES (%(brand)s, %(night)s) ON CONFLICT DO NOTHING RETURNING brand

-- name: end_night
UPDATE trace.replenish_night SET ended_at = now(), report = %(report)s WHERE brand = %(brand)s AND night = %(night)s

-- name: one_run
-- Two runs of one brand would undo each other's work.
SELECT pg_try_advisory_xact_lock(hashtextextended('replenish ' || %(brand)s, 0)) AS had

-- name: count_sales
-- Sales of the last weeks are counted anew: events come late, and are taken back.
WITH sold AS (
    SELECT unit.site, unit.gtin, (unit.sold_at AT TIME ZONE %(zone)s)::date AS day, count(*)::integer AS units
    FROM trace.stock_unit AS unit JOIN trace.stock USING (site, gtin)
    WHERE stock.brand = %(brand)s AND unit.sold_at >= (%(since)s::date)::timestamp AT TIME ZONE %(zone)s
        AND unit.sold_at < (%(today)s::date)::timestamp AT TIME ZONE %(zone)s
    GROUP BY 1, 2, 3
), undone AS (
    UPDATE trace.demand_day AS old SET units = 0, recorded_at = clock_timestamp()
    WHERE brand = %(brand)s AND source = 'scans' AND day >= %(since)s AND units > 0
        AND NOT EXISTS (SELECT FROM sold WHERE sold.site = old.site AND sold.gtin = old.gtin AND sold.day = old.day)
)
INSERT INTO trace.demand_day (brand, site, gtin, day, units, source)
SELECT %(brand)s, site, gtin, day, units, 'scans' FROM sold
ON CONFLICT (site, gtin, day) DO UPDATE SET units = excluded.units, sold_out = false, recorded_at = clock_timestamp()
WHERE demand_day.source = 'scans' AND (demand_day.units <> excluded.units OR demand_day.sold_out)

-- name: count_weighed
-- Where nobody scans sales nor has them on record, what left the shelf was sold: its falls, less what was put back. A rise
-- by three items and more is a refill. What goes before the first day is read as well, for the step into it.
WITH reading AS (
    SELECT landed.site, landed.gtin, (landed.ts AT TIME ZONE %(zone)s)::date AS day,
        landed.units - lag(landed.units) OVER shelf AS step,
        lag(landed.site) OVER shelf = landed.site AND lag(landed.gtin) OVER shelf = landed.gtin AS same
    FROM landing.stock AS landed JOIN trace.stock ON stock.site = landed.site AND stock.gtin = landed.gtin
    WHERE stock.brand = %(brand)s AND stock.sold_lately = 0
        AND landed.ts >= (%(weighed_since)s::date - 1)::timestamp AT TIME ZONE %(zone)s
        AND landed.ts < (%(today)s::date)::timestamp AT TIME ZONE %(zone)s
        AND landed.fault = '' AND landed.confidence >= 0.5 AND landed.filled IS NULL
        AND NOT EXISTS (SELECT FROM trace.demand_day AS known WHERE known.site = landed.site
            AND known.gtin = landed.gtin AND known.source IN ('file', 'demo'))
    WINDOW shelf AS (PARTITION BY landed.device, landed.channel ORDER BY landed.ts, landed.seq)
)
INSERT INTO trace.demand_day (brand, site, gtin, day, units, source)
SELECT %(brand)s, site, gtin, day, greatest(-sum(step), 0)::integer, 'shelf' FROM reading
WHERE same AND step < 3 AND day >= %(weighed_since)s
GROUP BY site, gtin, day
ON CONFLICT (site, gtin, day) DO UPDATE SET units = excluded.units, source = 'shelf',
    sold_out = demand_day.sold_out AND excluded.units = 0, recorded_at = clock_timestamp()
WHERE demand_day.units <> excluded.units AND (demand_day.source = 'shelf' OR demand_day.units = 0)

-- name: note_sold_out
-- An empty shelf sells nothing, which is no lack of demand.
INSERT INTO trace.demand_day (brand, site, gtin, day, units, sold_out, source)
SELECT brand, site, gtin, %(today)s::date - 1, 0, true, 'scans' FROM trace.stock
WHERE brand = %(brand)s AND quantity = 0 AND certainty >= 0.5
ON CONFLICT (site, gtin, day) DO UPDATE SET sold_out = true WHERE demand_day.units = 0

-- name: load_sales
INSERT INTO trace.demand_day (brand, site, gtin, day, units, sold_out, promoted, source)
SELECT stock.brand, fresh.site, fresh.gtin, fresh.day, fresh.units, fresh.sold_out, fresh.promoted, 'file'
FROM jsonb_to_recordset(%(rows)s) AS fresh (site text, gtin text, day date, units integer, sold_out boolean,
    promoted boolean)
JOIN trace.stock ON stock.site = fresh.site AND stock.gtin = fresh.gtin AND stock.brand = %(brand)s
ON CONFLICT (site, gtin, day) DO UPDATE SET units = excluded.units, sold_out = excluded.sold_out,
    promoted = excluded.promoted, source = 'file', recorded_at = clock_timestamp()
RETURNING site

-- name: strange_lines
-- A site without a dealer is the brand's own, or several brands'.
SELECT fresh.site, fresh.gtin FROM jsonb_to_recordset(%(rows)s) AS fresh (site text, gtin text)
LEFT JOIN trace.product ON product.gtin = fresh.gtin AND product.brand = %(brand)s AND NOT product.ended
LEFT JOIN trace.site ON site.id = fresh.site AND NOT site.ended
LEFT JOIN trace.dealer ON dealer.id = site.dealer
WHERE product.gtin IS NULL OR site.id IS NULL OR dealer.brand <> %(brand)s
    OR dealer.id IS NULL AND EXISTS (SELECT FROM trace.channel_version AS version
        WHERE version.kind = 'site' AND version.key = site.id AND version.brand <> %(brand)s)
ORDER BY 1, 2

-- name: configure_lines
-- What was proposed to whoever decided about the place before goes with it; the worker looks at all that changed.
WITH fresh AS (
    SELECT given.site, given.gtin, site.dealer, given.daily_demand, given.reorder, given.maximum, given.managed
    FROM jsonb_to_recordset(%(rows)s) AS given (site text, gtin text, daily_demand double precision, reorder integer,
        maximum integer, managed text)
    JOIN trace.site ON site.id = given.site
), written AS (
    INSERT INTO trace.stock (site, gtin, brand, dealer, daily_demand, reorder, maximum, managed)
    SELECT site, gtin, %(brand)s, dealer, daily_demand, reorder, maximum, managed FROM fresh
    ON CONFLICT (site, gtin) DO UPDATE SET dealer = excluded.dealer, daily_demand = excluded.daily_demand,
        reorder = excluded.reorder, maximum = excluded.maximum, managed = excluded.managed
    WHERE (stock.dealer, stock.daily_demand, stock.reorder, stock.maximum, stock.managed) IS DISTINCT FROM
        (excluded.dealer, excluded.daily_demand, excluded.reorder, excluded.maximum, excluded.managed)
    RETURNING site, gtin, managed
), withdrawn AS (
    UPDATE trace.proposal SET state = 'withdrawn', updated_at = clock_timestamp() FROM written
    WHERE proposal.site = written.site AND proposal.gtin = written.gtin AND proposal.state = 'open'
        AND proposal.kind = CASE written.managed WHEN 'vendor' THEN 'order' ELSE 'vmi' END
)
SELECT site, gtin FROM written

-- name: review_lines
INSERT INTO trace.review_due (site, gtin)
SELECT fresh.site, fresh.gtin FROM jsonb_to_recordset(%(rows)s) AS fresh (site text, gtin text)

-- name: wake_worker
NOTIFY work

-- name: configured_lines
SELECT site, gtin, reorder, maximum, daily_demand, managed FROM trace.stock WHERE brand = %(brand)s ORDER BY site, gtin

-- name: unsold_places
SELECT site, gtin, reorder FROM trace.stock
WHERE brand = %(brand)s AND NOT EXISTS (SELECT FROM trace.demand_day WHERE demand_day.brand = %(brand)s)
ORDER BY site, gtin

-- name: seed_sales
INSERT INTO trace.demand_day (brand, site, gtin, day, units, source)
SELECT %(brand)s, site, gtin, day, units, 'demo'
FROM jsonb_to_recordset(%(rows)s) AS fresh (site text, gtin text, day date, units integer)
ON CONFLICT DO NOTHING

-- name: seed_promotion
INSERT INTO trace.promotion (brand, gtin, first_day, last_day, name, planned_by)
VALUES (%(brand)s, %(gtin)s, %(first)s, %(last)s, '演示促销 demo promotion', 'demo')
ON CONFLICT DO NOTHING

-- name: demand
SELECT site, gtin, day, units, sold_out, promoted FROM trace.demand_day
WHERE brand = %(brand)s AND day >= %(since)s AND day < %(today)s

-- name: places
SELECT stock.site, stock.gtin, stock.dealer, coalesce(stock.quantity, 0) AS quantity, stock.quantity IS NOT NULL AS seen,
    stock.certainty, stock.suspect, coalesce(in_transit.quantity, 0) AS in_transit, stock.maximum AS capacity,
    product.items_per_case, product.unit_price, product.product_line, site.lon, site.lat
FROM trace.stock
JOIN trace.product USING (gtin)
JOIN trace.site ON site.id = stock.site
LEFT JOIN trace.in_transit ON in_transit.site = stock.site AND in_transit.gtin = stock.gtin
WHERE stock.brand = %(brand)s
ORDER BY stock.site, stock.gtin

-- name: count_candidates
SELECT site, gtin, quantity, certainty, daily_demand, unit_price, days, findings FROM trace.count_candidate
WHERE brand = %(brand)s AND quantity IS NOT NULL AND (certainty < %(certainty)s OR findings > 0)

-- name: shelf_lives
-- For how many days what would be delivered now can be sold: goods of the batch that was issued last.
SELECT DISTINCT ON (gtin) gtin, expires_on - %(today)s::date AS days FROM trace.batch
WHERE brand = %(brand)s AND expires_on > %(today)s
ORDER BY gtin, issued_at DESC

-- name: lots
SELECT unit.site, unit.gtin, batch.expires_on, count(*)::integer AS units
FROM trace.stock_unit AS unit
JOIN trace.batch ON batch.gtin = unit.gtin AND batch.lot = split_part(unit.lot, '/10/', 2) AND batch.brand = %(brand)s
WHERE unit.present AND batch.expires_on IS NOT NULL
GROUP BY 1, 2, 3

-- name: deliveries
SELECT coalesce(to_site, site) AS site, gtin, extract(epoch FROM arrived_at - decided_at) / 86400 AS days
FROM trace.proposal
WHERE brand = %(brand)s AND kind IN ('order', 'vmi') AND arrived_at > decided_at AND decided_at > now() - interval '1 year'

-- name: decisions
SELECT site, gtin, state, quantity, proposed, decision_code FROM trace.proposal
WHERE brand = %(brand)s AND kind IN ('order', 'vmi') AND decided_at > now() - interval '180 days'
    AND state IN ('approved', 'rejected')

-- name: claim_reviews
DELETE FROM trace.review_due WHERE id IN (
    SELECT id FROM trace.review_due ORDER BY id LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
RETURNING site, gtin

-- name: claim_suspects
-- All that asked for one brand's count; what is asked while this one counts is counted next.
DELETE FROM trace.suspect_due WHERE id IN (
    SELECT id FROM trace.suspect_due WHERE brand = (SELECT brand FROM trace.suspect_due ORDER BY id LIMIT 1)
    FOR UPDATE SKIP LOCKED)
RETURNING brand

-- name: changed_suspects
-- Recalled and held units with all that lies in them, whole products and lots, units in quarantine, and evidence of a
-- diversion that nobody has explained.
WITH RECURSIVE last_word AS (
    SELECT DISTINCT ON (unit) unit, biz_step FROM trace.custody_event AS event
    WHERE biz_step IN ('holding', 'unblocking', 'recalling') AND brand = %(brand)s AND NOT EXISTS (
        SELECT FROM trace.custody_event AS taken_back WHERE taken_back.unit = event.unit
            AND taken_back.corrects_device = event.device AND taken_back.corrects_boot = event.boot
            AND taken_back.corrects_seq = event.seq)
    ORDER BY unit, occurred_at DESC
), held AS (
    SELECT unit FROM last_word WHERE biz_step <> 'unblocking'
    UNION
    SELECT inner_unit.child FROM held JOIN trace.containment AS inner_unit ON inner_unit.parent = held.unit
        AND inner_unit.valid_to IS NULL
), suspected AS (
    SELECT unit FROM held
    UNION SELECT code FROM trace.quarantine WHERE resolved_at IS NULL AND brand = %(brand)s
    UNION SELECT evidence.unit FROM trace.alert_evidence AS evidence JOIN trace.alert ON alert.id = evidence.alert
        WHERE alert.brand = %(brand)s AND (alert.state <> 'closed' OR alert.outcome = 'confirmed')
), counts AS (
    SELECT unit.site, unit.gtin, count(*)::integer AS units FROM trace.stock_unit AS unit
    WHERE unit.present AND (unit.unit IN (SELECT unit FROM suspected) OR '/01/' || unit.gtin IN (SELECT unit FROM held)
        OR unit.lot IN (SELECT unit FROM held))
    GROUP BY 1, 2
)
SELECT stock.site, stock.gtin, coalesce(counts.units, 0) AS units
FROM trace.stock LEFT JOIN counts ON counts.site = stock.site AND counts.gtin = stock.gtin
WHERE stock.brand = %(brand)s AND stock.suspect <> coalesce(counts.units, 0)

-- name: write_suspects
UPDATE trace.stock SET suspect = fresh.units, updated_at = clock_timestamp()
FROM jsonb_to_recordset(%(rows)s) AS fresh (site text, gtin text, units integer)
WHERE stock.site = fresh.site AND stock.gtin = fresh.gtin

-- name: withdraw_suspects
-- What was to be given away or marked down, where less than that is free of suspicion now.
UPDATE trace.proposal SET state = 'withdrawn', updated_at = clock_timestamp()
FROM unnest(%(sites)s::text[], %(gtins)s::text[]) AS place (site, gtin) JOIN trace.stock USING (site, gtin)
WHERE proposal.site = place.site AND proposal.gtin = place.gtin AND proposal.state = 'open'
    AND proposal.kind IN ('transfer', 'markdown') AND proposal.quantity > coalesce(stock.quantity, 0) - stock.suspect

-- name: flag_suspects
-- The others say how many of the giver's goods must stay where they are.
UPDATE trace.proposal SET updated_at = clock_timestamp(),
    reason = jsonb_set(proposal.reason, '{parameters,suspect}', to_jsonb(stock.suspect))
FROM unnest(%(sites)s::text[], %(gtins)s::text[]) AS place (site, gtin) JOIN trace.stock USING (site, gtin)
WHERE proposal.site = place.site AND proposal.gtin = place.gtin AND proposal.state = 'open'
    AND proposal.kind IN ('transfer', 'markdown') AND proposal.reason ? 'parameters'

-- name: write_lines
INSERT INTO trace.stock_line (site, gtin, brand, mean, ratio, bias, lead_days, lead_variance, service, safety, warning,
    maximum, evidence, model, history_days, occasion, occasion_from, occasion_units)
SELECT site, gtin, %(brand)s, mean, ratio, bias, lead_days, lead_variance, service, safety, warning, maximum, evidence,
    model, history_days, occasion, occasion_from, occasion_units
FROM jsonb_to_recordset(%(rows)s) AS fresh (site text, gtin text, mean double precision, ratio double precision,
    bias double precision, lead_days double precision, lead_variance double precision, service double precision,
    safety integer, warning integer, maximum integer, evidence double precision, model text, history_days integer,
    occasion text, occasion_from date, occasion_units double precision)
ON CONFLICT (site, gtin) DO UPDATE SET mean = excluded.mean, ratio = excluded.ratio, bias = excluded.bias,
    lead_days = excluded.lead_days, lead_variance = excluded.lead_variance, service = excluded.service,
    safety = excluded.safety, warning = excluded.warning, maximum = excluded.maximum, evidence = excluded.evidence,
    model = excluded.model, history_days = excluded.history_days, occasion = excluded.occasion,
    occasion_from = excluded.occasion_from, occasion_units = excluded.occasion_units, made_at = clock_timestamp()

-- name: forget_plan
DELETE FROM trace.planned_order WHERE brand = %(brand)s

-- name: write_plan
INSERT INTO trace.planned_order (brand, site, gtin, order_on, quantity, arrives_on, early_on, model, occasion)
SELECT %(brand)s, site, gtin, order_on, quantity, arrives_on, early_on, model, occasion
FROM jsonb_to_recordset(%(rows)s) AS fresh (site text, gtin text, order_on date, quantity integer, arrives_on date,
    early_on date, model text, occasion text)

-- name: forget_coming
DELETE FROM trace.coming_day WHERE brand = %(brand)s

-- name: write_coming
INSERT INTO trace.coming_day (brand, day, name, product_line, factor)
SELECT %(brand)s, day, name, product_line, factor
FROM jsonb_to_recordset(%(rows)s) AS fresh (day date, name text, product_line text, factor double precision)

-- name: coming
SELECT day, name, product_line, factor FROM trace.coming_day WHERE brand = %(brand)s ORDER BY day, product_line

-- name: promotions
SELECT id, gtin, sites, first_day, last_day, uplift, name, planned_by, planned_at, cancelled_by, cancelled_at
FROM trace.promotion
WHERE brand = %(brand)s AND last_day >= %(since)s AND (cancelled_at IS NULL OR %(cancelled)s)
ORDER BY first_day, id

-- name: plan_promotions
-- Only of the brand's products, at sites that have them; what is planned already stands.
INSERT INTO trace.promotion (brand, gtin, sites, first_day, last_day, uplift, name, planned_by)
SELECT %(brand)s, fresh.gtin, (SELECT coalesce(array_agg(DISTINCT each ORDER BY each), '{}') FROM unnest(fresh.sites) AS each),
    first_day, last_day, uplift, fresh.name, %(by)s
FROM jsonb_to_recordset(%(rows)s) AS fresh (gtin text, sites text[], first_day date, last_day date,
    uplift double precision, name text)
JOIN trace.product ON product.gtin = fresh.gtin AND product.brand = %(brand)s
WHERE NOT EXISTS (
    SELECT FROM unnest(fresh.sites) AS wanted (site) WHERE NOT EXISTS (
        SELECT FROM trace.stock WHERE stock.site = wanted.site AND stock.gtin = fresh.gtin))
ON CONFLICT DO NOTHING
RETURNING id, gtin, sites, first_day, last_day

-- name: cancel_promotion
UPDATE trace.promotion SET cancelled_by = %(by)s, cancelled_at = clock_timestamp()
WHERE id = %(id)s AND brand = %(brand)s AND cancelled_at IS NULL
RETURNING id

-- name: standing
-- Open proposals of the kinds that only runs make, and those that were rejected within a week.
SELECT id, kind, site, coalesce(to_site, '') AS to_site, gtin, quantity, reason, state FROM trace.proposal
WHERE brand = %(brand)s AND kind = ANY(%(kinds)s)
    AND (state = 'open' OR state IN ('rejected', 'approved') AND decided_at > now() - interval '7 days')
ORDER BY id

-- name: open_kinds
SELECT kind, count(*)::integer AS number FROM trace.proposal WHERE brand = %(brand)s AND state = 'open' GROUP BY kind

-- name: feed
-- In the order of the transactions that wrote them last; a cursor is (changed, id). What is not `settled`, a transaction
-- that still runs may yet come before: readers get it now and again, and their cursor stays before it. A cursor that is
-- ahead of this database is of another one, which this was restored from: its reader begins anew.
SELECT proposal.id, kind, state, site, to_site, gtin, dealer, quantity, proposed, need_by, reason, p_without, p_with,
    cost::float8 AS cost, confidence, model, inputs, created_at, updated_at, decided_by, decided_at, decision_code,
    decision_note, arrived, arrived_at, changed::text AS changed,
    changed < pg_snapshot_xmin(pg_current_snapshot()) AS settled
FROM trace.proposal
WHERE brand = %(brand)s AND (%(state)s::text IS NULL OR state = %(state)s) AND (%(kind)s::text IS NULL OR kind = %(kind)s)
    AND (%(site)s::text IS NULL OR site = %(site)s OR to_site = %(site)s) AND (%(id)s::bigint IS NULL OR id = %(id)s)
    AND (proposal.changed, proposal.id) > (CASE WHEN %(changed)s::xid8 < pg_snapshot_xmin(pg_current_snapshot())
        THEN %(changed)s::xid8 ELSE '0' END, %(after)s::bigint)
ORDER BY proposal.changed, proposal.id LIMIT %(limit)s

-- name: decide
UPDATE trace.proposal
SET state = %(state)s, decided_by = %(who)s, decided_at = now(), updated_at = now(), decision_code = %(code)s,
    decision_note = %(note)s, quantity = coalesce(%(quantity)s, quantity),
    proposed = CASE WHEN %(quantity)s::integer <> quantity THEN quantity ELSE proposed END,
    p_with = CASE WHEN %(quantity)s::integer <> quantity THEN NULL ELSE p_with END,
    cost = cost * coalesce(%(quantity)s, quantity) / quantity
WHERE id = %(id)s AND brand = %(brand)s AND state = 'open' AND (%(seen)s::integer IS NULL OR quantity = %(seen)s)
RETURNING id

-- name: lines
SELECT site, gtin, daily_demand, ratio, bias, lead_days, service, safety, reorder AS warning, maximum, evidence, model,
    history_days, occasion, occasion_from, occasion_units, made_at, quantity, certainty, suspect
FROM trace.stock_in_force
WHERE brand = %(brand)s AND (%(site)s::text IS NULL OR site = %(site)s)
ORDER BY site, gtin LIMIT %(limit)s

-- name: plan
SELECT site, gtin, order_on, quantity, arrives_on, early_on, occasion, model, made_at FROM trace.planned_order
WHERE brand = %(brand)s AND (%(site)s::text IS NULL OR site = %(site)s)
ORDER BY order_on, site, gtin LIMIT %(limit)s

-- name: site_key
SELECT id, gln FROM trace.site WHERE id = %(site)s
