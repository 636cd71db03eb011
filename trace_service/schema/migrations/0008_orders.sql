-- Outbound orders as the customer's ERP places them, and what the stations say while they load them.

-- The present state of an order. What it asks for is in its versions, of which none is ever changed.
CREATE TABLE trace.outbound_order (
    brand           text NOT NULL REFERENCES trace.brand,
    id              text NOT NULL CHECK (id ~ '^[A-Z0-9_-]{1,64}$'),
    version         integer NOT NULL CHECK (version BETWEEN 1 AND 1000000),
    state           text NOT NULL DEFAULT 'open' CHECK (state IN
        ('open', 'loading', 'difference', 'closed', 'cancelled')),
    placed_at       timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    acknowledged_at timestamptz,
    PRIMARY KEY (brand, id)
);
CREATE INDEX outbound_order_queue ON trace.outbound_order (brand, state, placed_at);
COMMENT ON COLUMN trace.outbound_order.acknowledged_at IS 'when the ERP took note of how the order ended';

CREATE TABLE trace.order_version (
    brand       text NOT NULL,
    order_id    text NOT NULL,
    version     integer NOT NULL,
    dealer      text NOT NULL REFERENCES trace.dealer,
    from_site   text NOT NULL REFERENCES trace.site,
    channel     text NOT NULL DEFAULT 'retail',
    due         date,
    content     bytea NOT NULL CHECK (length(content) = 32),
    source      text NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (brand, order_id, version),
    FOREIGN KEY (brand, order_id) REFERENCES trace.outbound_order
);
CREATE INDEX order_version_site ON trace.order_version (from_site);
COMMENT ON COLUMN trace.order_version.content IS 'SHA-256 of what was asked for: the same version again with other content is refused';

CREATE TABLE trace.order_line (
    brand    text NOT NULL,
    order_id text NOT NULL,
    version  integer NOT NULL,
    line     smallint NOT NULL CHECK (line BETWEEN 1 AND 1000),
    gtin     text NOT NULL REFERENCES trace.product,
    quantity integer NOT NULL CHECK (quantity BETWEEN 1 AND 10000000),
    unit     text NOT NULL CHECK (unit IN ('item', 'case')),
    PRIMARY KEY (brand, order_id, version, line),
    FOREIGN KEY (brand, order_id, version) REFERENCES trace.order_version
);

CREATE TABLE trace.order_history (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    brand       text NOT NULL,
    order_id    text NOT NULL,
    version     integer NOT NULL,
    state       text NOT NULL,
    actor       text NOT NULL,
    reason      text NOT NULL DEFAULT '',
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    FOREIGN KEY (brand, order_id) REFERENCES trace.outbound_order
);
CREATE INDEX order_history_order ON trace.order_history (brand, order_id, id);

-- Keys that sign manifests and documents; stations pin the public half.
CREATE TABLE trace.signing_key (
    id         text PRIMARY KEY,
    public     bytea NOT NULL CHECK (length(public) = 32),
    wrapped    bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    retired_at timestamptz
);
COMMENT ON COLUMN trace.signing_key.wrapped IS 'AES key wrap (RFC 3394) under the service''s key-encryption key';

-- The last manifests of each site, so that a station that has one of them gets only the difference.
CREATE TABLE trace.manifest (
    site       text NOT NULL REFERENCES trace.site,
    version    bigint NOT NULL,
    issued_at  timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    content    bytea NOT NULL,
    body       bytea NOT NULL,
    PRIMARY KEY (site, version)
);
COMMENT ON COLUMN trace.manifest.content IS 'SHA-256 of all that it says but version and times: nothing new, no new version';

CREATE TABLE trace.device_token (
    token_hash bytea PRIMARY KEY CHECK (length(token_hash) = 32),
    device     text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz
);
CREATE UNIQUE INDEX device_token_device ON trace.device_token (device) WHERE revoked_at IS NULL;

CREATE TABLE trace.supervisor (
    site        text NOT NULL REFERENCES trace.site,
    id          text NOT NULL CHECK (id ~ '^[A-Z0-9_-]{1,32}$'),
    name        text NOT NULL,
    salt        bytea NOT NULL,
    pin_hash    bytea NOT NULL,
    disabled_at timestamptz,
    PRIMARY KEY (site, id)
);
COMMENT ON COLUMN trace.supervisor.pin_hash IS 'scrypt; stations check it offline';

-- What stations report beside their scans: loads begun and closed, stops released, undone scans, goods received.
CREATE TABLE trace.station_event (
    device      text NOT NULL,
    id          uuid NOT NULL,
    site        text NOT NULL,
    kind        text NOT NULL,
    brand       text REFERENCES trace.brand,
    order_id    text,
    unit        text,
    operator    text NOT NULL DEFAULT '',
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    body        jsonb NOT NULL,
    PRIMARY KEY (device, id)
);
CREATE INDEX station_event_order ON trace.station_event (brand, order_id, occurred_at);

-- The accompanying document of a shipment, as it was issued; a later one has the next number.
CREATE TABLE trace.order_document (
    brand      text NOT NULL,
    order_id   text NOT NULL,
    number     integer NOT NULL,
    content    jsonb NOT NULL,
    sha256     bytea NOT NULL,
    key        text NOT NULL REFERENCES trace.signing_key,
    signature  bytea NOT NULL,
    issued_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (brand, order_id, number),
    FOREIGN KEY (brand, order_id) REFERENCES trace.outbound_order
);
COMMENT ON COLUMN trace.order_document.sha256 IS 'of the canonical content; the code printed on the document carries it signed';

-- The last word on what must not move is asked for with every manifest.
CREATE INDEX custody_event_held ON trace.custody_event (unit, occurred_at)
    WHERE biz_step IN ('holding', 'unblocking', 'recalling', 'decommissioning', 'destroying');
