-- Every block that returns or changes a brand's rows takes %(brand)s from the session.

-- name: account
SELECT account.login, account.password_hash
FROM trace.account
WHERE account.login = %(login)s AND account.disabled_at IS NULL;

-- name: begin_session
INSERT INTO trace.session (token_hash, login, csrf, expires_at)
VALUES (%(token_hash)s, %(login)s, %(csrf)s, %(expires_at)s);

-- name: session
SELECT session.token_hash, session.login, session.csrf, session.expires_at, account.brand, account.name,
    account.role, account.language, brand.name_zh AS brand_name_zh, brand.name_en AS brand_name_en
FROM trace.session
JOIN trace.account USING (login)
JOIN trace.brand ON brand.id = account.brand
WHERE session.token_hash = %(token_hash)s AND session.expires_at > now() AND account.disabled_at IS NULL;

-- name: partner
-- A use is noted once a minute: a busy partner must not cost a write a request.
WITH used AS (
    UPDATE trace.partner_token SET last_used_at = now()
    WHERE token_hash = %(token_hash)s AND revoked_at IS NULL AND expires_at > now()
        AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')
)
SELECT token_hash, brand, name, scopes FROM trace.partner_token
WHERE token_hash = %(token_hash)s AND revoked_at IS NULL AND expires_at > now();

-- name: station
SELECT device_token.device, device.site FROM trace.device_token JOIN landing.device ON device.id = device_token.device
WHERE device_token.token_hash = %(token_hash)s AND device_token.revoked_at IS NULL AND device.retired_at IS NULL;

-- name: refills
SELECT gtin, count(*)::integer AS units, (extract(epoch FROM received_at) * 1000)::bigint AS at
FROM trace.stock_unit
WHERE site = %(site)s AND received_at > greatest(%(since)s, now() - interval '2 days')
GROUP BY gtin, received_at ORDER BY received_at, gtin;

-- name: end_session
DELETE FROM trace.session WHERE token_hash = %(token_hash)s;

-- name: sweep_sessions
DELETE FROM trace.session WHERE expires_at <= now();

-- name: alert_counts
SELECT state, count(*) AS number FROM trace.alert WHERE brand = %(brand)s GROUP BY state;

-- name: alerts
SELECT alert.id, alert.kind, alert.dealer, dealer.name_zh AS dealer_name_zh, dealer.name_en AS dealer_name_en,
    alert.city, alert.raised_at, alert.updated_at, alert.state, alert.outcome, alert.decided_by, alert.decided_at,
    alert.cases, alert.scans, alert.reason, seen.first_seen, seen.last_seen,
    nearest.name_zh AS nearest_name_zh, nearest.name_en AS nearest_name_en, link.case_id, alert.probability,
    CASE WHEN %(whole)s THEN alert.material END AS material
FROM trace.alert
LEFT JOIN trace.case_alert AS link ON link.alert = alert.id
JOIN trace.dealer ON dealer.id = alert.dealer
LEFT JOIN trace.dealer AS nearest
    ON nearest.brand = alert.brand AND nearest.id = alert.reason #>> '{parameters,nearest_legal}'
LEFT JOIN LATERAL (
    SELECT min(verdict.occurred_at) AS first_seen, max(verdict.occurred_at) AS last_seen
    FROM trace.alert_evidence JOIN trace.verdict USING (device, boot, seq)
    WHERE alert_evidence.alert = alert.id
) AS seen ON true
WHERE alert.brand = %(brand)s
    AND (%(state)s::text IS NULL OR alert.state = %(state)s)
    AND (%(before)s::bigint IS NULL OR alert.id < %(before)s)
    AND (%(id)s::bigint IS NULL OR alert.id = %(id)s)
    AND (%(case)s::bigint IS NULL OR link.case_id = %(case)s)
ORDER BY alert.id DESC
LIMIT %(limit)s;

-- name: alert_news
-- What a reader of the queue has not seen yet: alerts above the newest shown, and changes below it.
SELECT count(*) FILTER (WHERE id > %(after)s) AS fresh,
    count(*) FILTER (WHERE id <= %(after)s AND updated_at > %(since)s) AS changed
FROM trace.alert
WHERE brand = %(brand)s AND state = %(state)s;

