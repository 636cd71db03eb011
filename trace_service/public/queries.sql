-- name: product
SELECT product.brand, product.name_zh, product.name_en, brand.name_zh AS brand_zh, brand.name_en AS brand_en
FROM trace.product JOIN trace.brand ON brand.id = product.brand WHERE gtin = %(gtin)s;

-- name: training_key
SELECT wrapped, profile FROM trace.master_key WHERE brand = %(brand)s AND epoch = 0 AND state <> 'killed';

-- name: links
-- A product's own link stands in the place of the brand's of the same type and language.
SELECT DISTINCT ON (link_type, coalesce(language, ''))
    link_type, language, target, title, is_default, link.gtin IS NOT NULL AS own
FROM trace.public_link AS link JOIN trace.product ON product.gtin = %(gtin)s AND product.brand = link.brand
WHERE removed_at IS NULL AND (link.gtin IS NULL OR link.gtin = product.gtin)
ORDER BY link_type, coalesce(language, ''), link.gtin NULLS LAST;

-- name: look_up
INSERT INTO trace.lookup (unit, visitor, brand, looked_up_at)
VALUES (%(unit)s, %(visitor)s, %(brand)s, date_trunc('hour', now(), 'UTC'))
ON CONFLICT DO NOTHING;

-- name: expire_lookups
DELETE FROM trace.lookup WHERE (unit, visitor) IN (
    SELECT unit, visitor FROM trace.lookup WHERE looked_up_at < now() - interval '400 days' LIMIT 1000);

-- name: seen
-- Others' look-ups, and consumers' scans: how many, in how many cities, and where and when first.
SELECT lookups.visitors, scans.cities, scans.city, least(lookups.first, scans.first) AS first,
    coalesce(scans.first <= lookups.first, scans.first IS NOT NULL) AS placed
FROM (
    SELECT count(*) FILTER (WHERE looked_up_at > now() - interval '30 days') AS visitors, min(looked_up_at) AS first
    FROM trace.lookup WHERE unit = %(unit)s AND visitor <> %(visitor)s
) AS lookups, (
    SELECT count(DISTINCT city) AS cities, min(occurred_at) AS first,
        (array_agg(city ORDER BY occurred_at) FILTER (WHERE city IS NOT NULL))[1] AS city
    FROM trace.verdict WHERE unit = %(unit)s AND activity = 'consumer'
) AS scans;

-- name: add_link
INSERT INTO trace.public_link (brand, gtin, link_type, language, target, title, is_default)
VALUES (%(brand)s, %(gtin)s, %(link_type)s, %(language)s, %(target)s, %(title)s, %(is_default)s) RETURNING id;

-- name: list_links
SELECT id, brand, gtin, link_type, language, target, title, is_default FROM trace.public_link
WHERE removed_at IS NULL AND (%(brand)s::text IS NULL OR brand = %(brand)s) ORDER BY brand, gtin NULLS FIRST, link_type, id;

-- name: remove_link
UPDATE trace.public_link SET removed_at = now() WHERE id = %(id)s AND brand = %(brand)s AND removed_at IS NULL
RETURNING id;
