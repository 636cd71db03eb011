-- name: policy
SELECT daily_budget, audit_share, two_person_value, loss_share, deadline_days, benign_days, zone, digest_at
FROM trace.case_policy WHERE brand = %(brand)s ORDER BY id DESC LIMIT 1

-- name: insert_policy
INSERT INTO trace.case_policy (brand, daily_budget, audit_share, two_person_value, loss_share, deadline_days,
    benign_days, zone, digest_at, recorded_by)
VALUES (%(brand)s, %(daily_budget)s, %(audit_share)s, %(two_person_value)s, %(loss_share)s, %(deadline_days)s,
    %(benign_days)s, %(zone)s, %(digest_at)s, %(by)s)

-- name: loose_alerts
SELECT alert.id, alert.dealer, alert.city, coalesce(middle.seen_at, alert.raised_at) AS at, alert.reason, middle.lon,
    middle.lat, middle.shipments
FROM trace.alert CROSS JOIN LATERAL (
    SELECT avg(verdict.lon) AS lon, avg(verdict.lat) AS lat, max(verdict.occurred_at) AS seen_at,
        coalesce(array_agg(DISTINCT verdict.shipment) FILTER (WHERE verdict.shipment IS NOT NULL), '{}') AS shipments
    FROM trace.alert_evidence JOIN trace.verdict USING (device, boot, seq)
    WHERE alert_evidence.alert = alert.id) AS middle
WHERE alert.brand = %(brand)s AND alert.state <> 'closed'
    AND NOT EXISTS (SELECT FROM trace.case_alert WHERE case_alert.alert = alert.id)
ORDER BY alert.id

-- name: groups
-- A dealer's cases with where their alerts lie; what was merged lives on in another.
SELECT case_file.id, case_file.kind, case_file.state, case_file.shipments,
    coalesce(case_file.last_seen, case_file.opened_at) AS last_at, alert.city,
    (SELECT avg(verdict.lon) FROM trace.alert_evidence JOIN trace.verdict USING (device, boot, seq)
     WHERE alert_evidence.alert = alert.id) AS lon,
    (SELECT avg(verdict.lat) FROM trace.alert_evidence JOIN trace.verdict USING (device, boot, seq)
     WHERE alert_evidence.alert = alert.id) AS lat
FROM trace.case_file
JOIN trace.case_alert ON case_alert.case_id = case_file.id
JOIN trace.alert ON alert.id = case_alert.alert
WHERE case_file.brand = %(brand)s AND case_file.dealer = %(dealer)s AND case_file.state <> 'merged'
ORDER BY case_file.id, alert.id

-- name: open_case
INSERT INTO trace.case_file (brand, kind, dealer, deadline)
VALUES (%(brand)s, %(kind)s, %(dealer)s, clock_timestamp() + make_interval(days => %(days)s))
RETURNING id

-- name: link_alert
INSERT INTO trace.case_alert (alert, case_id) VALUES (%(alert)s, %(case)s)

-- name: move_alerts
UPDATE trace.case_alert SET case_id = %(into)s, joined_at = clock_timestamp() WHERE case_id = ANY(%(cases)s)

-- name: stale_cases
-- Cases of which an alert changed since their figures were taken.
SELECT DISTINCT case_file.id FROM trace.case_file
JOIN trace.case_alert ON case_alert.case_id = case_file.id
JOIN trace.alert ON alert.id = case_alert.alert
WHERE case_file.brand = %(brand)s AND case_file.state <> 'merged'
    AND (alert.updated_at > case_file.refreshed_at OR case_alert.joined_at > case_file.refreshed_at)
ORDER BY case_file.id

-- name: keep_evidence
INSERT INTO trace.case_evidence (case_id, device, boot, seq, alert, place, dealer, city, decided_at)
SELECT case_alert.case_id, evidence.device, evidence.boot, evidence.seq, evidence.alert, verdict.place, verdict.dealer,
    verdict.city, verdict.decided_at
FROM trace.case_alert
JOIN trace.alert_evidence AS evidence ON evidence.alert = case_alert.alert
JOIN trace.verdict USING (device, boot, seq)
WHERE case_alert.case_id = %(case)s
ON CONFLICT DO NOTHING

-- name: alerts_of_case
SELECT alert.id, alert.kind, alert.city, alert.state, alert.outcome, alert.probability, alert.reason, alert.cases,
    alert.scans, alert.raised_at, alert.updated_at
