-- Cases: alerts that belong together, who works on them, what was found, and how it ended. What was said is never
-- overwritten: the history is appended to, and each entry holds the digest of the one before.

-- Who may look, who checks on the spot, who works on cases, and who decides.
ALTER TABLE trace.account DROP CONSTRAINT account_role_check;
UPDATE trace.account SET role = CASE role WHEN 'compliance' THEN 'manager' ELSE 'analyst' END;
ALTER TABLE trace.account
    ADD CONSTRAINT account_role_check CHECK (role IN ('viewer', 'inspector', 'analyst', 'manager')),
    ADD COLUMN email text CHECK (email ~ '^[^@\s]+@[^@\s]+$' AND length(email) <= 254),
    ADD COLUMN mail_topics text[] NOT NULL DEFAULT '{}';
COMMENT ON COLUMN trace.account.mail_topics IS 'topics, families such as case.*, or *, of which this account gets mail';

ALTER TABLE trace.alert DROP CONSTRAINT alert_outcome_check, DROP CONSTRAINT alert_kind_check;
DROP INDEX trace.alert_cell;
ALTER TABLE trace.alert
    ADD CONSTRAINT alert_kind_check CHECK (kind IN ('diversion', 'drip', 'bulk', 'promo', 'backflow', 'skip', 'rebind',
        'strip', 'clone', 'forged', 'collusion')),
    ADD COLUMN claim text,
    ADD COLUMN number text,
    ADD CONSTRAINT alert_outcome_check CHECK (outcome IN ('confirmed', 'tourist_or_gift', 'e_commerce',
        'documented_transfer', 'location_error', 'scanner_outage', 'unresolved', 'retracted')),
    ADD COLUMN probability double precision CHECK (probability BETWEEN 0 AND 1);
CREATE UNIQUE INDEX alert_cell ON trace.alert (brand, kind, dealer, city) WHERE state <> 'closed' AND number IS NULL;
CREATE UNIQUE INDEX alert_number ON trace.alert (brand, number) WHERE number IS NOT NULL;
COMMENT ON COLUMN trace.alert.claim IS 'what the engine''s alert is about; one at a time stands under it';
COMMENT ON COLUMN trace.alert.number IS 'the engine''s own number, the same in every replay of the stream';
COMMENT ON COLUMN trace.alert.probability IS 'calibrated, where the detector gives one';

