-- Territories per product line and as drawn polygons, and the drafts that they are published from.

-- What somebody proposed, as it was proposed: only what became of it is written later.
CREATE TABLE trace.territory_draft (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    brand       text NOT NULL REFERENCES trace.brand,
    name        text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    proposals   json NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    created_by  text NOT NULL,
    state       text NOT NULL DEFAULT 'draft' CHECK (state IN ('draft', 'published', 'dropped')),
    decided_at  timestamptz,
    decided_by  text,
    accepted    text[] NOT NULL DEFAULT '{}',
    report      jsonb,
    map_version text,
    CHECK ((state = 'draft') = (decided_at IS NULL)),
    CHECK ((decided_at IS NULL) = (decided_by IS NULL))
);
COMMENT ON COLUMN trace.territory_draft.accepted IS 'codes of findings that whoever published it took responsibility for';
CREATE INDEX territory_draft_brand ON trace.territory_draft (brand, id DESC);

ALTER TABLE trace.territory
    ADD COLUMN product_line text CHECK (length(product_line) BETWEEN 1 AND 100),
    ADD COLUMN polygon bytea CHECK (length(polygon) <= 4194304),
    ADD COLUMN draft bigint REFERENCES trace.territory_draft;
COMMENT ON COLUMN trace.territory.product_line IS 'empty: all lines that have no territory of their own';
COMMENT ON COLUMN trace.territory.polygon IS 'drawn beside the divisions: little-endian WKB in normal form, WGS-84 degrees';
CREATE INDEX territory_brand ON trace.territory (brand, id);

-- A published territory replaces what was granted before it; it is no further contract beside the others.
CREATE OR REPLACE VIEW trace.channel_fact AS
SELECT id, brand, kind, key, valid_from, facts, ended, recorded_at, recorded_by FROM trace.channel_version
UNION ALL
SELECT 0, brand, 'product', gtin, 'epoch', jsonb_build_object('name_zh', name_zh, 'name_en', name_en,
        'product_line', nullif(product_line, ''), 'items_per_case', items_per_case, 'unit_price', unit_price::text,
        'unit_weight_g', unit_weight_g), ended, 'epoch', ''
FROM trace.product
WHERE NOT EXISTS (SELECT FROM trace.channel_version WHERE kind = 'product' AND key = gtin)
UNION ALL
SELECT 0, brand, 'dealer', dealer.id, 'epoch', jsonb_build_object('parent', parent, 'name_zh', name_zh,
        'name_en', name_en, 'kind', dealer.kind), ended, 'epoch', ''
FROM trace.dealer
WHERE NOT EXISTS (SELECT FROM trace.channel_version WHERE kind = 'dealer' AND key = dealer.id)
UNION ALL
SELECT 0, territory.brand, 'contract', 'T-' || territory.id, territory.valid_from,
    jsonb_build_object('dealer', dealer, 'channel', channel, 'product_lines', jsonb_build_array(),
        'adcodes', to_jsonb(adcodes), 'exclusive', exclusive, 'starts_on', valid_from, 'ends_on', valid_to),
    false, territory.recorded_at, ''
FROM trace.territory
WHERE NOT by_contracts AND draft IS NULL
    AND NOT EXISTS (SELECT FROM trace.channel_version AS known WHERE known.kind = 'contract' AND known.key = 'T-' || territory.id)
UNION ALL
SELECT 0, dealer.brand, 'site', site.id, 'epoch', jsonb_build_object('kind', site.kind, 'dealer', site.dealer,
        'name_zh', site.name_zh, 'name_en', site.name_en, 'gln', gln, 'lon', lon, 'lat', lat,
        'crs', 'wgs84', 'adcode', adcode), site.ended, 'epoch', ''
FROM trace.site LEFT JOIN trace.dealer ON dealer.id = site.dealer
WHERE NOT EXISTS (SELECT FROM trace.channel_version AS known WHERE known.kind = 'site' AND known.key = site.id)
UNION ALL
SELECT 0, dealer.brand, 'device', device.id, 'epoch', jsonb_build_object('site', device.site, 'kind', device.kind),
    device.retired_at IS NOT NULL, 'epoch', ''
FROM landing.device LEFT JOIN trace.site ON site.id = device.site LEFT JOIN trace.dealer ON dealer.id = site.dealer
WHERE NOT EXISTS (SELECT FROM trace.channel_version AS known WHERE known.kind = 'device' AND known.key = device.id);