FROM trace.case_alert JOIN trace.alert ON alert.id = case_alert.alert
WHERE case_alert.case_id = %(case)s ORDER BY alert.id

-- name: keep_material
UPDATE trace.alert SET material = %(material)s WHERE id = %(id)s

-- name: alerts_with_material
SELECT alert.id, alert.kind, alert.city, alert.state, alert.outcome, alert.probability, alert.reason, alert.material,
    alert.number
FROM trace.case_alert JOIN trace.alert ON alert.id = case_alert.alert
WHERE case_alert.case_id = %(case)s ORDER BY alert.id

-- name: lock_alerts
-- Before the case itself, as the worker does.
SELECT alert.id FROM trace.alert JOIN trace.case_alert ON case_alert.alert = alert.id
WHERE case_alert.case_id = ANY(%(cases)s) ORDER BY alert.id FOR UPDATE OF alert

-- name: lock_case
SELECT id, brand, dealer, state, version, owner, deadline, proposed_outcome, proposed_by, outcome, closed_at, closed_by,
    merged_into, value
FROM trace.case_file WHERE id = %(case)s AND brand = %(brand)s FOR UPDATE

-- name: extent
SELECT min(verdict.occurred_at) AS first_seen, max(verdict.occurred_at) AS last_seen,
    coalesce(array_agg(DISTINCT verdict.shipment) FILTER (WHERE verdict.shipment IS NOT NULL), '{}') AS shipments,
    count(DISTINCT evidence.case_unit) AS cases, avg(product.items_per_case)::float8 AS items_per_case,
    avg(product.unit_price)::float8 AS unit_price
FROM trace.case_alert
JOIN trace.alert_evidence AS evidence ON evidence.alert = case_alert.alert
JOIN trace.verdict USING (device, boot, seq)
JOIN trace.product ON product.gtin = verdict.gtin
WHERE case_alert.case_id = %(case)s

-- name: remaining
-- Items that left with the shipments, less those that somebody has bought or scanned since; and what one costs. Where
-- no shipment is known, those of the cases: what was bound to another dealer by hand has no scan that names one.
WITH RECURSIVE inside AS (
    SELECT binding.unit FROM trace.binding
    WHERE binding.brand = %(brand)s AND binding.shipment = ANY(%(shipments)s)
        AND binding.valid_to IS DISTINCT FROM binding.valid_from
    UNION
    SELECT unit FROM unnest(%(cases)s::text[]) AS named (unit)
    UNION
    SELECT containment.child FROM inside JOIN trace.containment ON containment.parent = inside.unit
        AND containment.valid_to IS DISTINCT FROM containment.valid_from
)
SELECT count(*) FILTER (WHERE inside.unit LIKE '%%/21/%%') AS items,
    count(*) FILTER (WHERE inside.unit LIKE '%%/21/%%' AND EXISTS (
        SELECT FROM trace.verdict WHERE verdict.unit = inside.unit AND verdict.activity IN ('consumer', 'sell'))) AS gone,
    avg(product.unit_price) FILTER (WHERE inside.unit LIKE '%%/21/%%')::float8 AS unit_price
FROM inside LEFT JOIN trace.product ON product.brand = %(brand)s AND product.gtin = split_part(inside.unit, '/', 3)

-- name: write_figures
UPDATE trace.case_file SET destinations = %(destinations)s, shipments = %(shipments)s, first_seen = %(first_seen)s,
    last_seen = %(last_seen)s, probability = %(probability)s, calibrated = %(calibrated)s, remaining = %(remaining)s,
    value = %(value)s, priority = %(priority)s, refreshed_at = clock_timestamp()
WHERE id = %(case)s

-- name: write_case
UPDATE trace.case_file SET state = %(state)s, owner = %(owner)s, deadline = %(deadline)s,
    proposed_outcome = %(proposed_outcome)s, proposed_by = %(proposed_by)s, outcome = %(outcome)s,
    closed_at = %(closed_at)s, closed_by = %(closed_by)s, merged_into = %(merged_into)s,
    version = version + 1, updated_at = clock_timestamp()
WHERE id = %(case)s

-- name: take_alerts
UPDATE trace.alert SET state = 'acknowledged', decided_by = %(login)s, decided_at = now(), updated_at = now()
FROM trace.case_alert
WHERE case_alert.alert = alert.id AND case_alert.case_id = %(case)s AND alert.state = 'open'

-- name: close_alerts
UPDATE trace.alert SET state = 'closed', outcome = %(outcome)s, decided_by = %(login)s, decided_at = now(),
    updated_at = now()