-- What a brand's detection engine observes: queued by whoever decides, numbered by the one that consumes.
CREATE TABLE trace.observation_inbox (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    brand     text NOT NULL REFERENCES trace.brand,
    kind      text NOT NULL,
    body      json NOT NULL,
    queued_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX observation_inbox_brand ON trace.observation_inbox (brand, id);
CREATE TABLE trace.observation (
    brand    text NOT NULL REFERENCES trace.brand,
    seq      bigint NOT NULL CHECK (seq > 0),
    kind     text NOT NULL CHECK (kind IN ('sighting', 'movement', 'shipment', 'binding', 'withdrawn', 'reviewed', 'clock')),
    body     json NOT NULL,
    taken_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (brand, seq)
);
COMMENT ON TABLE trace.observation IS 'the one ordered stream of a brand: fed again, it gives the same alerts';

-- How a brand works: the newest row counts, the earlier ones explain earlier decisions.
CREATE TABLE trace.case_policy (
    id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    brand            text NOT NULL REFERENCES trace.brand,
    daily_budget     integer NOT NULL CHECK (daily_budget BETWEEN 1 AND 10000),
    audit_share      double precision NOT NULL CHECK (audit_share BETWEEN 0 AND 1),
    two_person_value numeric(14, 2) NOT NULL CHECK (two_person_value >= 0),
    loss_share       double precision NOT NULL CHECK (loss_share BETWEEN 0 AND 1),
    deadline_days    integer NOT NULL CHECK (deadline_days BETWEEN 1 AND 365),
    benign_days      integer NOT NULL CHECK (benign_days BETWEEN 1 AND 3650),
    zone             text NOT NULL,
    digest_at        text NOT NULL,
    detector         text NOT NULL CHECK (detector IN ('cells', 'engine')),
    recorded_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    recorded_by      text NOT NULL
);
CREATE INDEX case_policy_newest ON trace.case_policy (brand, id);
COMMENT ON COLUMN trace.case_policy.detector IS 'what raises the brand''s alerts: dealer and city by themselves, or the engine';
COMMENT ON COLUMN trace.case_policy.digest_at IS 'five cron fields in the time zone: when the day''s cases are chosen and told';

-- The present state of a case; how it came to be is in the history.
CREATE TABLE trace.case_file (
    id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    brand            text NOT NULL REFERENCES trace.brand,
    kind             text NOT NULL CHECK (kind IN ('destination', 'dealer')),
    dealer           text NOT NULL REFERENCES trace.dealer,
    state            text NOT NULL DEFAULT 'open' CHECK (state IN
        ('open', 'investigating', 'awaiting_dealer', 'proposed', 'closed', 'merged')),
    opened_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    refreshed_at     timestamptz NOT NULL DEFAULT '-infinity',
    version          integer NOT NULL DEFAULT 1,
    owner            text REFERENCES trace.account,
    deadline         timestamptz,
    proposed_outcome text,
    proposed_by      text REFERENCES trace.account,
    outcome          text CHECK (outcome IN ('confirmed', 'tourist_or_gift', 'e_commerce', 'documented_transfer',
        'location_error', 'scanner_outage', 'unresolved', 'retracted')),
    closed_at        timestamptz,
    closed_by        text REFERENCES trace.account,
    merged_into      bigint REFERENCES trace.case_file,
    destinations     text[] NOT NULL DEFAULT '{}',
    shipments        text[] NOT NULL DEFAULT '{}',
    first_seen       timestamptz,
    last_seen        timestamptz,
    probability      double precision NOT NULL DEFAULT 0 CHECK (probability BETWEEN 0 AND 1),
    calibrated       boolean NOT NULL DEFAULT false,
    remaining        integer NOT NULL DEFAULT 0,
    value            numeric(14, 2) NOT NULL DEFAULT 0,
    priority         numeric(14, 2) NOT NULL DEFAULT 0,
    CHECK ((state = 'closed') = (outcome IS NOT NULL)),
    CHECK ((state = 'merged') = (merged_into IS NOT NULL)),
    CHECK (state <> 'proposed' OR proposed_by IS NOT NULL),
    CHECK (closed_by IS NULL OR proposed_by IS NULL OR closed_by <> proposed_by)
);
CREATE INDEX case_file_queue ON trace.case_file (brand, state, priority DESC, id);
CREATE INDEX case_file_dealer ON trace.case_file (brand, dealer, updated_at);
COMMENT ON COLUMN trace.case_file.version IS 'counts changes, so that nobody decides on a page that is out of date';
COMMENT ON COLUMN trace.case_file.remaining IS 'items of the shipments concerned that nobody has bought or scanned yet';
COMMENT ON COLUMN trace.case_file.value IS 'what the remaining items cost';
COMMENT ON COLUMN trace.case_file.priority IS 'expected loss: probability times remaining items times the loss on one';

CREATE TABLE trace.case_alert (
    alert   bigint PRIMARY KEY REFERENCES trace.alert,
    case_id bigint NOT NULL REFERENCES trace.case_file,
    joined_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX case_alert_case ON trace.case_alert (case_id);

-- What each case ever rested on, and what the verdict said when it became evidence: a later change shows.
CREATE TABLE trace.case_evidence (
    case_id    bigint NOT NULL REFERENCES trace.case_file,
    device     text NOT NULL,
    boot       uuid NOT NULL,
    seq        bigint NOT NULL,
    alert      bigint NOT NULL REFERENCES trace.alert,
    place      text NOT NULL,
    dealer     text,
    city       text,
    decided_at timestamptz NOT NULL,
    added_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (case_id, device, boot, seq)
);
CREATE INDEX case_evidence_scan ON trace.case_evidence (device, boot, seq);

CREATE TABLE trace.case_history (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    case_id    bigint NOT NULL REFERENCES trace.case_file,
    number     integer NOT NULL,
    at         timestamptz NOT NULL,
    actor      text,
    action     text NOT NULL,
    from_state text NOT NULL,
    to_state   text NOT NULL,
    detail     jsonb NOT NULL DEFAULT '{}',
    previous   bytea NOT NULL CHECK (length(previous) = 32),
    digest     bytea NOT NULL CHECK (length(digest) = 32),
    UNIQUE (case_id, number)
);
COMMENT ON COLUMN trace.case_history.actor IS 'empty: the service itself';
COMMENT ON COLUMN trace.case_history.digest IS 'SHA-256 over the previous digest and this entry''s canonical JSON';

-- Files are kept here and nowhere that a web server could serve them from by accident.
CREATE TABLE trace.case_attachment (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    case_id     bigint NOT NULL REFERENCES trace.case_file,
    field_check bigint,
    name        text NOT NULL CHECK (length(name) BETWEEN 1 AND 120),
    media_type  text NOT NULL CHECK (media_type IN ('image/jpeg', 'image/png', 'image/webp', 'application/pdf')),
    size        integer NOT NULL CHECK (size BETWEEN 1 AND 10485760),
    sha256      bytea NOT NULL CHECK (length(sha256) = 32),
    content     bytea NOT NULL,
    uploaded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    uploaded_by text NOT NULL REFERENCES trace.account,
    UNIQUE (case_id, sha256)
);
ALTER TABLE trace.case_attachment ALTER COLUMN content SET STORAGE EXTERNAL;

-- A task for somebody on the spot, or a purchase in an online shop. What came of it is a row of its own.
CREATE TABLE trace.field_check (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    brand        text NOT NULL REFERENCES trace.brand,
    case_id      bigint NOT NULL REFERENCES trace.case_file,
    kind         text NOT NULL CHECK (kind IN ('visit', 'test_purchase')),
    instructions text NOT NULL CHECK (length(instructions) BETWEEN 1 AND 2000),
    place        text NOT NULL DEFAULT '' CHECK (length(place) <= 300),
    listing      text NOT NULL DEFAULT '' CHECK (length(listing) <= 2000),
    assignee     text REFERENCES trace.account,
    due_at       timestamptz NOT NULL,
    state        text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'done', 'cancelled')),
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    created_by   text NOT NULL REFERENCES trace.account
);
CREATE INDEX field_check_queue ON trace.field_check (brand, state, due_at);
CREATE INDEX field_check_case ON trace.field_check (case_id);
ALTER TABLE trace.case_attachment ADD FOREIGN KEY (field_check) REFERENCES trace.field_check;