-- name: alert_evidence
SELECT alert_evidence.device, alert_evidence.boot, alert_evidence.seq, alert_evidence.unit, alert_evidence.case_unit,
    verdict.occurred_at, verdict.code, verdict.gtin, verdict.code_state, verdict.place, verdict.city,
    verdict.signed_distance_m, verdict.p_inside, coalesce(verdict.lon, landed.lon) AS lon,
    coalesce(verdict.lat, landed.lat) AS lat, coalesce(verdict.accuracy_m, landed.accuracy_m) AS accuracy_m,
    verdict.shipment, verdict.territory, verdict.map_version, verdict.activity,
    coalesce(landed.platform = 'address', false) AS by_address, nullif(landed.operator, '') AS phone
FROM trace.alert_evidence
JOIN trace.verdict USING (device, boot, seq)
LEFT JOIN LATERAL (
    -- What the geofence did not judge still was somewhere: a network address, a code that nobody issued.
    SELECT scan.platform, scan.operator, scan.accuracy_m, CASE WHEN scan.crs = 'wgs84' THEN scan.lon END AS lon,
        CASE WHEN scan.crs = 'wgs84' THEN scan.lat END AS lat
    FROM landing.scan
    WHERE scan.device = verdict.device AND scan.boot = verdict.boot AND scan.seq = verdict.seq
        AND scan.ts = verdict.occurred_at
) AS landed ON true
WHERE alert_evidence.alert = %(id)s AND verdict.brand = %(brand)s
ORDER BY verdict.occurred_at, alert_evidence.device, alert_evidence.seq;

-- name: case_evidence
SELECT alert_evidence.device, alert_evidence.boot, alert_evidence.seq, alert_evidence.unit, alert_evidence.case_unit,
    verdict.occurred_at, verdict.code, verdict.gtin, verdict.code_state, verdict.place, verdict.city,
    verdict.signed_distance_m, verdict.p_inside, coalesce(verdict.lon, landed.lon) AS lon,
    coalesce(verdict.lat, landed.lat) AS lat, coalesce(verdict.accuracy_m, landed.accuracy_m) AS accuracy_m,
    verdict.shipment, verdict.territory, verdict.map_version, verdict.activity,
    coalesce(landed.platform = 'address', false) AS by_address, nullif(landed.operator, '') AS phone, alert_evidence.alert
FROM trace.case_alert
JOIN trace.alert_evidence ON alert_evidence.alert = case_alert.alert
JOIN trace.verdict USING (device, boot, seq)
LEFT JOIN LATERAL (
    SELECT scan.platform, scan.operator, scan.accuracy_m, CASE WHEN scan.crs = 'wgs84' THEN scan.lon END AS lon,
        CASE WHEN scan.crs = 'wgs84' THEN scan.lat END AS lat
    FROM landing.scan
    WHERE scan.device = verdict.device AND scan.boot = verdict.boot AND scan.seq = verdict.seq
        AND scan.ts = verdict.occurred_at
) AS landed ON true
WHERE case_alert.case_id = %(case)s AND verdict.brand = %(brand)s
ORDER BY verdict.occurred_at, alert_evidence.device, alert_evidence.seq;

