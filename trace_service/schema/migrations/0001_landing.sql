-- What devices sent, as they sent it. Ingest writes here and knows nothing of dealers or alerts.
CREATE SCHEMA landing;

CREATE TABLE landing.device (
    id            text PRIMARY KEY CHECK (id ~ '^[A-Za-z0-9_-]{1,64}$'),
    site          text NOT NULL CHECK (site ~ '^[A-Za-z0-9_-]{1,64}$'),
    kind          text NOT NULL CHECK (kind IN ('station', 'shelf', 'gateway')),
    registered_at timestamptz NOT NULL DEFAULT now(),
    retired_at    timestamptz,
    state         text NOT NULL DEFAULT 'unseen' CHECK (state IN ('unseen', 'online', 'offline')),
    last_seen     timestamptz,
    skew_ms       bigint,
    firmware      text NOT NULL DEFAULT '',
    outbox_depth  bigint NOT NULL DEFAULT 0
);
COMMENT ON COLUMN landing.device.skew_ms IS 'the device''s sending clock minus the server''s receiving clock';

-- The authority on what was received: its holes are the gaps.
CREATE TABLE landing.received (
    device text NOT NULL REFERENCES landing.device,
    boot   uuid NOT NULL,
    ranges int8multirange NOT NULL DEFAULT '{}',
    PRIMARY KEY (device, boot)
);

CREATE TABLE landing.scan (
    device      text NOT NULL,
    boot        uuid NOT NULL,
    seq         bigint NOT NULL,
    ts          timestamptz NOT NULL,
    sent_at     timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    content     bigint NOT NULL,
    site        text NOT NULL,
    code        text NOT NULL,
    symbology   text NOT NULL,
    aim         text NOT NULL,
    activity    text NOT NULL,
    reference   text NOT NULL,
    parent      text NOT NULL,
    recipient   text NOT NULL,
    operator    text NOT NULL,
    lon         double precision,
    lat         double precision,
    accuracy_m  double precision,
    platform    text,
    crs         text,
    image       bytea,
    PRIMARY KEY (device, boot, seq, ts)
);
COMMENT ON COLUMN landing.scan.content IS 'first 8 bytes of SHA-256 over the event''s own JSON bytes';
COMMENT ON COLUMN landing.scan.ts IS 'capture time as the device said it; never clamped';

CREATE TABLE landing.stock (
    device      text NOT NULL,
    boot        uuid NOT NULL,
    seq         bigint NOT NULL,
    ts          timestamptz NOT NULL,
    sent_at     timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    content     bigint NOT NULL,
    site        text NOT NULL,
    channel     smallint NOT NULL,
    gtin        text NOT NULL,
    grams       integer NOT NULL,
    units       integer NOT NULL,
    confidence  real NOT NULL,
    fault       text NOT NULL,
    PRIMARY KEY (device, boot, seq, ts)
);

CREATE TABLE landing.environment (
    device        text NOT NULL,
    boot          uuid NOT NULL,
    seq           bigint NOT NULL,
    ts            timestamptz NOT NULL,
    sent_at       timestamptz NOT NULL,
    received_at   timestamptz NOT NULL,
    content       bigint NOT NULL,
    site          text NOT NULL,
    temperature_c real NOT NULL,
    humidity      real,
    PRIMARY KEY (device, boot, seq, ts)
);

CREATE TABLE landing.status (
    device       text NOT NULL,
    boot         uuid NOT NULL,
    seq          bigint NOT NULL,
    ts           timestamptz NOT NULL,
    sent_at      timestamptz NOT NULL,
    received_at  timestamptz NOT NULL,
    content      bigint NOT NULL,
    site         text NOT NULL,
    state        text NOT NULL,
    firmware     text NOT NULL,
    outbox_depth bigint NOT NULL,
    dropped      int8multirange NOT NULL,
    PRIMARY KEY (device, boot, seq, ts)
);

-- What could not be stored, whole and with its reason, until someone mends and replays it.
CREATE TABLE landing.dead_letter (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    received_at timestamptz NOT NULL DEFAULT now(),
    topic       text NOT NULL,
    payload     bytea NOT NULL,
    device      text,
    boot        uuid,
    first_seq   bigint,
    last_seq    bigint,
    reason      text NOT NULL,
    detail      text NOT NULL,
    sqlstate    text,
    replayed_at timestamptz
);
CREATE INDEX dead_letter_open ON landing.dead_letter (received_at) WHERE replayed_at IS NULL;
-- A boot is 128 random bits: with a sequence number it finds why an event that is sent again was refused.
CREATE INDEX dead_letter_identity ON landing.dead_letter (boot, first_seq);
COMMENT ON COLUMN landing.dead_letter.reason IS 'a code of contracts.errors';

-- Work for the trace service, queued in the transaction that stores the event and claimed with SKIP LOCKED.
CREATE TABLE landing.work (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind        text NOT NULL CHECK (kind IN ('scan', 'stock')),
    device      text NOT NULL,
    boot        uuid NOT NULL,
    seq         bigint NOT NULL,
    ts          timestamptz NOT NULL,
    enqueued_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