FROM trace.case_alert
WHERE case_alert.alert = alert.id AND case_alert.case_id = %(case)s AND alert.state <> 'closed'

-- name: reopen_alerts
-- What the service itself took back stays so; and where the place has a newer alert, that one goes on.
UPDATE trace.alert SET state = 'acknowledged', outcome = NULL, decided_by = %(login)s, decided_at = now(),
    updated_at = now()
FROM trace.case_alert
WHERE case_alert.alert = alert.id AND case_alert.case_id = %(case)s AND alert.state = 'closed'
    AND alert.outcome <> 'retracted'
    AND alert.id = (SELECT max(same.id) FROM trace.alert AS same JOIN trace.case_alert AS link ON link.alert = same.id
        WHERE link.case_id = %(case)s AND same.kind = alert.kind AND same.dealer = alert.dealer
            AND same.city = alert.city AND same.outcome IS DISTINCT FROM 'retracted')
    AND NOT EXISTS (SELECT FROM trace.alert AS newer WHERE newer.brand = alert.brand AND newer.kind = alert.kind
        AND newer.dealer = alert.dealer AND newer.city = alert.city AND newer.state <> 'closed')

-- name: last_entry
SELECT number, digest FROM trace.case_history WHERE case_id = %(case)s ORDER BY number DESC LIMIT 1

-- name: append_entry
INSERT INTO trace.case_history (case_id, number, at, actor, action, from_state, to_state, detail, previous, digest)
VALUES (%(case)s, %(number)s, %(at)s, %(actor)s, %(action)s, %(from_state)s, %(to_state)s, %(detail)s, %(previous)s,
    %(digest)s)

-- name: history
SELECT entry.number, entry.at, entry.actor, account.name AS actor_name, entry.action, entry.from_state, entry.to_state,
    entry.detail, entry.previous, entry.digest
FROM trace.case_history AS entry LEFT JOIN trace.account ON account.login = entry.actor
WHERE entry.case_id = %(case)s ORDER BY entry.number

-- name: cases
SELECT case_file.id, case_file.brand, case_file.kind, case_file.dealer, dealer.name_zh AS dealer_name_zh,
    dealer.name_en AS dealer_name_en, case_file.state, case_file.opened_at, case_file.updated_at, case_file.version,
    case_file.owner, account.name AS owner_name, case_file.deadline, case_file.proposed_outcome, case_file.proposed_by,
    case_file.outcome, case_file.closed_at, case_file.closed_by, case_file.merged_into, case_file.destinations,
    case_file.shipments, case_file.first_seen, case_file.last_seen, case_file.probability, case_file.calibrated,
    case_file.remaining, case_file.value, case_file.priority,
    (SELECT count(*) FROM trace.case_alert WHERE case_alert.case_id = case_file.id) AS alerts,
    (SELECT count(*) FROM trace.field_check WHERE field_check.case_id = case_file.id AND field_check.state = 'open')
        AS open_checks,
    (SELECT selection.reason FROM trace.case_selection AS selection WHERE selection.case_id = case_file.id
        AND selection.brand = case_file.brand ORDER BY selection.day DESC LIMIT 1) AS selected,
    (SELECT max(selection.day) FROM trace.case_selection AS selection WHERE selection.case_id = case_file.id
        AND selection.brand = case_file.brand) AS selected_on,
    -- Claims about codes accuse no dealer: such a case stands with the brand's own.
    coalesce((SELECT bool_and(alert.kind IN ('forged', 'clone')) FROM trace.case_alert
        JOIN trace.alert ON alert.id = case_alert.alert WHERE case_alert.case_id = case_file.id), false) AS of_codes
FROM trace.case_file
JOIN trace.dealer ON dealer.id = case_file.dealer
LEFT JOIN trace.account ON account.login = case_file.owner
WHERE case_file.brand = %(brand)s
    AND (%(states)s::text[] IS NULL OR case_file.state = ANY(%(states)s))
    AND (%(id)s::bigint IS NULL OR case_file.id = %(id)s)
    AND (%(owner)s::text IS NULL OR case_file.owner = %(owner)s)
ORDER BY case_file.state = 'closed', CASE WHEN case_file.state = 'closed' THEN 0 ELSE case_file.priority END DESC,
    CASE WHEN case_file.state = 'closed' THEN case_file.closed_at END DESC, case_file.id