-- name: code_scans
-- Steps of custody are told elsewhere. The code's own scans come first, then those that an alert cites.
-- An item that was taken out of its case since was in it all the same.
WITH RECURSIVE around AS (
    SELECT %(unit)s::text AS unit, 0 AS depth
    UNION
    SELECT parent, depth + 1 FROM around JOIN trace.containment ON containment.child = around.unit
    WHERE depth < 4 AND containment.brand = %(brand)s AND containment.valid_to IS DISTINCT FROM containment.valid_from
), inside AS (
    SELECT unit, 0 AS depth FROM around
    WHERE depth = CASE WHEN EXISTS (SELECT FROM trace.containment WHERE parent = %(unit)s) THEN 0 ELSE 1 END
    UNION
    SELECT child, depth + 1 FROM inside JOIN trace.containment ON containment.parent = inside.unit
    WHERE depth < 4 AND containment.brand = %(brand)s AND containment.valid_to IS DISTINCT FROM containment.valid_from
), chosen AS (
    SELECT verdict.*, count(*) OVER () AS found FROM trace.verdict
    WHERE verdict.unit = ANY(ARRAY(SELECT unit FROM around UNION SELECT unit FROM inside)) AND verdict.brand = %(brand)s
        AND verdict.activity IN ('consumer', 'sell', 'inspect', 'observe')
        AND (%(known)s::timestamptz IS NULL OR NOT EXISTS (
            SELECT FROM landing.scan
            WHERE scan.device = verdict.device AND scan.boot = verdict.boot AND scan.seq = verdict.seq
                AND scan.ts = verdict.occurred_at AND scan.received_at > %(known)s))
    ORDER BY verdict.unit = %(unit)s DESC,
        EXISTS (SELECT FROM trace.alert_evidence AS each
            WHERE each.device = verdict.device AND each.boot = verdict.boot AND each.seq = verdict.seq)
        OR EXISTS (SELECT FROM trace.case_evidence AS each
            WHERE each.device = verdict.device AND each.boot = verdict.boot AND each.seq = verdict.seq) DESC,
        verdict.occurred_at DESC, verdict.seq DESC
    LIMIT %(limit)s
)
SELECT chosen.device, chosen.boot, chosen.seq, chosen.unit, chosen.case_unit, chosen.occurred_at, chosen.code,
    chosen.gtin, chosen.code_state, chosen.custody_state, chosen.place, chosen.city, chosen.dealer,
    chosen.signed_distance_m, chosen.p_inside, coalesce(chosen.lon, landed.lon) AS lon,
    coalesce(chosen.lat, landed.lat) AS lat, coalesce(chosen.accuracy_m, landed.accuracy_m) AS accuracy_m,
    chosen.shipment, chosen.territory, chosen.map_version, chosen.activity,
    coalesce(landed.platform = 'address', false) AS by_address, chosen.found,
    coalesce(citing.alerts, '{}') AS alerts, coalesce(citing.cases, '{}') AS cases
FROM chosen
LEFT JOIN LATERAL (
    SELECT scan.platform, scan.accuracy_m, CASE WHEN scan.crs = 'wgs84' THEN scan.lon END AS lon,
        CASE WHEN scan.crs = 'wgs84' THEN scan.lat END AS lat
    FROM landing.scan
    WHERE scan.device = chosen.device AND scan.boot = chosen.boot AND scan.seq = chosen.seq
        AND scan.ts = chosen.occurred_at
) AS landed ON true
LEFT JOIN LATERAL (
    -- A case keeps what an alert of it once rested on, after the alert has let go of it.
    SELECT array_agg(DISTINCT cited.alert) FILTER (WHERE cited.now) AS alerts,
        array_agg(DISTINCT cited.case_id) FILTER (WHERE cited.case_id IS NOT NULL) AS cases
    FROM (
        SELECT alert, link.case_id, true AS now
        FROM trace.alert_evidence LEFT JOIN trace.case_alert AS link USING (alert)
        WHERE device = chosen.device AND boot = chosen.boot AND seq = chosen.seq
        UNION ALL
        SELECT alert, case_id, false FROM trace.case_evidence
        WHERE device = chosen.device AND boot = chosen.boot AND seq = chosen.seq
    ) AS cited
    JOIN trace.alert ON alert.id = cited.alert
    WHERE alert.brand = %(brand)s AND (%(known)s::timestamptz IS NULL OR alert.raised_at <= %(known)s)
) AS citing ON true
ORDER BY chosen.occurred_at DESC, chosen.seq DESC;

-- name: dealer_names
-- Goods are sold to dealers and received at sites; an explanation names both.
SELECT id, name_zh, name_en FROM trace.dealer WHERE brand = %(brand)s AND id = ANY(%(ids)s::text[])
UNION ALL
SELECT site.id, site.name_zh, site.name_en FROM trace.site JOIN trace.dealer ON dealer.id = site.dealer
WHERE dealer.brand = %(brand)s AND site.id = ANY(%(ids)s::text[])
    AND NOT EXISTS (SELECT FROM trace.dealer AS same WHERE same.id = site.id);

-- name: custody
-- The units come from the brand's own evidence; an early event about one of them may not know its brand yet.
SELECT event.unit, event.biz_step, event.site, site.name_zh AS site_name_zh, site.name_en AS site_name_en,
    event.dealer, dealer.name_zh AS dealer_name_zh, dealer.name_en AS dealer_name_en,
    event.shipment, event.parent, event.occurred_at, event.device, event.boot, event.seq
