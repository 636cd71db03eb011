-- name: insert_capture
INSERT INTO trace.epcis_capture (id, brand, partner, behaviour, finished_at, success, events, errors)
VALUES (%(id)s, %(brand)s, %(partner)s, %(behaviour)s, clock_timestamp(), %(success)s, %(events)s, %(errors)s)

-- name: capture
SELECT id::text AS id, behaviour, created_at, finished_at, success, events, errors::text AS errors
FROM trace.epcis_capture WHERE brand = %(brand)s AND id = %(id)s

-- name: captures
SELECT id::text AS id, behaviour, created_at, finished_at, success, events, errors::text AS errors
FROM trace.epcis_capture
WHERE brand = %(brand)s AND (%(before)s::timestamptz IS NULL OR (created_at, id) < (%(before)s, %(before_id)s::uuid))
ORDER BY created_at DESC, id DESC LIMIT %(limit)s

-- name: lock_ids
-- Captures of one brand that share an eventID wait for one another; a fixed number of locks serves any number of ids.
SELECT pg_advisory_xact_lock(0x45504349, bucket)
FROM (SELECT DISTINCT (hashtext(%(brand)s || ' ' || id) & 63) AS bucket FROM unnest(%(ids)s::text[]) AS id
    ORDER BY bucket) AS ordered

-- name: known_events
SELECT event_id, declared, event::text AS event, device, boot, first_seq, last_seq FROM trace.epcis_event
WHERE brand = %(brand)s AND event_id = ANY (%(ids)s)

-- name: insert_events
INSERT INTO trace.epcis_event (brand, event_id, declared, event_type, event_time, action, biz_step, disposition,
    read_point, biz_location, transformation_id, terms, device, boot, first_seq, last_seq, prefixes, event)
SELECT brand, event_id, declared, event_type, event_time, action, biz_step, disposition, read_point, biz_location,
    transformation_id, terms, device, boot, first_seq, last_seq, prefixes, event
FROM jsonb_to_recordset(%(rows)s::jsonb) AS (brand text, event_id text, declared boolean, event_type text,
    event_time timestamptz, action text, biz_step text, disposition text, read_point text, biz_location text,
    transformation_id text, terms text[], device text, boot uuid, first_seq bigint, last_seq bigint,
    prefixes jsonb, event jsonb)
ON CONFLICT (brand, event_id, declared) DO NOTHING
RETURNING event_id

-- name: foreign_units
-- Products that are not the brand's own, and logistic units that another brand has used.
SELECT gtin.key AS unit, product.brand FROM unnest(%(gtins)s::text[]) AS gtin (key)
LEFT JOIN trace.product ON product.gtin = gtin.key WHERE product.brand IS DISTINCT FROM %(brand)s
UNION ALL
SELECT unit.key, other.brand FROM unnest(%(units)s::text[]) AS unit (key)
CROSS JOIN LATERAL (SELECT brand FROM trace.custody_event
    WHERE custody_event.unit = unit.key AND brand IS NOT NULL LIMIT 1) AS other
WHERE other.brand <> %(brand)s

-- name: places
SELECT site.id, site.gln, site.dealer FROM trace.site LEFT JOIN trace.dealer ON dealer.id = site.dealer
WHERE (site.gln = ANY (%(glns)s) OR site.id = ANY (%(names)s)) AND (site.dealer IS NULL OR dealer.brand = %(brand)s)

-- name: contents
SELECT parent, array_agg(child ORDER BY child) AS children FROM trace.containment
WHERE brand = %(brand)s AND parent = ANY (%(parents)s) AND valid_from <= %(at)s
    AND (valid_to IS NULL OR valid_to > %(at)s)
GROUP BY parent

-- name: corrected
-- The custody events that an event which is now declared wrong stands for.
SELECT custody_event.unit, custody_event.site, custody_event.device, custody_event.boot, custody_event.seq
FROM trace.epcis_event JOIN trace.custody_event ON custody_event.device = epcis_event.device
    AND custody_event.boot = epcis_event.boot AND custody_event.seq BETWEEN first_seq AND last_seq