CREATE TABLE trace.field_check_result (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    field_check bigint NOT NULL REFERENCES trace.field_check,
    result      text NOT NULL CHECK (result IN
        ('found', 'not_found', 'code_removed', 'refused', 'bought', 'listing_gone')),
    code        text NOT NULL DEFAULT '' CHECK (length(code) <= 512),
    note        text NOT NULL DEFAULT '' CHECK (length(note) <= 4000),
    price       numeric(12, 2) CHECK (price >= 0),
    lon         double precision CHECK (lon BETWEEN -180 AND 180),
    lat         double precision CHECK (lat BETWEEN -90 AND 90),
    accuracy_m  double precision CHECK (accuracy_m >= 0),
    at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    by          text NOT NULL REFERENCES trace.account,
    device      text,
    boot        uuid,
    seq         bigint,
    CHECK ((lon IS NULL) = (lat IS NULL))
);
CREATE INDEX field_check_result_check ON trace.field_check_result (field_check);
COMMENT ON COLUMN trace.field_check_result.device IS 'with boot and seq: the scan that the entered code became';

-- Which cases each day was given to, and how likely that was: outcomes are weighted by it.
CREATE TABLE trace.case_selection (
    brand       text NOT NULL REFERENCES trace.brand,
    day         date NOT NULL,
    case_id     bigint NOT NULL REFERENCES trace.case_file,
    place       integer NOT NULL,
    reason      text NOT NULL CHECK (reason IN ('budget', 'audit')),
    probability double precision NOT NULL CHECK (probability > 0 AND probability <= 1),
    chosen_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (brand, day, case_id)
);
CREATE INDEX case_selection_case ON trace.case_selection (case_id);