FROM trace.custody_event AS event
JOIN trace.site ON site.id = event.site
LEFT JOIN trace.dealer ON dealer.id = event.dealer
WHERE event.unit = ANY(%(units)s) AND (event.brand = %(brand)s OR event.brand IS NULL)
ORDER BY event.occurred_at, event.id;

-- name: records
-- What was put on record by partners and clerks: events of custody that no device of the brand scanned.
SELECT event.unit, event.biz_step, event.site, site.name_zh AS site_name_zh, site.name_en AS site_name_en,
    event.dealer, dealer.name_zh AS dealer_name_zh, dealer.name_en AS dealer_name_en,
    event.shipment, event.parent, event.occurred_at, event.device, event.boot, event.seq, event.recorded_at,
    held.reason AS refused, said.event_id, said.event AS document, coalesce(said.last_seq - said.first_seq + 1, 1) AS units
FROM unnest(%(devices)s::text[], %(boots)s::uuid[], %(seqs)s::bigint[]) AS cited (device, boot, seq)
JOIN trace.custody_event AS event USING (device, boot, seq)
LEFT JOIN trace.site ON site.id = event.site
LEFT JOIN trace.dealer ON dealer.id = event.dealer
LEFT JOIN trace.quarantine AS held USING (device, boot, seq)
LEFT JOIN trace.epcis_event AS said ON said.brand = %(brand)s AND said.event_time = event.occurred_at
    AND said.device = event.device AND said.boot = event.boot AND event.seq BETWEEN said.first_seq AND said.last_seq
WHERE event.brand = %(brand)s
ORDER BY event.occurred_at, event.id;

-- name: territory
-- The versions that the alert's scans were judged by; without any, the dealer's newest.
SELECT territory.adcodes
FROM trace.territory
WHERE territory.brand = %(brand)s AND territory.dealer = %(dealer)s
    AND (territory.id = ANY(%(versions)s::bigint[]) OR cardinality(%(versions)s::bigint[]) = 0)
ORDER BY territory.id DESC
LIMIT 1;

-- name: acknowledge_alert
-- An alert that belongs to a case is decided with it, since closing may take a second person there.
UPDATE trace.alert
SET state = 'acknowledged', decided_by = %(login)s, decided_at = now(), updated_at = now()
WHERE id = %(id)s AND brand = %(brand)s AND state = 'open'
    AND NOT EXISTS (SELECT FROM trace.case_alert WHERE case_alert.alert = alert.id)
RETURNING id;

-- name: close_alert
UPDATE trace.alert
SET state = 'closed', outcome = %(outcome)s, decided_by = %(login)s, decided_at = now(), updated_at = now()
WHERE id = %(id)s AND brand = %(brand)s AND state <> 'closed'
    AND NOT EXISTS (SELECT FROM trace.case_alert WHERE case_alert.alert = alert.id)
RETURNING id;

-- name: stock
SELECT shown.*, phantom.quantity AS phantom, proposal.id AS proposal, proposal.quantity AS proposed FROM trace.stock_shown AS shown
LEFT JOIN trace.stock_finding AS phantom ON phantom.site = shown.site AND phantom.gtin = shown.gtin
    AND phantom.kind = 'phantom_stock' AND phantom.resolved_at IS NULL
LEFT JOIN trace.proposal ON proposal.site = shown.site AND proposal.gtin = shown.gtin AND proposal.state = 'open'
    AND proposal.kind IN ('order', 'vmi')
WHERE shown.brand = %(brand)s AND (%(site)s::text IS NULL OR shown.site = %(site)s)
    AND (%(gtin)s::text IS NULL OR shown.gtin = %(gtin)s)
    AND (%(after_site)s::text IS NULL OR (shown.site, shown.gtin) > (%(after_site)s, %(after_gtin)s::text))
ORDER BY shown.site, shown.gtin LIMIT %(limit)s;