LIMIT %(limit)s OFFSET %(offset)s

-- name: case_counts
SELECT state, count(*) AS number FROM trace.case_file WHERE brand = %(brand)s GROUP BY state

-- name: account_exists
SELECT login FROM trace.account WHERE login = %(login)s AND brand = %(brand)s AND disabled_at IS NULL
    AND role = ANY(%(roles)s)

-- name: accounts
SELECT login, name, role FROM trace.account WHERE brand = %(brand)s AND disabled_at IS NULL ORDER BY name, login

-- name: changed_evidence
-- Closed cases that rest on scans whose verdict is another now.
SELECT DISTINCT case_file.id, case_file.brand FROM unnest(%(devices)s::text[], %(boots)s::uuid[], %(seqs)s::bigint[])
    AS changed (device, boot, seq)
JOIN trace.case_evidence AS evidence USING (device, boot, seq)
JOIN trace.verdict USING (device, boot, seq)
JOIN trace.case_file ON case_file.id = evidence.case_id
WHERE case_file.state = 'closed' AND case_file.outcome <> 'retracted'
    AND (verdict.place, verdict.dealer, verdict.city) IS DISTINCT FROM (evidence.place, evidence.dealer, evidence.city)
    AND verdict.decided_at > case_file.closed_at

-- name: now
SELECT clock_timestamp() AS at

-- name: tell_console
SELECT pg_notify('console', %(payload)s)

-- name: queue_message
-- Queues a message where a webhook or an account wants it, and it says why or stands behind one that does.
INSERT INTO trace.case_message (brand, case_id, topic, payload, actor, explained)
SELECT %(brand)s, %(case)s, %(topic)s, %(payload)s, %(actor)s, %(explained)s
WHERE (%(explained)s OR EXISTS (SELECT FROM trace.case_message WHERE case_id = %(case)s AND state = 'waiting'))
    AND (EXISTS (SELECT FROM trace.webhook
            WHERE brand = %(brand)s AND removed_at IS NULL AND topics && %(patterns)s::text[])
        OR EXISTS (SELECT FROM trace.account
            WHERE brand = %(brand)s AND disabled_at IS NULL AND email IS NOT NULL
                AND mail_topics && %(patterns)s::text[] AND login IS DISTINCT FROM %(actor)s))

-- name: own_messages
-- One process words them at a time, so that they keep their order.
SELECT pg_try_advisory_xact_lock(%(space)s) AS had

-- name: next_message
-- The oldest that may go now; what is told of a case later waits for what is tried again.
SELECT id, brand, case_id, topic, payload::text AS payload, actor, explained, attempts FROM trace.case_message AS message
WHERE state = 'waiting' AND due_at <= clock_timestamp()
    AND NOT EXISTS (SELECT FROM trace.case_message AS before
        WHERE before.case_id = message.case_id AND before.id < message.id AND before.state = 'waiting')
ORDER BY id LIMIT 1

-- name: message_told
DELETE FROM trace.case_message WHERE id = %(id)s

-- name: message_failed
UPDATE trace.case_message SET state = %(state)s, attempts = attempts + 1, error = %(error)s,
    due_at = clock_timestamp() + %(wait)s
WHERE id = %(id)s

-- name: dead_messages
SELECT id, brand, case_id AS case, topic, queued_at, attempts, error FROM trace.case_message
WHERE state = 'dead' AND (brand = %(brand)s::text OR %(brand)s::text IS NULL)
ORDER BY id LIMIT 1000

-- name: tell_again
UPDATE trace.case_message SET state = 'waiting', attempts = 0, due_at = clock_timestamp(), error = NULL
WHERE state = 'dead' AND (brand = %(brand)s::text OR %(brand)s::text IS NULL)

-- name: queue_mail
INSERT INTO trace.mail (brand, login, topic, payload)
SELECT account.brand, account.login, %(topic)s, %(payload)s FROM trace.account
WHERE account.brand = %(brand)s AND account.disabled_at IS NULL AND account.email IS NOT NULL
    AND account.mail_topics && %(patterns)s::text[] AND account.login IS DISTINCT FROM %(actor)s

-- name: insert_attachment
INSERT INTO trace.case_attachment (case_id, field_check, name, media_type, size, sha256, content, uploaded_by)
VALUES (%(case)s, %(check)s, %(name)s, %(media_type)s, %(size)s, %(sha256)s, %(content)s, %(login)s)
ON CONFLICT (case_id, sha256) DO NOTHING
RETURNING id

