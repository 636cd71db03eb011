-- Who may call the interfaces, whom we call back, and the channel: products, dealers, contracts, sites and people.

-- Tokens of partners. Only a hash is kept: 256 random bits need no slow one.
CREATE TABLE trace.partner_token (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    brand        text NOT NULL REFERENCES trace.brand,
    name         text NOT NULL CHECK (name ~ '^[A-Za-z0-9._-]{1,64}$'),
    token_hash   bytea NOT NULL UNIQUE CHECK (length(token_hash) = 32),
    scopes       text[] NOT NULL CHECK (cardinality(scopes) > 0 AND scopes <@ '{epcis,orders,channel,check}'::text[]),
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL,
    last_used_at timestamptz,
    revoked_at   timestamptz
);
CREATE UNIQUE INDEX partner_token_name ON trace.partner_token (brand, name) WHERE revoked_at IS NULL;

CREATE TABLE trace.webhook (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    brand      text NOT NULL REFERENCES trace.brand,
    url        text NOT NULL CHECK (url ~ '^https?://' AND length(url) <= 2000),
    topics     text[] NOT NULL CHECK (cardinality(topics) > 0),
    secret     bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    removed_at timestamptz
);
COMMENT ON COLUMN trace.webhook.secret IS 'AES key wrap (RFC 3394) under the service''s key-encryption key';
COMMENT ON COLUMN trace.webhook.topics IS 'topics, families such as order.*, or *';
CREATE INDEX webhook_brand ON trace.webhook (brand) WHERE removed_at IS NULL;

-- One message for one subscription, written in the transaction that it tells of.
CREATE TABLE trace.webhook_delivery (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    webhook      bigint NOT NULL REFERENCES trace.webhook,
    message      uuid NOT NULL,
    topic        text NOT NULL,
    payload      json NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    transaction  xid8 NOT NULL DEFAULT pg_current_xact_id(),
    state        text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'delivered', 'dead')),
    attempts     integer NOT NULL DEFAULT 0,
    due_at       timestamptz NOT NULL DEFAULT now(),
    delivered_at timestamptz,
    status       integer,
    error        text,
    UNIQUE (webhook, message)
);
COMMENT ON COLUMN trace.webhook_delivery.transaction IS
    'the order of a subscription; nothing is sent while an older transaction may still add to it';
CREATE INDEX webhook_delivery_queue ON trace.webhook_delivery (webhook, transaction, id) WHERE state = 'waiting';
CREATE INDEX webhook_delivery_done ON trace.webhook_delivery (delivered_at) WHERE state = 'delivered';

-- What was said about the channel, and when: nothing is ever overwritten. From valid_from on the facts hold, until a
-- version with a later valid_from; of two with the same valid_from the one recorded later counts.
CREATE TABLE trace.channel_version (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    brand       text REFERENCES trace.brand,
    kind        text NOT NULL CHECK (kind IN ('product', 'pack', 'dealer', 'contract', 'site', 'staff', 'device')),
    key         text NOT NULL CHECK (length(key) BETWEEN 1 AND 64),
    valid_from  timestamptz NOT NULL,
    facts       jsonb NOT NULL,
    ended       boolean NOT NULL DEFAULT false,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    recorded_by text NOT NULL
);
COMMENT ON COLUMN trace.channel_version.brand IS 'empty for a site or device that serves several brands';
COMMENT ON COLUMN trace.channel_version.ended IS 'closed, discontinued, retired or withdrawn from valid_from on';
CREATE INDEX channel_version_key ON trace.channel_version (kind, key, valid_from DESC, recorded_at DESC, id DESC);
CREATE INDEX channel_version_brand ON trace.channel_version (brand, kind);

ALTER TABLE trace.product ADD COLUMN product_line text NOT NULL DEFAULT '', ADD COLUMN ended boolean NOT NULL DEFAULT false;
ALTER TABLE trace.dealer ADD COLUMN ended boolean NOT NULL DEFAULT false;
ALTER TABLE trace.site ADD COLUMN gln text CHECK (gln ~ '^\d{13}$'), ADD COLUMN ended boolean NOT NULL DEFAULT false;
-- A dealer whose last contract has ended may sell nowhere: a territory without codes says so.
ALTER TABLE trace.territory DROP CONSTRAINT territory_adcodes_check,
    ADD COLUMN by_contracts boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN trace.territory.by_contracts IS 'worked out from contracts, not registered by itself';