-- name: stock_urgent
-- Where a brand has more than a page shows: what needs ordering, then what is least certain.
SELECT shown.*, phantom.quantity AS phantom, proposal.id AS proposal, proposal.quantity AS proposed FROM (
    SELECT stock.site, stock.gtin FROM trace.stock_in_force AS stock LEFT JOIN trace.in_transit USING (site, gtin)
    WHERE stock.brand = %(brand)s
    -- What is suspect takes away from what is there and not from what is coming; of what nobody knows, nobody can tell.
    ORDER BY coalesce(coalesce(stock.quantity, stock.sensed, CASE WHEN ledger <> 0 OR received THEN ledger END)
            - suspect + coalesce(in_transit.quantity, 0) > reorder OR coalesce(in_transit.quantity, 0) > reorder, true),
        certainty, stock.site, stock.gtin
    LIMIT %(limit)s
) AS chosen
JOIN trace.stock_shown AS shown ON shown.site = chosen.site AND shown.gtin = chosen.gtin
LEFT JOIN trace.stock_finding AS phantom ON phantom.site = shown.site AND phantom.gtin = shown.gtin
    AND phantom.kind = 'phantom_stock' AND phantom.resolved_at IS NULL
LEFT JOIN trace.proposal ON proposal.site = shown.site AND proposal.gtin = shown.gtin AND proposal.state = 'open'
    AND proposal.kind IN ('order', 'vmi');

-- name: stock_count
SELECT count(*) AS number FROM trace.stock WHERE brand = %(brand)s;

-- name: stock_leads
-- Items that were sold where they were never supplied, with whom they were shipped to, as custody knows.
SELECT item.site, site.name_zh AS site_name_zh, site.name_en AS site_name_en, item.gtin,
    product.name_zh AS product_name_zh, product.name_en AS product_name_en, item.unit, item.sold_at,
    stock.dealer AS seller, supplied.dealer AS supplied_to, dealer.name_zh AS supplied_name_zh,
    dealer.name_en AS supplied_name_en
FROM trace.stock_unit AS item
JOIN trace.stock ON stock.site = item.site AND stock.gtin = item.gtin AND stock.brand = %(brand)s
JOIN trace.site ON site.id = item.site
JOIN trace.product ON product.gtin = item.gtin
LEFT JOIN LATERAL (
    WITH RECURSIVE holder AS (
        SELECT item.unit AS unit, 0 AS depth
        UNION
        SELECT parent, depth + 1 FROM holder JOIN trace.containment ON child = holder.unit WHERE depth < 4
    )
    SELECT binding.dealer FROM holder JOIN trace.binding ON binding.unit = holder.unit
    WHERE binding.valid_from <= item.sold_at ORDER BY binding.valid_from DESC LIMIT 1
) AS supplied ON true
LEFT JOIN trace.dealer ON dealer.id = supplied.dealer
WHERE item.strange AND item.sold_at IS NOT NULL
    AND (%(before)s::timestamptz IS NULL OR (item.sold_at, item.unit) < (%(before)s, %(unit)s::text))
ORDER BY item.sold_at DESC, item.unit DESC LIMIT %(limit)s;

-- name: stock_findings
SELECT finding.id, finding.kind, finding.site, site.name_zh AS site_name_zh, site.name_en AS site_name_en, finding.gtin,
    product.name_zh AS product_name_zh, product.name_en AS product_name_en, finding.quantity, finding.detail,
    finding.found_at, finding.resolved_at
FROM trace.stock_finding AS finding
JOIN trace.site ON site.id = finding.site
JOIN trace.product ON product.gtin = finding.gtin
WHERE finding.brand = %(brand)s AND (%(site)s::text IS NULL OR (finding.site, finding.gtin) = (%(site)s, %(gtin)s))
ORDER BY finding.id DESC LIMIT %(limit)s;

-- name: stock_candidates
-- The order is that of `trace_service.domain.counting`, which works out the figures.
SELECT each.site, site.name_zh AS site_name_zh, site.name_en AS site_name_en, each.gtin,
    product.name_zh AS product_name_zh, product.name_en AS product_name_en, each.quantity, each.certainty,
    each.daily_demand, each.unit_price, each.days, each.findings
FROM trace.count_candidate AS each
JOIN trace.site ON site.id = each.site
JOIN trace.product ON product.gtin = each.gtin
WHERE each.brand = %(brand)s
ORDER BY (1 - each.certainty * power(0.98, each.days) * power(0.8, each.findings))
    * greatest(each.daily_demand, 0.1) * each.unit_price DESC, each.site, each.gtin
LIMIT %(limit)s;

-- name: stock_planned
SELECT order_on, quantity, arrives_on, early_on, occasion, made_at FROM trace.planned_order
WHERE brand = %(brand)s AND site = %(site)s AND gtin = %(gtin)s ORDER BY order_on;