-- name: attachments
SELECT attachment.id, attachment.field_check, attachment.name, attachment.media_type, attachment.size,
    attachment.sha256, attachment.uploaded_at, attachment.uploaded_by
FROM trace.case_attachment AS attachment
WHERE attachment.case_id = %(case)s ORDER BY attachment.id

-- name: attachment_content
SELECT attachment.name, attachment.media_type, attachment.content FROM trace.case_attachment AS attachment
JOIN trace.case_file ON case_file.id = attachment.case_id
WHERE attachment.id = %(id)s AND attachment.case_id = %(case)s AND case_file.brand = %(brand)s

-- name: attachment_total
SELECT coalesce(sum(size), 0)::bigint AS size, count(*) AS number FROM trace.case_attachment WHERE case_id = %(case)s

-- name: insert_check
INSERT INTO trace.field_check (brand, case_id, kind, instructions, place, listing, assignee, due_at, created_by)
VALUES (%(brand)s, %(case)s, %(kind)s, %(instructions)s, %(place)s, %(listing)s, %(assignee)s, %(due_at)s, %(login)s)
RETURNING id

-- name: checks
SELECT field_check.id, field_check.case_id, field_check.kind, field_check.instructions, field_check.place,
    field_check.listing, field_check.assignee, account.name AS assignee_name, field_check.due_at, field_check.state,
    field_check.created_at, field_check.created_by, dealer.name_zh AS dealer_name_zh,
    dealer.name_en AS dealer_name_en, coalesce(case_file.destinations, '{}') AS destinations
FROM trace.field_check
LEFT JOIN trace.case_file ON case_file.id = field_check.case_id
LEFT JOIN trace.dealer ON dealer.id = case_file.dealer
LEFT JOIN trace.account ON account.login = field_check.assignee
WHERE field_check.brand = %(brand)s
    AND (%(case)s::bigint IS NULL OR field_check.case_id = %(case)s)
    AND (%(id)s::bigint IS NULL OR field_check.id = %(id)s)
    AND (%(state)s::text IS NULL OR field_check.state = %(state)s)
ORDER BY field_check.state <> 'open', field_check.due_at, field_check.id
LIMIT 200

-- name: lock_check
SELECT state FROM trace.field_check WHERE id = %(id)s FOR UPDATE

-- name: end_check
UPDATE trace.field_check SET state = %(state)s WHERE id = %(id)s

-- name: insert_result
INSERT INTO trace.field_check_result (field_check, result, code, note, price, lon, lat, accuracy_m, by, device, boot,
    seq)
VALUES (%(check)s, %(result)s, %(code)s, %(note)s, %(price)s, %(lon)s, %(lat)s, %(accuracy_m)s, %(login)s, %(device)s,
    %(boot)s, %(seq)s)

-- name: results
SELECT result.field_check, result.result, result.code, result.note, result.price, result.lon, result.lat,
    result.accuracy_m, result.at, result.by, result.device, result.boot, result.seq
FROM trace.field_check_result AS result JOIN trace.field_check ON field_check.id = result.field_check
WHERE field_check.case_id = %(case)s OR field_check.id = %(check)s ORDER BY result.id

-- name: inspect
SELECT device, boot, seq FROM landing.inspect(%(brand)s, %(code)s, clock_timestamp(), %(lon)s, %(lat)s, %(accuracy_m)s,
    %(login)s)

-- name: waiting_cases
SELECT id, priority::float8 AS priority FROM trace.case_file
WHERE brand = %(brand)s AND state IN ('open', 'investigating', 'awaiting_dealer')

-- name: insert_selection
INSERT INTO trace.case_selection (brand, day, case_id, place, reason, probability)
VALUES (%(brand)s, %(day)s, %(case)s, %(place)s, %(reason)s, %(probability)s) ON CONFLICT DO NOTHING

-- name: outcomes
-- Decided cases with what they were decided on, and the chance that they were looked at at all.
SELECT case_file.id AS case, case_file.dealer, case_file.kind, case_file.destinations, case_file.outcome,
    case_file.closed_at, case_file.closed_by, case_file.proposed_by, case_file.probability AS believed,
    case_file.calibrated, chosen.reason AS selected, chosen.probability AS selection_probability,
    (SELECT jsonb_agg(jsonb_build_object('alert', alert.id, 'kind', alert.kind, 'city', alert.city,
        'raised_at', alert.raised_at, 'probability', alert.probability, 'reason', alert.reason) ORDER BY alert.id)
     FROM trace.case_alert JOIN trace.alert ON alert.id = case_alert.alert
     WHERE case_alert.case_id = case_file.id) AS alerts
