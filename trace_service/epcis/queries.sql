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

-- name: lock_brand
-- Captures of one brand under one eventID wait for one another.
SELECT pg_advisory_xact_lock(hashtextextended('epcis event ' || each, 0))
FROM (SELECT DISTINCT each FROM unnest(%(ids)s::text[]) AS each ORDER BY each) AS ordered

-- name: known_events
SELECT event_id, declared, event::text AS event, device, boot, first_seq, last_seq FROM trace.epcis_event
WHERE brand = %(brand)s AND event_id = ANY (%(ids)s)

-- name: insert_events
INSERT INTO trace.epcis_event (brand, event_id, declared, event_type, event_time, action, biz_step, disposition,
    read_point, biz_location, transformation_id, terms, device, boot, first_seq, last_seq, quarantined, prefixes, event)
SELECT brand, event_id, declared, event_type, event_time, action, biz_step, disposition, read_point, biz_location,
    transformation_id, terms, device, boot, first_seq, last_seq, coalesce(quarantined, false), prefixes, event
FROM jsonb_to_recordset(%(rows)s::jsonb) AS (brand text, event_id text, declared boolean, event_type text,
    event_time timestamptz, action text, biz_step text, disposition text, read_point text, biz_location text,
    transformation_id text, terms text[], device text, boot uuid, first_seq bigint, last_seq bigint,
    quarantined boolean, prefixes jsonb, event jsonb)
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