-- name: stock_approved
-- For as long as what comes in is taken to be what was ordered.
SELECT id, quantity, quantity - arrived AS missing, decided_by, decided_at FROM trace.proposal
WHERE brand = %(brand)s AND coalesce(to_site, site) = %(site)s AND gtin = %(gtin)s AND state = 'approved'
    AND kind IN ('order', 'vmi', 'transfer') AND decided_at > now() - interval '10 days'
ORDER BY decided_at, id;

-- name: stock_lots
SELECT split_part(unit.lot, '/10/', 2) AS lot, batch.expires_on::text AS expires, count(*)::integer AS quantity
FROM trace.stock_unit AS unit
JOIN trace.stock USING (site, gtin)
LEFT JOIN LATERAL (SELECT min(batch.expires_on) AS expires_on FROM trace.batch
    WHERE batch.gtin = unit.gtin AND batch.lot = split_part(unit.lot, '/10/', 2)) AS batch ON true
WHERE stock.brand = %(brand)s AND unit.site = %(site)s AND unit.gtin = %(gtin)s AND unit.present
    AND unit.lot IS NOT NULL
GROUP BY 1, 2;

-- name: take_stock_count
-- A person's count makes the books right; the shelf's differences begin anew.
WITH place AS (
    SELECT site, gtin, brand, quantity FROM trace.stock
    WHERE brand = %(brand)s AND site = %(site)s AND gtin = %(gtin)s FOR UPDATE
), noted AS (
    INSERT INTO trace.stock_count (brand, site, gtin, counted, believed, counted_by)
    SELECT brand, site, gtin, %(counted)s, quantity, %(login)s FROM place
), told AS (
    SELECT pg_notify('console', json_build_object('kind', 'stock', 'brand', brand)::text) FROM place
)
UPDATE trace.stock SET adjusted = stock.adjusted + %(counted)s - stock.ledger, ledger = %(counted)s,
    quantity = %(counted)s, certainty = 0.99, differences = '{}', settled = NULL, sure_at = now(),
    backroom = CASE WHEN stock.sensed IS NULL THEN 0 ELSE greatest(%(counted)s - stock.sensed, 0) END,
    updated_at = clock_timestamp()
FROM place, told
WHERE stock.site = place.site AND stock.gtin = place.gtin
RETURNING stock.site, stock.gtin;

-- name: climate
-- The last reading of each device in an hour, alarms first; `since` is when the present alarm began.
SELECT * FROM (
    SELECT DISTINCT ON (reading.device) reading.device, reading.site, site.name_zh AS site_name_zh,
        site.name_en AS site_name_en, reading.temperature_c, reading.humidity, reading.mean_kinetic_c,
        reading.door_open, reading.alarm, reading.ts
    FROM landing.environment AS reading
    JOIN trace.site ON site.id = reading.site
    WHERE reading.ts > now() - interval '1 hour'
        AND EXISTS (SELECT FROM trace.stock WHERE stock.site = reading.site AND stock.brand = %(brand)s)
    ORDER BY reading.device, reading.ts DESC, reading.seq DESC
) AS last
ORDER BY alarm = '', site, device;

-- name: proposals
SELECT proposal.id, proposal.kind, proposal.site, site.name_zh AS site_name_zh, site.name_en AS site_name_en,
    proposal.gtin, product.name_zh AS product_name_zh, product.name_en AS product_name_en, product.items_per_case,
    proposal.dealer, dealer.name_zh AS dealer_name_zh, dealer.name_en AS dealer_name_en,
    proposal.to_site, to_site.name_zh AS to_site_name_zh, to_site.name_en AS to_site_name_en,
    proposal.quantity, proposal.proposed, proposal.need_by, proposal.reason, proposal.state, proposal.created_at,
    proposal.updated_at, proposal.decided_by, proposal.decided_at, proposal.decision_code, proposal.decision_note,
    proposal.device, proposal.boot, proposal.seq, proposal.p_without, proposal.p_with, proposal.cost::float8 AS cost,
    proposal.confidence, proposal.model, proposal.inputs