FROM trace.case_file
LEFT JOIN LATERAL (
    SELECT (array_agg(selection.reason ORDER BY selection.probability DESC))[1] AS reason,
        max(selection.probability) AS probability
    FROM trace.case_selection AS selection WHERE selection.case_id = case_file.id) AS chosen ON true
WHERE case_file.brand = %(brand)s AND case_file.state = 'closed' AND case_file.outcome <> 'retracted'
ORDER BY case_file.closed_at, case_file.id

-- name: pack_alerts
-- By another name than the column of the link, which would be taken for it.
SELECT to_jsonb(found) FROM trace.case_alert JOIN trace.alert AS found ON found.id = case_alert.alert
WHERE case_alert.case_id = %(case)s ORDER BY found.id

-- name: pack_evidence
-- Each message as it landed, the verdict on it now, what the verdict said when it became evidence, and earlier ones.
SELECT jsonb_build_object('message', to_jsonb(scan) - 'image', 'verdict', to_jsonb(verdict),
    'as_evidence', to_jsonb(evidence), 'superseded', (
        SELECT jsonb_agg(to_jsonb(old) ORDER BY old.superseded_at) FROM trace.verdict_superseded AS old
        WHERE old.device = evidence.device AND old.boot = evidence.boot AND old.seq = evidence.seq))
FROM trace.case_evidence AS evidence
JOIN trace.verdict USING (device, boot, seq)
LEFT JOIN landing.scan ON scan.device = evidence.device AND scan.boot = evidence.boot AND scan.seq = evidence.seq
    AND scan.ts = verdict.occurred_at
WHERE evidence.case_id = %(case)s AND verdict.brand = %(brand)s
ORDER BY verdict.occurred_at, evidence.device, evidence.boot, evidence.seq

-- name: pack_custody
-- Of the units that were scanned, their cases, and the cases that alerts name without a scan.
WITH units AS (
    SELECT verdict.unit FROM trace.case_evidence AS evidence JOIN trace.verdict USING (device, boot, seq)
    WHERE evidence.case_id = %(case)s
    UNION
    SELECT verdict.case_unit FROM trace.case_evidence AS evidence JOIN trace.verdict USING (device, boot, seq)
    WHERE evidence.case_id = %(case)s
    UNION
    SELECT part ->> 'case' FROM trace.case_alert JOIN trace.alert ON alert.id = case_alert.alert
    CROSS JOIN LATERAL jsonb_path_query(alert.reason, '$.parameters.contributions[*]') AS part
    WHERE case_alert.case_id = %(case)s
)
SELECT to_jsonb(event) FROM units JOIN trace.custody_event AS event ON event.unit = units.unit
WHERE event.brand = %(brand)s OR event.brand IS NULL
ORDER BY event.unit, event.occurred_at, event.id

