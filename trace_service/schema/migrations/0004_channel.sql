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