FROM trace.proposal
JOIN trace.site ON site.id = proposal.site
LEFT JOIN trace.site AS to_site ON to_site.id = proposal.to_site
JOIN trace.product ON product.gtin = proposal.gtin
LEFT JOIN trace.dealer ON dealer.id = proposal.dealer
WHERE proposal.brand = %(brand)s
    AND (%(state)s::text IS NULL OR proposal.state = %(state)s)
    AND (%(before)s::bigint IS NULL OR proposal.id < %(before)s)
    AND (%(id)s::bigint IS NULL OR proposal.id = %(id)s)
ORDER BY proposal.id DESC
LIMIT %(limit)s;

-- name: proposal_counts
SELECT state, count(*) AS number FROM trace.proposal WHERE brand = %(brand)s GROUP BY state;

-- name: proposal_news
SELECT count(*) FILTER (WHERE id > %(after)s) AS fresh,
    count(*) FILTER (WHERE id <= %(after)s AND updated_at > %(since)s) AS changed
FROM trace.proposal
WHERE brand = %(brand)s AND state = %(state)s;

-- name: decide_proposal
-- Another quantity than was proposed is kept beside it, and the cost follows.
UPDATE trace.proposal
SET state = %(state)s, decided_by = %(login)s, decided_at = now(), updated_at = now(), decision_code = %(code)s,
    decision_note = %(note)s, quantity = coalesce(%(quantity)s, quantity),
    proposed = CASE WHEN %(quantity)s::integer <> quantity THEN quantity ELSE proposed END,
    p_with = CASE WHEN %(quantity)s::integer <> quantity THEN NULL ELSE p_with END,
    cost = cost * coalesce(%(quantity)s, quantity) / quantity
WHERE id = %(id)s AND brand = %(brand)s AND state = 'open' AND (%(seen)s::integer IS NULL OR quantity = %(seen)s)
RETURNING id;

-- name: devices
-- A site serves several brands: its devices are shown to the brand whose dealer runs it, or whose goods they scanned.
SELECT device.id, device.kind, device.site, site.name_zh AS site_name_zh, site.name_en AS site_name_en,
    device.state, device.last_seen, device.skew_ms, device.firmware, device.outbox_depth,
    (SELECT count(*) FROM landing.dead_letter
     WHERE dead_letter.device = device.id AND dead_letter.replayed_at IS NULL AND dead_letter.closed_at IS NULL)
        AS dead_letters,
    gaps.missing, gaps.alerted_at
FROM landing.device
LEFT JOIN LATERAL (
    SELECT sum((SELECT sum(upper(hole) - lower(hole)) FROM unnest(gap.missing) AS hole))::bigint AS missing,
        min(gap.alerted_at) AS alerted_at
    FROM landing.gap WHERE gap.device = device.id AND gap.closed_at IS NULL AND gap.asked > 0) AS gaps ON true
LEFT JOIN trace.site ON site.id = device.site
LEFT JOIN trace.dealer ON dealer.id = site.dealer
WHERE device.retired_at IS NULL AND (
    dealer.brand = %(brand)s
    OR EXISTS (SELECT FROM trace.shelf_channel AS channel JOIN trace.product USING (gtin)
               WHERE channel.device = device.id AND product.brand = %(brand)s)
    OR (site.dealer IS NULL AND EXISTS (
        SELECT FROM trace.verdict WHERE verdict.device = device.id AND verdict.brand = %(brand)s)))
ORDER BY device.kind, device.id;

-- name: scan
-- One piece of evidence back to its landing row.
SELECT scan.device, scan.boot, scan.seq, scan.ts, scan.sent_at, scan.received_at, scan.site, scan.code,
    scan.symbology, scan.activity, scan.reference, scan.parent, scan.recipient, scan.lon, scan.lat, scan.accuracy_m,
    verdict.unit, verdict.case_unit, verdict.code_state, verdict.custody_state, verdict.place,
    verdict.signed_distance_m, verdict.city, verdict.dealer, verdict.shipment, verdict.decided_at
FROM trace.verdict
JOIN landing.scan ON scan.device = verdict.device AND scan.boot = verdict.boot AND scan.seq = verdict.seq
    AND scan.ts = verdict.occurred_at
WHERE verdict.device = %(device)s AND verdict.boot = %(boot)s AND verdict.seq = %(seq)s
    AND verdict.brand = %(brand)s;

-- name: tell_consoles
SELECT pg_notify('console', %(payload)s);