-- name: pack_records
-- What alerts cite and is no scan: each event of custody, and the EPCIS document that it came in. By another name
-- than the column of the document, which would be taken for it.
WITH cited AS (
    SELECT DISTINCT split_part(message, '/', 1) AS device, split_part(message, '/', 2)::uuid AS boot,
        split_part(message, '/', 3)::bigint AS seq
    FROM trace.case_alert JOIN trace.alert ON alert.id = case_alert.alert
    CROSS JOIN LATERAL jsonb_array_elements_text(alert.reason #> '{parameters,records}') AS each (message)
    WHERE case_alert.case_id = %(case)s AND alert.brand = %(brand)s
)
SELECT jsonb_build_object('event', to_jsonb(happened), 'refused', held.reason, 'document', said.event,
    'document_id', said.event_id, 'record_time', said.record_time)
FROM cited JOIN trace.custody_event AS happened USING (device, boot, seq)
LEFT JOIN trace.quarantine AS held USING (device, boot, seq)
LEFT JOIN trace.epcis_event AS said ON said.brand = %(brand)s AND said.event_time = happened.occurred_at
    AND said.device = happened.device AND said.boot = happened.boot AND happened.seq BETWEEN said.first_seq AND said.last_seq
WHERE happened.brand = %(brand)s OR happened.brand IS NULL
ORDER BY happened.occurred_at, happened.id

-- name: pack_territory
SELECT to_jsonb(territory) FROM trace.territory
WHERE territory.brand = %(brand)s AND territory.id IN (
    SELECT verdict.territory FROM trace.case_evidence AS evidence JOIN trace.verdict USING (device, boot, seq)
    WHERE evidence.case_id = %(case)s)
ORDER BY territory.id

-- name: pack_versions
-- By which maps the scans were judged and by which models the alerts were raised.
SELECT jsonb_build_object('maps', (
        SELECT jsonb_agg(DISTINCT verdict.map_version) FROM trace.case_evidence AS evidence
        JOIN trace.verdict USING (device, boot, seq)
        WHERE evidence.case_id = %(case)s AND verdict.map_version IS NOT NULL),
    'models', (
        SELECT jsonb_agg(jsonb_build_object('alert', alert.id, 'detector', alert.reason ->> 'code',
            'versions', alert.reason -> 'versions')) FROM trace.case_alert JOIN trace.alert ON alert.id = case_alert.alert
        WHERE case_alert.case_id = %(case)s))
WHERE EXISTS (SELECT FROM trace.case_file WHERE id = %(case)s AND brand = %(brand)s)

-- name: brands_of_cases
SELECT case_file.brand, (SELECT max(day.due_at) FROM trace.case_day AS day WHERE day.brand = case_file.brand) AS last
FROM trace.case_file GROUP BY case_file.brand ORDER BY case_file.brand

-- name: begin_day
INSERT INTO trace.case_day (brand, day, due_at) VALUES (%(brand)s, %(day)s, %(due_at)s) ON CONFLICT DO NOTHING
RETURNING day

-- name: digest
SELECT count(*) FILTER (WHERE state = 'open') AS open, count(*) FILTER (WHERE state = 'proposed') AS proposed,
    count(*) FILTER (WHERE state IN ('open', 'investigating', 'awaiting_dealer', 'proposed')) AS live,
    count(*) FILTER (WHERE state IN ('open', 'investigating', 'awaiting_dealer', 'proposed') AND deadline < %(now)s)
        AS overdue,
    count(*) FILTER (WHERE opened_at > %(now)s - interval '1 day') AS fresh,
    count(*) FILTER (WHERE closed_at > %(now)s - interval '1 day') AS closed
FROM trace.case_file WHERE brand = %(brand)s

-- name: names
-- Of dealers and sites; a dealer's site of the same number is named as the dealer.
SELECT DISTINCT ON (id) id, name_zh, name_en FROM (
    SELECT id, name_zh, name_en, 1 AS rank FROM trace.dealer WHERE brand = %(brand)s AND id = ANY(%(ids)s::text[])
    UNION ALL
    SELECT site.id, site.name_zh, site.name_en, 2 FROM trace.site JOIN trace.dealer ON dealer.id = site.dealer
    WHERE dealer.brand = %(brand)s AND site.id = ANY(%(ids)s::text[])) AS known
ORDER BY id, rank

-- name: digest_cases
SELECT case_file.id, case_file.dealer, dealer.name_zh AS dealer_name_zh, dealer.name_en AS dealer_name_en,
    case_file.destinations, case_file.priority, case_file.probability, case_file.state,
    coalesce((SELECT bool_and(alert.kind IN ('forged', 'clone')) FROM trace.case_alert
        JOIN trace.alert ON alert.id = case_alert.alert WHERE case_alert.case_id = case_file.id), false) AS of_codes
FROM trace.case_file JOIN trace.dealer ON dealer.id = case_file.dealer WHERE case_file.id = ANY(%(cases)s)

-- name: open_leads
SELECT claim FROM trace.lead WHERE brand = %(brand)s AND ended_at IS NULL

-- name: write_leads
INSERT INTO trace.lead (brand, claim, kind, near, dealer, city, cases, strength, probability, reason, material)
SELECT %(brand)s, each.claim, each.kind, each.near, dealer.id, each.city, each.cases, each.strength, each.probability,
    each.reason, each.material
FROM jsonb_to_recordset(%(rows)s) AS each (claim text, kind text, near boolean, dealer text, city text, cases integer,
    strength double precision, probability double precision, reason jsonb, material jsonb)
LEFT JOIN trace.dealer ON dealer.brand = %(brand)s AND dealer.id = each.dealer
ON CONFLICT (brand, claim) WHERE ended_at IS NULL DO UPDATE SET kind = excluded.kind, near = excluded.near,
    dealer = excluded.dealer, city = excluded.city, cases = excluded.cases, strength = excluded.strength,
    probability = excluded.probability, reason = excluded.reason, material = excluded.material,
    updated_at = clock_timestamp()

-- name: end_leads
UPDATE trace.lead SET ended_at = clock_timestamp(), updated_at = clock_timestamp(),
    ended = CASE WHEN claim = ANY(%(raised)s::text[]) THEN 'raised' ELSE 'gone' END
WHERE brand = %(brand)s AND claim = ANY(%(claims)s::text[]) AND ended_at IS NULL

-- name: leads
SELECT lead.id, lead.claim, lead.kind, lead.near, lead.dealer, dealer.name_zh AS dealer_name_zh,
    dealer.name_en AS dealer_name_en, lead.city, lead.cases, lead.strength, lead.probability, lead.reason,
    lead.found_at, lead.updated_at, lead.ended_at, lead.ended,
    (SELECT max(drawn.day) FROM trace.lead_selection AS drawn WHERE drawn.lead = lead.id) AS drawn_on, seen.outcome
FROM trace.lead
LEFT JOIN trace.dealer ON dealer.id = lead.dealer
LEFT JOIN trace.lead_review AS seen ON seen.lead = lead.id
WHERE lead.brand = %(brand)s
    AND (%(near)s::boolean IS NULL OR lead.near = %(near)s)
    AND (%(id)s::bigint IS NULL OR lead.id = %(id)s)
    AND (%(ended)s::boolean IS NULL OR (lead.ended_at IS NOT NULL) = %(ended)s)
ORDER BY lead.strength DESC, lead.id
LIMIT %(limit)s OFFSET %(offset)s

-- name: lead_counts
SELECT count(*) FILTER (WHERE near) AS near, count(*) FILTER (WHERE NOT near) AS other
FROM trace.lead WHERE brand = %(brand)s AND ended_at IS NULL

-- name: lead_material
SELECT material FROM trace.lead WHERE id = %(id)s

-- name: lock_lead
SELECT claim, ended FROM trace.lead WHERE id = %(id)s AND brand = %(brand)s FOR UPDATE

-- name: review_lead
WITH ended AS (
    UPDATE trace.lead SET ended_at = clock_timestamp(), updated_at = clock_timestamp(), ended = 'reviewed'
    WHERE id = %(id)s RETURNING id
)
INSERT INTO trace.lead_review (lead, outcome, note, reviewed_by)
SELECT id, %(outcome)s, %(note)s, %(login)s FROM ended

-- name: near_leads
SELECT id FROM trace.lead WHERE brand = %(brand)s AND near AND ended_at IS NULL ORDER BY id

-- name: insert_lead_selection
INSERT INTO trace.lead_selection (brand, day, lead, probability)
VALUES (%(brand)s, %(day)s, %(lead)s, %(probability)s) ON CONFLICT DO NOTHING

-- name: digest_leads
SELECT lead.id, lead.kind, lead.dealer, coalesce(dealer.name_zh, '') AS dealer_name_zh,
    coalesce(dealer.name_en, '') AS dealer_name_en, lead.city, lead.strength
FROM trace.lead LEFT JOIN trace.dealer ON dealer.id = lead.dealer WHERE lead.id = ANY(%(leads)s) ORDER BY lead.id

-- name: lead_outcomes
-- Reviewed leads as cases of one alert: what was found, and the chance that they were drawn.
SELECT -lead.id AS case, lead.id AS lead, coalesce(lead.dealer, '') AS dealer, 'lead' AS kind,
    CASE WHEN lead.city = '' THEN '{}' ELSE ARRAY[lead.city] END AS destinations, seen.outcome,
    seen.reviewed_at AS closed_at, seen.reviewed_by AS closed_by, NULL::text AS proposed_by, lead.probability AS believed,
    lead.probability IS NOT NULL AS calibrated, 'audit' AS selected, chosen.probability AS selection_probability,
    jsonb_build_array(jsonb_build_object('alert', NULL, 'kind', lead.kind, 'city', lead.city, 'raised_at', lead.found_at,
        'probability', lead.probability, 'reason', lead.reason)) AS alerts
FROM trace.lead JOIN trace.lead_review AS seen ON seen.lead = lead.id
JOIN LATERAL (SELECT max(drawn.probability) AS probability FROM trace.lead_selection AS drawn WHERE drawn.lead = lead.id)
    AS chosen ON chosen.probability IS NOT NULL
WHERE lead.brand = %(brand)s
ORDER BY seen.reviewed_at, lead.id