WHERE epcis_event.brand = %(brand)s AND event_id = %(event_id)s AND NOT declared
ORDER BY custody_event.seq

-- name: where_among
{column} = ANY ({values})

-- name: where_within
({column} = ANY ({values}) OR {column} LIKE ANY ({within}))

-- name: where_moment
{column} {comparison} {value}

-- name: where_terms
terms && {values}::text[]

-- name: where_exists
EXISTS (SELECT FROM unnest({paths}::text[]) AS place (path) WHERE jsonb_path_exists(event, place.path::jsonpath))

-- name: where_paths
EXISTS (SELECT FROM unnest({paths}::text[]) AS place (path)
    WHERE jsonb_path_exists(event, place.path::jsonpath, {vars}::jsonb, true))

-- name: where_times
-- Only a moment that exists reaches the cast: anybody may have captured such a text as 2026-02-30T10:00:00Z.
EXISTS (SELECT FROM unnest({paths}::text[]) AS place (path)
    CROSS JOIN LATERAL jsonb_path_query(event, place.path::jsonpath) AS found (value)
    WHERE CASE WHEN found.value #>> '{{}}' ~ ('^(?!0000)('
        || '[0-9]{{4}}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)'
        || '|02-(0[1-9]|1[0-9]|2[0-8]))'
        || '|([0-9]{{2}}(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)-02-29'
        || ')T([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{{1,30}})?)?(Z|[+-](0[0-9]|1[0-4]):?[0-5][0-9])$')
        THEN (found.value #>> '{{}}')::timestamptz {comparison} {value} ELSE false END)

-- name: where_visible
-- What custody refuses is out of sight as long as it does, whenever it began to.
NOT EXISTS (SELECT FROM trace.quarantine WHERE quarantine.device = epcis_event.device
    AND quarantine.boot = epcis_event.boot AND quarantine.seq BETWEEN first_seq AND last_seq AND resolved_at IS NULL)

-- name: where_after
({column}, id) > ({value}, {id})

-- name: where_before
({column}, id) < ({value}, {id})

-- name: find_events
SELECT id, {column} AS position, record_time, prefixes::text AS prefixes, event::text AS event
FROM trace.epcis_event WHERE brand = %(brand)s AND {conditions}
ORDER BY {column} {direction}, id {direction} LIMIT %(limit)s

-- name: count_events
SELECT count(*) FROM (
    SELECT FROM trace.epcis_event WHERE brand = %(brand)s AND {conditions} LIMIT %(limit)s) AS matching

-- name: insert_page
WITH gone AS (DELETE FROM trace.epcis_page WHERE expires_at < now())
INSERT INTO trace.epcis_page (token, brand, position, expires_at)
VALUES (%(token)s, %(brand)s, %(position)s, %(expires_at)s)

-- name: page
SELECT position FROM trace.epcis_page WHERE token = %(token)s AND brand = %(brand)s AND expires_at > now()

-- name: delete_page
DELETE FROM trace.epcis_page WHERE token = %(token)s AND brand = %(brand)s RETURNING token

-- name: members_event_type
SELECT DISTINCT event_type AS member FROM trace.epcis_event
WHERE brand = %(brand)s AND event_type > %(after)s ORDER BY 1 LIMIT %(limit)s

-- name: members_biz_step
SELECT DISTINCT biz_step AS member FROM trace.epcis_event
WHERE brand = %(brand)s AND biz_step > %(after)s ORDER BY 1 LIMIT %(limit)s

-- name: members_biz_location
SELECT DISTINCT biz_location AS member FROM trace.epcis_event
WHERE brand = %(brand)s AND biz_location > replace(%(after)s, 'https://id.gs1.org', '') ORDER BY 1 LIMIT %(limit)s

-- name: members_read_point
SELECT DISTINCT read_point AS member FROM trace.epcis_event
WHERE brand = %(brand)s AND read_point > replace(%(after)s, 'https://id.gs1.org', '') ORDER BY 1 LIMIT %(limit)s

-- name: members_disposition
SELECT DISTINCT disposition AS member FROM trace.epcis_event
WHERE brand = %(brand)s AND disposition > %(after)s ORDER BY 1 LIMIT %(limit)s

-- name: members_epc
SELECT DISTINCT substr(term, 3) AS member FROM trace.epcis_event CROSS JOIN LATERAL unnest(terms) AS term
WHERE brand = %(brand)s AND term ~ '^[epio]:' AND term !~ '/\*$'
    AND substr(term, 3) > replace(%(after)s, 'https://id.gs1.org', '') ORDER BY 1 LIMIT %(limit)s

-- name: claim_pending
-- Another reader's batch is skipped; both write the same events in the end.
SELECT fact.id, fact.unit, fact.biz_step, fact.site, site.gln, fact.dealer, fact.shipment, fact.parent, fact.reason,
    fact.occurred_at, fact.device, fact.boot, fact.seq,
    wrong.biz_step AS wrong_step, wrong.site AS wrong_site, wrong_site.gln AS wrong_gln, wrong.dealer AS wrong_dealer,
    wrong.shipment AS wrong_shipment, wrong.parent AS wrong_parent, wrong.reason AS wrong_reason,
    wrong.occurred_at AS wrong_at
FROM trace.epcis_pending AS pending
JOIN trace.custody_event AS fact ON fact.id = pending.id
LEFT JOIN trace.site ON site.id = fact.site
LEFT JOIN trace.custody_event AS wrong ON wrong.device = fact.corrects_device AND wrong.boot = fact.corrects_boot
    AND wrong.seq = fact.corrects_seq
LEFT JOIN trace.site AS wrong_site ON wrong_site.id = wrong.site
WHERE pending.brand = %(brand)s
    AND NOT EXISTS (SELECT FROM trace.quarantine WHERE quarantine.device = fact.device
        AND quarantine.boot = fact.boot AND quarantine.seq = fact.seq AND resolved_at IS NULL)
ORDER BY pending.id LIMIT %(limit)s
FOR UPDATE OF pending SKIP LOCKED

-- name: adopt_pending
-- Whose a logistic unit is may be told by what was packed into it since.
UPDATE trace.epcis_pending AS pending SET brand = found.brand
FROM trace.custody_event AS fact CROSS JOIN LATERAL (
    SELECT brand FROM trace.containment WHERE parent = fact.unit OR child = fact.unit LIMIT 1) AS found
WHERE pending.brand IS NULL AND fact.id = pending.id

-- name: pending_brands
SELECT DISTINCT brand FROM trace.epcis_pending WHERE brand IS NOT NULL

-- name: done_pending
DELETE FROM trace.epcis_pending WHERE id = ANY (%(ids)s)

-- name: counts
SELECT (SELECT count(*) FROM trace.epcis_query WHERE brand = %(brand)s) AS queries,
    (SELECT count(*) FROM trace.epcis_subscription WHERE brand = %(brand)s) AS subscriptions

-- name: insert_query
INSERT INTO trace.epcis_query (brand, name, query) VALUES (%(brand)s, %(name)s, %(query)s)
ON CONFLICT DO NOTHING RETURNING name

-- name: queries
SELECT name, created_at, query::text AS query FROM trace.epcis_query WHERE brand = %(brand)s ORDER BY name

-- name: query
SELECT name, created_at, query::text AS query FROM trace.epcis_query WHERE brand = %(brand)s AND name = %(name)s

-- name: delete_query
DELETE FROM trace.epcis_query WHERE brand = %(brand)s AND name = %(name)s RETURNING name

-- name: insert_subscription
-- What was stored before does not come; whatever an unfinished transaction still writes does.
INSERT INTO trace.epcis_subscription (id, brand, query, dest, schedule, report_if_empty, secret, due_at, transaction)
VALUES (%(id)s, %(brand)s, %(query)s, %(dest)s, %(schedule)s, %(report_if_empty)s, %(secret)s, %(due_at)s,
    pg_snapshot_xmin(pg_current_snapshot()))

-- name: subscriptions
SELECT id, query, dest, schedule, report_if_empty, created_at, state, delivered, delivered_at, attempts, error
FROM trace.epcis_subscription
WHERE brand = %(brand)s AND query = %(query)s AND (id = %(id)s::uuid OR %(id)s::uuid IS NULL) ORDER BY created_at, id

-- name: restart_subscription
UPDATE trace.epcis_subscription SET state = 'active', attempts = 0, due_at = now(), error = NULL WHERE id = %(id)s

-- name: delete_subscription
DELETE FROM trace.epcis_subscription WHERE id = %(id)s

-- name: due_subscriptions
SELECT id FROM trace.epcis_subscription WHERE state = 'active' AND due_at <= now() ORDER BY due_at LIMIT 500

-- name: own_subscription
-- Held by this session while it serves one subscription; it ends with the session, however that ends.
SELECT pg_try_advisory_lock(%(space)s, hashtext(%(id)s)) AS had

-- name: subscription_work
SELECT subscription.id, subscription.brand, subscription.query, epcis_query.query::text AS query_text, dest, schedule,
    report_if_empty, secret, transaction::text AS transaction, last_event, attempts
FROM trace.epcis_subscription AS subscription
JOIN trace.epcis_query ON epcis_query.brand = subscription.brand AND epcis_query.name = subscription.query
WHERE subscription.id = %(id)s AND state = 'active' AND due_at <= now()

-- name: stream_events
-- In the order of transactions, and none while an older one may still add to it.
SELECT id, transaction::text AS transaction, record_time, prefixes::text AS prefixes, event::text AS event
FROM trace.epcis_event WHERE brand = %(brand)s AND {conditions}
    AND (transaction, id) > (%(transaction)s::xid8, %(last)s)
    AND transaction < pg_snapshot_xmin(pg_current_snapshot())
ORDER BY transaction, id LIMIT %(limit)s

-- name: subscription_taken
UPDATE trace.epcis_subscription SET transaction = %(transaction)s::xid8, last_event = %(last)s, attempts = 0,
    error = NULL, delivered_at = now(), delivered = delivered + %(count)s WHERE id = %(id)s

-- name: subscription_failed
UPDATE trace.epcis_subscription SET attempts = attempts + 1, error = %(error)s, due_at = now() + %(wait)s,
    state = CASE WHEN %(dead)s THEN 'dead' ELSE state END WHERE id = %(id)s

-- name: subscription_rests
UPDATE trace.epcis_subscription SET due_at = coalesce(%(due_at)s::timestamptz, now() + interval '1 second')
WHERE id = %(id)s

-- name: brand_sites
-- The brand's own places and its dealers'; a logistics provider's where the brand's goods were.
SELECT site.id, site.gln, site.name_zh, site.lon, site.lat FROM trace.site
LEFT JOIN trace.dealer ON dealer.id = site.dealer
WHERE dealer.brand = %(brand)s OR (site.dealer IS NULL AND EXISTS (
    SELECT FROM trace.custody_event WHERE custody_event.brand = %(brand)s AND custody_event.site = site.id))
ORDER BY site.id

-- name: brand_dealers
SELECT dealer.id, dealer.name_zh,
    coalesce(array_agg(below.id ORDER BY below.id) FILTER (WHERE below.id IS NOT NULL), '{}') AS children
FROM trace.dealer LEFT JOIN trace.dealer AS below ON below.parent = dealer.id
WHERE dealer.brand = %(brand)s GROUP BY dealer.id ORDER BY dealer.id

-- name: brand_products
SELECT gtin, name_zh, name_en FROM trace.product WHERE brand = %(brand)s ORDER BY gtin
