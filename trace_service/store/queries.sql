-- name: product_lock
SELECT pg_advisory_xact_lock(hashtextextended('batch ' || %(gtin)s, 0))

-- name: next_counter
SELECT coalesce(max(upper(counters)), 0) FROM trace.batch WHERE gtin = %(gtin)s

-- name: active_key
SELECT epoch, wrapped FROM trace.master_key WHERE brand = %(brand)s AND state = 'active' AND epoch > 0
ORDER BY epoch DESC LIMIT 1

-- name: insert_batch
INSERT INTO trace.batch (brand, gtin, epoch, counters, lot, produced_on, commissioned_at)
VALUES (%(brand)s, %(gtin)s, %(epoch)s, int8range(%(first)s, %(first)s + %(count)s), %(lot)s, current_date, now())

-- name: product_brand
SELECT brand FROM trace.product WHERE gtin = %(gtin)s

-- name: keys
SELECT brand, epoch, wrapped FROM trace.master_key WHERE brand = ANY(%(brands)s) AND state <> 'killed'

-- name: insert_account
INSERT INTO trace.account (login, brand, name, role, password_hash, language)
VALUES (%(login)s, %(brand)s, %(name)s, %(role)s, %(password_hash)s, %(language)s)
ON CONFLICT (login) DO UPDATE SET name = excluded.name, role = excluded.role, password_hash = excluded.password_hash,
    language = excluded.language, disabled_at = NULL
WHERE account.brand = excluded.brand
RETURNING login

-- name: demo_lock
SELECT pg_advisory_xact_lock(hashtextextended('demo', 0))

-- name: insert_brand
INSERT INTO trace.brand (id, name_zh, name_en) VALUES (%(id)s, %(name_zh)s, %(name_en)s) ON CONFLICT DO NOTHING

-- name: insert_master
INSERT INTO trace.master_key (brand, epoch, wrapped) VALUES (%(brand)s, %(epoch)s, %(wrapped)s) ON CONFLICT DO NOTHING

-- name: insert_product
INSERT INTO trace.product (gtin, brand, name_zh, name_en, items_per_case, unit_price, unit_weight_g)
VALUES (%(gtin)s, %(brand)s, %(name_zh)s, %(name_en)s, %(items_per_case)s, %(unit_price)s, %(unit_weight_g)s)
ON CONFLICT DO NOTHING

-- name: insert_dealer
INSERT INTO trace.dealer (id, brand, parent, name_zh, name_en, kind, level, lft, rgt)
VALUES (%(id)s, %(brand)s, %(parent)s, %(name_zh)s, %(name_en)s, %(kind)s, %(level)s, %(lft)s, %(rgt)s)
ON CONFLICT DO NOTHING

-- name: insert_territory
INSERT INTO trace.territory (brand, dealer, channel, adcodes, exclusive, valid_from, recorded_at, sha256)
SELECT %(brand)s, %(dealer)s, %(channel)s, %(adcodes)s, %(exclusive)s, %(valid_from)s, %(recorded_at)s, %(sha256)s
WHERE NOT EXISTS (SELECT FROM trace.territory WHERE dealer = %(dealer)s)

-- name: insert_site
INSERT INTO trace.site (id, kind, dealer, name_zh, name_en, lon, lat, adcode)
VALUES (%(id)s, %(kind)s, %(dealer)s, %(name_zh)s, %(name_en)s, %(lon)s, %(lat)s, %(adcode)s)
ON CONFLICT DO NOTHING

-- name: insert_device
INSERT INTO landing.device (id, site, kind) VALUES (%(id)s, %(site)s, %(kind)s) ON CONFLICT DO NOTHING

-- name: insert_stock
INSERT INTO trace.stock (site, gtin, brand, dealer, daily_demand, reorder, maximum)
VALUES (%(site)s, %(gtin)s, %(brand)s, %(dealer)s, %(daily_demand)s, %(reorder)s, %(capacity)s)
ON CONFLICT DO NOTHING

-- name: runs
SELECT count(DISTINCT lot) FROM trace.batch WHERE brand = %(brand)s

-- name: sscc_serials
SELECT nextval('trace.sscc_serial') FROM generate_series(1, %(count)s)