-- Versions, and what stands in the present tables without ever having had one.
CREATE VIEW trace.channel_fact AS
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
WHERE NOT by_contracts
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

-- What is in force now of the kinds that have no table of their own.
CREATE VIEW trace.pack AS
WITH newest AS (
    SELECT DISTINCT ON (key) brand, key, facts, ended FROM trace.channel_version
    WHERE kind = 'pack' AND valid_from <= now() ORDER BY key, valid_from DESC, recorded_at DESC, id DESC
), present AS (
    SELECT brand, key AS gtin, facts ->> 'product' AS product, facts ->> 'level' AS level,
        facts ->> 'contains' AS contains, (facts ->> 'quantity')::integer AS quantity
    FROM newest WHERE NOT ended
)
SELECT outer_pack.*, outer_pack.quantity::bigint * coalesce(middle.quantity, 1) * coalesce(innermost.quantity, 1) AS items
FROM present AS outer_pack LEFT JOIN present AS middle ON middle.gtin = outer_pack.contains
    LEFT JOIN present AS innermost ON innermost.gtin = middle.contains;
COMMENT ON COLUMN trace.pack.quantity IS 'how many of the contained level; items is what that comes to, over three levels';

CREATE VIEW trace.staff AS
SELECT brand, key AS id, facts ->> 'name' AS name, facts ->> 'role' AS role, facts ->> 'dealer' AS dealer,
    facts ->> 'site' AS site
FROM (
    SELECT DISTINCT ON (brand, key) brand, key, facts, ended FROM trace.channel_version
    WHERE kind = 'staff' AND valid_from <= now() ORDER BY brand, key, valid_from DESC, recorded_at DESC, id DESC
) AS newest WHERE NOT ended;

-- The dealer's chain at a moment as it was known at another, root first; empty for one who was not known to exist then.
CREATE FUNCTION trace.dealer_path(dealer text, valid_at timestamptz, known_at timestamptz) RETURNS text[]
LANGUAGE plpgsql STABLE AS $$
DECLARE
    path text[] := '{}';
    place text := dealer;
    above text;
BEGIN
    WHILE place IS NOT NULL AND cardinality(path) < 256 AND NOT place = ANY(path) LOOP
        SELECT version.facts ->> 'parent' INTO above FROM trace.channel_version AS version
        WHERE version.kind = 'dealer' AND version.key = place AND version.valid_from <= valid_at
            AND version.recorded_at <= known_at
        ORDER BY version.valid_from DESC, version.recorded_at DESC, version.id DESC LIMIT 1;
        IF NOT FOUND THEN
            SELECT present.parent INTO above FROM trace.dealer AS present
            WHERE present.id = place AND NOT EXISTS (
                SELECT FROM trace.channel_version AS any_version
                WHERE any_version.kind = 'dealer' AND any_version.key = place);
            EXIT WHEN NOT FOUND;
        END IF;
        path := place || path;
        place := above;
    END LOOP;
    RETURN path;
END
$$;
COMMENT ON FUNCTION trace.dealer_path IS 'root first; a dealer without any version has the parent of the present table';

-- Whoever raises, decides or retracts an alert, worker or console: the brand's subscribers are told in that transaction.
CREATE FUNCTION trace.tell_alert() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    topic text := CASE WHEN TG_OP = 'INSERT' THEN 'alert.raised' ELSE 'alert.' || NEW.state END;
BEGIN
    INSERT INTO trace.webhook_delivery (webhook, message, topic, payload)
    SELECT webhook.id, gen_random_uuid(), topic, json_build_object('alert', json_build_object(
        'id', NEW.id, 'kind', NEW.kind, 'dealer', NEW.dealer, 'city', NEW.city, 'state', NEW.state,
        'outcome', NEW.outcome, 'raised_at', NEW.raised_at, 'decided_by', NEW.decided_by,
        'decided_at', NEW.decided_at, 'cases', NEW.cases, 'scans', NEW.scans, 'reason', NEW.reason))
    FROM trace.webhook
    WHERE webhook.brand = NEW.brand AND webhook.removed_at IS NULL
        AND webhook.topics && ARRAY['*', 'alert.*', topic];
    RETURN NULL;
END
$$;
CREATE TRIGGER alert_told AFTER INSERT ON trace.alert FOR EACH ROW EXECUTE FUNCTION trace.tell_alert();
CREATE TRIGGER alert_state_told AFTER UPDATE ON trace.alert
    FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION trace.tell_alert();
