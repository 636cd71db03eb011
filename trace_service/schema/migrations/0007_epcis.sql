-- EPCIS 2.0: what partners captured, what the project's own events look like as EPCIS, named queries, subscriptions.

-- One POST of a document. Errors are problem objects, each with the place in the document that it is about.
CREATE TABLE trace.epcis_capture (
    id          uuid PRIMARY KEY,
    brand       text NOT NULL REFERENCES trace.brand,
    partner     text NOT NULL,
    behaviour   text NOT NULL CHECK (behaviour IN ('rollback', 'proceed')),
    created_at  timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    success     boolean NOT NULL DEFAULT true,
    events      integer NOT NULL DEFAULT 0,
    errors      jsonb NOT NULL DEFAULT '[]'
);
CREATE INDEX epcis_capture_recent ON trace.epcis_capture (brand, created_at DESC, id);

CREATE TABLE trace.epcis_event (
    id                bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    brand             text NOT NULL REFERENCES trace.brand,
    event_id          text NOT NULL,
    declared          boolean NOT NULL,
    event_type        text NOT NULL,
    event_time        timestamptz NOT NULL,
    record_time       timestamptz NOT NULL DEFAULT clock_timestamp(),
    action            text,
    biz_step          text,
    disposition       text,
    read_point        text,
    biz_location      text,
    transformation_id text,
    terms             text[] NOT NULL,
    device            text NOT NULL,
    boot              uuid NOT NULL,
    first_seq         bigint NOT NULL,
    last_seq          bigint NOT NULL,
    prefixes          jsonb NOT NULL DEFAULT '{}',
    event             jsonb NOT NULL,
    transaction       xid8 NOT NULL DEFAULT pg_current_xact_id(),
    UNIQUE (brand, event_id, declared)
);
COMMENT ON COLUMN trace.epcis_event.declared IS 'an error declaration repeats its event under the same id';
COMMENT ON COLUMN trace.epcis_event.biz_step IS 'bare word where the vocabulary has one; places and terms as keys';
COMMENT ON COLUMN trace.epcis_event.terms IS 'what MATCH_ and EQ_ ask for: a letter for the field, a colon, a key';
COMMENT ON COLUMN trace.epcis_event.device IS 'with boot and first to last seq: the custody events it stands for, if any; hidden while one is refused';
COMMENT ON COLUMN trace.epcis_event.transaction IS 'with id the order of subscriptions, in which nothing comes late';
CREATE INDEX epcis_event_time ON trace.epcis_event (brand, event_time, id);
CREATE INDEX epcis_event_recorded ON trace.epcis_event (brand, record_time, id);
CREATE INDEX epcis_event_order ON trace.epcis_event (brand, transaction, id);
CREATE INDEX epcis_event_step ON trace.epcis_event (brand, biz_step, event_time);
CREATE INDEX epcis_event_terms ON trace.epcis_event USING gin (terms);

-- Custody events that are still to be written as EPCIS, queued in the transaction that writes them.
CREATE TABLE trace.epcis_pending (
    id    bigint PRIMARY KEY REFERENCES trace.custody_event,
    brand text
);
COMMENT ON COLUMN trace.epcis_pending.brand IS 'empty while nobody knows whose logistic unit it is';
CREATE INDEX epcis_pending_brand ON trace.epcis_pending (brand, id);
CREATE FUNCTION trace.queue_epcis() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    -- What came in as EPCIS is stored as it came; who looks at a label at home is nobody's business partner.
    INSERT INTO trace.epcis_pending
    SELECT id, brand FROM fresh WHERE device <> 'epcis' AND biz_step <> 'consumer_scanning';
    RETURN NULL;
END $$;
CREATE TRIGGER queue_epcis AFTER INSERT ON trace.custody_event
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION trace.queue_epcis();
INSERT INTO trace.epcis_pending
SELECT id, brand FROM trace.custody_event WHERE device <> 'epcis' AND biz_step <> 'consumer_scanning';

CREATE TABLE trace.epcis_page (
    token      text PRIMARY KEY,
    brand      text NOT NULL REFERENCES trace.brand,
    position   jsonb NOT NULL,
    expires_at timestamptz NOT NULL
);

CREATE TABLE trace.epcis_query (
    brand      text NOT NULL REFERENCES trace.brand,
    name       text NOT NULL CHECK (name ~ '^[A-Za-z0-9._-]{1,64}$'),
    query      jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (brand, name)
);

CREATE TABLE trace.epcis_subscription (
    id              uuid PRIMARY KEY,
    brand           text NOT NULL,
    query           text NOT NULL,
    dest            text NOT NULL CHECK (dest ~ '^https?://' AND length(dest) <= 2000),
    schedule        text,
    report_if_empty boolean NOT NULL DEFAULT false,
    secret          bytea,
    created_at      timestamptz NOT NULL DEFAULT now(),
    transaction     xid8 NOT NULL,
    last_event      bigint NOT NULL DEFAULT 0,
    due_at          timestamptz NOT NULL DEFAULT now(),
    attempts        integer NOT NULL DEFAULT 0,
    state           text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'dead')),
    delivered_at    timestamptz,
    delivered       bigint NOT NULL DEFAULT 0,
    error           text,
    FOREIGN KEY (brand, query) REFERENCES trace.epcis_query ON DELETE CASCADE
);
COMMENT ON COLUMN trace.epcis_subscription.transaction IS 'with last_event the cursor: it advances when the receiver took it';
COMMENT ON COLUMN trace.epcis_subscription.schedule IS 'five cron fields in UTC; empty: as events come';
COMMENT ON COLUMN trace.epcis_subscription.secret IS 'AES key wrap (RFC 3394) under the service''s key-encryption key';
CREATE INDEX epcis_subscription_due ON trace.epcis_subscription (due_at) WHERE state = 'active';