-- Which days' choices were made and told, so that a process that starts again repeats nothing.
CREATE TABLE trace.case_day (
    brand  text NOT NULL REFERENCES trace.brand,
    day    date NOT NULL,
    due_at timestamptz NOT NULL,
    done_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (brand, day)
);

-- Mail, queued in the transaction that it tells of.
CREATE TABLE trace.mail (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    brand      text NOT NULL REFERENCES trace.brand,
    login      text NOT NULL REFERENCES trace.account,
    topic      text NOT NULL,
    payload    jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    state      text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'sent', 'dead')),
    attempts   integer NOT NULL DEFAULT 0,
    due_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    sent_at    timestamptz,
    error      text
);
CREATE INDEX mail_queue ON trace.mail (due_at) WHERE state = 'waiting';

-- Robots of chat groups take messages in forms of their own.
ALTER TABLE trace.webhook
    ADD COLUMN format text NOT NULL DEFAULT 'codefence' CHECK (format IN ('codefence', 'dingtalk', 'wecom', 'feishu')),
    ADD COLUMN robot_secret bytea;
COMMENT ON COLUMN trace.webhook.robot_secret IS 'the secret that the robot''s own console shows, wrapped (RFC 5649)';

-- What an inspector entered in the console becomes a scan like any other: numbered, received, and queued for the worker.
CREATE FUNCTION landing.inspect(brand text, code text, at timestamptz, lon double precision, lat double precision,
    accuracy_m double precision, operator text, OUT device text, OUT boot uuid, OUT seq bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    moment timestamptz := date_trunc('milliseconds', inspect.at);
BEGIN
    device := 'inspector-' || inspect.brand;
    -- One row a brand numbers the scans: two inspectors at once wait for one another here.
    INSERT INTO trace.site (id, kind, name_zh, name_en)
    VALUES ('field-' || inspect.brand, 'market', '现场检查', 'Field checks') ON CONFLICT DO NOTHING;
    INSERT INTO landing.device (id, site, kind) VALUES (device, 'field-' || inspect.brand, 'gateway')
    ON CONFLICT DO NOTHING;
    boot := md5(device)::uuid;
    INSERT INTO landing.received (device, boot) VALUES (inspect.device, inspect.boot) ON CONFLICT DO NOTHING;
    PERFORM FROM landing.received AS r WHERE r.device = inspect.device AND r.boot = inspect.boot FOR UPDATE;
    SELECT coalesce(upper(range_merge(r.ranges)), 1) INTO seq FROM landing.received AS r
    WHERE r.device = inspect.device AND r.boot = inspect.boot;
    INSERT INTO landing.scan VALUES (inspect.device, inspect.boot, inspect.seq, moment, moment, clock_timestamp(),
        0, 'field-' || inspect.brand, inspect.code, 'manual', '', 'inspect', '', '', '', inspect.operator,
        inspect.lon, inspect.lat, CASE WHEN inspect.lon IS NULL THEN NULL ELSE coalesce(inspect.accuracy_m, 50) END,
        CASE WHEN inspect.lon IS NULL THEN NULL ELSE 'web' END, CASE WHEN inspect.lon IS NULL THEN NULL ELSE 'wgs84' END,
        NULL);
    UPDATE landing.received AS r SET ranges = r.ranges + int8multirange(int8range(inspect.seq, inspect.seq + 1))
    WHERE r.device = inspect.device AND r.boot = inspect.boot;
    UPDATE landing.device AS d SET last_seen = clock_timestamp(), state = 'online' WHERE d.id = inspect.device;
    INSERT INTO landing.work (kind, device, boot, seq, ts)
    VALUES ('scan', inspect.device, inspect.boot, inspect.seq, moment);
    NOTIFY work;
END
$$;
REVOKE ALL ON FUNCTION landing.inspect FROM PUBLIC;
