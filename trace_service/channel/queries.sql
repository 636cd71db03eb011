-- name: lock
-- One import at a time, whichever the brand: ids are unique across brands.
SELECT pg_advisory_xact_lock(hashtextextended('channel', 0))

-- name: clock
-- After the lock: versions that were recorded later must say so.
SELECT clock_timestamp() AS now, EXISTS (SELECT FROM trace.brand WHERE id = %(brand)s) AS known

-- name: load
SELECT id, brand, kind, key, valid_from, facts, ended, recorded_at FROM trace.channel_fact
WHERE (brand = %(brand)s OR brand IS NULL) AND recorded_at <= %(known_at)s
ORDER BY recorded_at, id

-- name: version
SELECT coalesce(max(id), 0) AS newest,
    (SELECT count(*) FROM trace.territory WHERE NOT by_contracts) AS territories,
    (SELECT count(*) FROM trace.dealer) AS dealers, (SELECT count(*) FROM trace.site) AS sites,
    (SELECT count(*) FROM trace.product) AS products
FROM trace.channel_version

-- name: brands_due
-- Brands of which a version that was recorded before its day came into force since the present tables followed last.
SELECT version.brand FROM trace.channel_version AS version
WHERE version.valid_from <= %(now)s AND version.recorded_at < version.valid_from AND version.kind <> 'contract'
GROUP BY version.brand
HAVING max(version.valid_from) > coalesce(
    (SELECT max(reached) FROM trace.channel_refresh AS done WHERE done.brand = version.brand), '-infinity')
ORDER BY version.brand

-- name: reached
INSERT INTO trace.channel_refresh (brand, reached) VALUES (%(brand)s, %(now)s)

-- name: taken
SELECT DISTINCT kind, key FROM trace.channel_fact
WHERE brand <> %(brand)s AND kind <> 'staff' AND key = ANY(%(keys)s)

-- name: insert_version
INSERT INTO trace.channel_version (brand, kind, key, valid_from, facts, ended, recorded_at, recorded_by)
VALUES (%(brand)s, %(kind)s, %(key)s, %(valid_from)s, %(facts)s, %(ended)s, %(recorded_at)s, %(recorded_by)s)

-- name: project_product
INSERT INTO trace.product (gtin, brand, name_zh, name_en, items_per_case, unit_price, unit_weight_g, product_line, ended)
VALUES (%(key)s, %(brand)s, %(name_zh)s, %(name_en)s, %(items_per_case)s, %(unit_price)s, %(unit_weight_g)s,
    coalesce(%(product_line)s, ''), %(ended)s)
ON CONFLICT (gtin) DO UPDATE SET name_zh = excluded.name_zh, name_en = excluded.name_en,
    items_per_case = excluded.items_per_case, unit_price = excluded.unit_price,
    unit_weight_g = excluded.unit_weight_g, product_line = excluded.product_line, ended = excluded.ended
WHERE product.brand = excluded.brand

-- name: project_dealer
INSERT INTO trace.dealer (id, brand, parent, name_zh, name_en, kind, level, lft, rgt, ended)
VALUES (%(key)s, %(brand)s, %(parent)s, %(name_zh)s, %(name_en)s, %(kind)s, %(level)s, %(lft)s, %(rgt)s, %(ended)s)
ON CONFLICT (id) DO UPDATE SET parent = excluded.parent, name_zh = excluded.name_zh, name_en = excluded.name_en,
    kind = excluded.kind, level = excluded.level, lft = excluded.lft, rgt = excluded.rgt, ended = excluded.ended
WHERE dealer.brand = excluded.brand AND (dealer.parent, dealer.name_zh, dealer.name_en, dealer.kind, dealer.level,
    dealer.lft, dealer.rgt, dealer.ended) IS DISTINCT FROM (excluded.parent, excluded.name_zh, excluded.name_en,
    excluded.kind, excluded.level, excluded.lft, excluded.rgt, excluded.ended)

-- name: project_site
INSERT INTO trace.site (id, kind, dealer, name_zh, name_en, lon, lat, adcode, gln, ended)
VALUES (%(key)s, %(kind)s, %(dealer)s, %(name_zh)s, %(name_en)s, %(lon)s, %(lat)s, %(adcode)s, %(gln)s, %(ended)s)
ON CONFLICT (id) DO UPDATE SET kind = excluded.kind, dealer = excluded.dealer, name_zh = excluded.name_zh,
    name_en = excluded.name_en, lon = excluded.lon, lat = excluded.lat, adcode = excluded.adcode, gln = excluded.gln,
    ended = excluded.ended

-- name: project_device
INSERT INTO landing.device (id, site, kind, retired_at)
VALUES (%(key)s, %(site)s, %(kind)s, CASE WHEN %(ended)s THEN now() END)
ON CONFLICT (id) DO UPDATE SET site = excluded.site, kind = excluded.kind,
    retired_at = CASE WHEN excluded.retired_at IS NULL THEN NULL
        ELSE coalesce(device.retired_at, excluded.retired_at) END

-- name: territories_of
SELECT dealer, channel, adcodes, exclusive, valid_from, valid_to, recorded_at FROM trace.territory
WHERE dealer = ANY(%(dealers)s) AND product_line IS NULL ORDER BY recorded_at, id

-- name: insert_territory
INSERT INTO trace.territory (brand, dealer, channel, adcodes, exclusive, valid_from, valid_to, recorded_at, sha256,
    by_contracts)
VALUES (%(brand)s, %(dealer)s, %(channel)s, %(adcodes)s, %(exclusive)s, %(valid_from)s, %(valid_to)s,
    %(recorded_at)s, %(sha256)s, true)

-- name: insert_brand
INSERT INTO trace.brand (id, name_zh, name_en) VALUES (%(id)s, %(name_zh)s, %(name_en)s) ON CONFLICT DO NOTHING
RETURNING id

-- name: history
SELECT id, valid_from, facts, ended, recorded_at, recorded_by FROM trace.channel_fact
WHERE (brand = %(brand)s OR brand IS NULL) AND kind = %(kind)s AND key = %(key)s
ORDER BY recorded_at DESC, id DESC LIMIT 200

-- name: path
SELECT trace.dealer_path(%(dealer)s, %(valid_at)s, %(known_at)s) AS path
