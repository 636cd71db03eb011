-- Who may hold every item, where it was seen, and what follows. Every row carries its brand and stable dealer ids;
-- the tree's order keys stay in the dealer table, so that row-level security can follow without a rewrite.
CREATE SCHEMA trace;

CREATE TABLE trace.brand (
    id      text PRIMARY KEY CHECK (id ~ '^[a-z0-9-]{1,32}$'),
    name_zh text NOT NULL,
    name_en text NOT NULL
);

CREATE TABLE trace.master_key (
    brand   text NOT NULL REFERENCES trace.brand,
    epoch   smallint NOT NULL CHECK (epoch BETWEEN 0 AND 31),
    wrapped bytea NOT NULL,
    state   text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'verify', 'killed')),
    PRIMARY KEY (brand, epoch)
);
COMMENT ON COLUMN trace.master_key.wrapped IS 'AES key wrap (RFC 3394) under the service''s key-encryption key';

CREATE TABLE trace.product (
    gtin           text PRIMARY KEY CHECK (gtin ~ '^\d{14}$'),
    brand          text NOT NULL REFERENCES trace.brand,
    name_zh        text NOT NULL,
    name_en        text NOT NULL,
    items_per_case integer NOT NULL CHECK (items_per_case BETWEEN 1 AND 1000),
    unit_price     numeric(12, 2) NOT NULL CHECK (unit_price >= 0),
    unit_weight_g  integer NOT NULL CHECK (unit_weight_g > 0)
);

-- A billion codes are one row: a range of counters.
CREATE TABLE trace.batch (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    brand           text NOT NULL REFERENCES trace.brand,
    gtin            text NOT NULL REFERENCES trace.product,
    epoch           smallint NOT NULL,
    counters        int8range NOT NULL,
    excluded        int8multirange NOT NULL DEFAULT '{}',
    lot             text NOT NULL,
    produced_on     date NOT NULL,
    expires_on      date,
    commissioned_at timestamptz,
    FOREIGN KEY (brand, epoch) REFERENCES trace.master_key
);
CREATE INDEX batch_counters ON trace.batch USING gist (counters);
-- Every allotment starts where the last one ended, so two that overlap would start alike.
CREATE UNIQUE INDEX batch_start ON trace.batch (gtin, lower(counters));

-- The running number inside SSCCs; a gap costs nothing, a repetition would name two cases alike.
CREATE SEQUENCE trace.sscc_serial MAXVALUE 999999999;

CREATE TABLE trace.dealer (
    id      text PRIMARY KEY CHECK (id ~ '^[A-Za-z0-9_-]{1,64}$'),
    brand   text NOT NULL REFERENCES trace.brand,
    parent  text REFERENCES trace.dealer,
    name_zh text NOT NULL,
    name_en text NOT NULL,
    kind    text NOT NULL CHECK (kind IN ('brand', 'regional', 'city', 'county', 'sub', 'online', 'horeca')),
    level   smallint NOT NULL CHECK (level >= 0),
    lft     bigint NOT NULL,
    rgt     bigint NOT NULL CHECK (rgt > lft)
);
CREATE INDEX dealer_order ON trace.dealer (brand, lft, rgt);

CREATE TABLE trace.territory (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    brand       text NOT NULL REFERENCES trace.brand,
    dealer      text NOT NULL REFERENCES trace.dealer,
    channel     text NOT NULL DEFAULT 'retail',
    adcodes     text[] NOT NULL CHECK (cardinality(adcodes) > 0),
    exclusive   boolean NOT NULL DEFAULT true,
    valid_from  timestamptz NOT NULL,
    valid_to    timestamptz,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    sha256      bytea NOT NULL,
    CHECK (valid_to IS NULL OR valid_to > valid_from)
);
CREATE INDEX territory_dealer ON trace.territory (dealer, recorded_at);

-- Warehouses and stores. A logistics provider's site serves several brands, so a site belongs to none.
CREATE TABLE trace.site (
    id      text PRIMARY KEY CHECK (id ~ '^[A-Za-z0-9_-]{1,64}$'),
    kind    text NOT NULL CHECK (kind IN ('factory', 'warehouse', 'store', 'market')),
    dealer  text REFERENCES trace.dealer,
    name_zh text NOT NULL,
    name_en text NOT NULL,
    lon     double precision CHECK (lon BETWEEN -180 AND 180),
    lat     double precision CHECK (lat BETWEEN -90 AND 90),
    adcode  text,
    CHECK ((lon IS NULL) = (lat IS NULL))
);
COMMENT ON COLUMN trace.site.kind IS 'market: a gateway without a place of its own; its scans carry positions';

-- Aggregation is inherited, not copied: a child knows its parent, and what holds for the parent holds for the child.
CREATE TABLE trace.containment (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    brand      text NOT NULL REFERENCES trace.brand,
    child      text NOT NULL,
    parent     text NOT NULL,
    valid_from timestamptz NOT NULL,
    valid_to   timestamptz,
    recorded_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX containment_child ON trace.containment (child) WHERE valid_to IS NULL;
CREATE UNIQUE INDEX containment_fact ON trace.containment (child, parent, valid_from);
CREATE INDEX containment_parent ON trace.containment (parent);
COMMENT ON COLUMN trace.containment.valid_to IS 'equal to valid_from: a late event showed that this never held';

CREATE TABLE trace.shipment (
    id         text NOT NULL,
    brand      text NOT NULL REFERENCES trace.brand,
    from_site  text NOT NULL REFERENCES trace.site,
    to_dealer  text NOT NULL REFERENCES trace.dealer,
    started_at timestamptz NOT NULL,
    PRIMARY KEY (brand, id)
);

-- Which dealer a unit (item, case or pallet) is bound to, from when. Corrections are new rows.
CREATE TABLE trace.binding (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    brand       text NOT NULL REFERENCES trace.brand,
    unit        text NOT NULL,
    dealer      text NOT NULL REFERENCES trace.dealer,
    shipment    text NOT NULL,
    valid_from  timestamptz NOT NULL,
    valid_to    timestamptz,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    device      text NOT NULL,
    boot        uuid NOT NULL,
    seq         bigint NOT NULL,
    FOREIGN KEY (brand, shipment) REFERENCES trace.shipment
);
CREATE UNIQUE INDEX binding_unit ON trace.binding (unit) WHERE valid_to IS NULL;
CREATE UNIQUE INDEX binding_event ON trace.binding (device, boot, seq);
CREATE INDEX binding_shipment ON trace.binding (brand, shipment);
COMMENT ON COLUMN trace.binding.valid_to IS 'equal to valid_from: a late event showed that this never held';

-- The chain of custody: one row for each thing that a station said about a unit, with the message that says so.
-- Containment, bindings and quarantine are derived from these rows by event time, whatever their order of arrival.
CREATE TABLE trace.custody_event (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    brand       text REFERENCES trace.brand,
    unit        text NOT NULL,
    biz_step    text NOT NULL,
    site        text NOT NULL REFERENCES trace.site,
    dealer      text REFERENCES trace.dealer,
    shipment    text,
    parent      text,
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    device      text NOT NULL,
    boot        uuid NOT NULL,
    seq         bigint NOT NULL,
    UNIQUE (device, boot, seq)
);
CREATE INDEX custody_event_unit ON trace.custody_event (unit, occurred_at);
CREATE INDEX custody_event_parent ON trace.custody_event (parent) WHERE parent IS NOT NULL;
CREATE INDEX custody_event_site ON trace.custody_event (site, biz_step);
COMMENT ON COLUMN trace.custody_event.brand IS 'empty while nobody knows whose logistic unit it is';
COMMENT ON COLUMN trace.custody_event.dealer IS 'the recipient of a shipment, empty when the scan named nobody we know';

-- What was decided about each scan. Expected outcomes are values here, never errors.
CREATE TABLE trace.verdict (
    device            text NOT NULL,
    boot              uuid NOT NULL,
    seq               bigint NOT NULL,
    brand             text REFERENCES trace.brand,
    code              text NOT NULL,
    unit              text NOT NULL,
    gtin              text NOT NULL,
    case_unit         text NOT NULL,
    activity          text NOT NULL,
    occurred_at       timestamptz NOT NULL,
    decided_at        timestamptz NOT NULL DEFAULT now(),
    code_state        text NOT NULL CHECK (code_state IN
        ('genuine', 'unknown', 'not_commissioned', 'malformed', 'foreign', 'logistic')),
    custody_state     text NOT NULL CHECK (custody_state IN
        ('ok', 'unbound', 'not_packed', 'already_shipped', 'unknown_dealer', 'quarantined', 'none')),
    place             text NOT NULL CHECK (place IN ('inside', 'outside', 'uncertain', 'no_location', 'not_checked')),
    p_inside          double precision,
    signed_distance_m double precision,
    lon               double precision,
    lat               double precision,
    accuracy_m        double precision,
    city              text,
    dealer            text REFERENCES trace.dealer,
    shipment          text,
    territory         bigint REFERENCES trace.territory,
    map_version       text,
    reasons           jsonb NOT NULL DEFAULT '[]',
    PRIMARY KEY (device, boot, seq)
);
CREATE INDEX verdict_cell ON trace.verdict (brand, dealer, city, occurred_at) WHERE place = 'outside';
CREATE INDEX verdict_located ON trace.verdict (brand, dealer, city, case_unit, occurred_at) WHERE city IS NOT NULL;
CREATE INDEX verdict_unit ON trace.verdict (unit, occurred_at);
CREATE INDEX verdict_recent ON trace.verdict (brand, occurred_at);

-- What had been decided before a late event changed the answer: yesterday's alert stays reproducible.
CREATE TABLE trace.verdict_superseded (
    LIKE trace.verdict,
    superseded_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (device, boot, seq, decided_at)
);

CREATE TABLE trace.alert (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    brand       text NOT NULL REFERENCES trace.brand,
    kind        text NOT NULL CHECK (kind IN ('diversion')),
    dealer      text NOT NULL REFERENCES trace.dealer,
    city        text NOT NULL,
    raised_at   timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL,
    state       text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'acknowledged', 'closed')),
    outcome     text CHECK (outcome IN
        ('confirmed', 'tourist_or_gift', 'e_commerce', 'documented_transfer', 'location_error', 'unresolved',
         'retracted')),
    decided_by  text,
    decided_at  timestamptz,
    cases       integer NOT NULL,
    scans       integer NOT NULL,
    reason      jsonb NOT NULL,
    CHECK ((state = 'closed') = (outcome IS NOT NULL))
);
COMMENT ON COLUMN trace.alert.outcome IS 'retracted: the service itself closed it, late events took its evidence away';
CREATE UNIQUE INDEX alert_cell ON trace.alert (brand, kind, dealer, city) WHERE state <> 'closed';
CREATE INDEX alert_queue ON trace.alert (brand, state, raised_at);

CREATE TABLE trace.alert_evidence (
    alert  bigint NOT NULL REFERENCES trace.alert,
    device text NOT NULL,
    boot   uuid NOT NULL,
    seq    bigint NOT NULL,
    unit   text NOT NULL,
    case_unit text NOT NULL,
    PRIMARY KEY (alert, device, boot, seq),
    FOREIGN KEY (device, boot, seq) REFERENCES trace.verdict
);
CREATE INDEX alert_evidence_scan ON trace.alert_evidence (device, boot, seq);

-- Located scans that may still add up to an alert. Once a person has decided on a case in a city, neither the scans
-- that were shown nor later ones of that case there are held against the dealer again.
CREATE VIEW trace.undecided_sighting AS
SELECT verdict.* FROM trace.verdict
WHERE city IS NOT NULL
    AND NOT EXISTS (
        SELECT FROM trace.alert JOIN trace.alert_evidence ON alert_evidence.alert = alert.id
        WHERE alert.state = 'closed' AND alert_evidence.device = verdict.device
            AND alert_evidence.boot = verdict.boot AND alert_evidence.seq = verdict.seq)
    AND NOT EXISTS (
        SELECT FROM trace.alert JOIN trace.alert_evidence ON alert_evidence.alert = alert.id
        WHERE alert.state = 'closed' AND alert.brand = verdict.brand AND alert.dealer = verdict.dealer
            AND alert.city = verdict.city AND alert_evidence.case_unit = verdict.case_unit);

-- Events that break a rule of custody: kept, shown with a reason, and repaired by new events.
CREATE TABLE trace.quarantine (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    brand       text REFERENCES trace.brand,
    device      text NOT NULL,
    boot        uuid NOT NULL,
    seq         bigint NOT NULL,
    ts          timestamptz NOT NULL,
    code        text NOT NULL,
    reason      text NOT NULL,
    detail      text NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    resolved_at timestamptz,
    UNIQUE (device, boot, seq)
);

-- Stock of one product at one store or warehouse: the ledger counts scans, the shelf says what it weighs.
CREATE TABLE trace.stock (
    site         text NOT NULL REFERENCES trace.site,
    gtin         text NOT NULL REFERENCES trace.product,
    brand        text NOT NULL REFERENCES trace.brand,
    dealer       text REFERENCES trace.dealer,
    sensed       integer,
    sensed_at    timestamptz,
    confidence   real,
    ledger       integer NOT NULL DEFAULT 0,
    daily_demand double precision NOT NULL DEFAULT 0,
    reorder      integer NOT NULL,
    maximum      integer NOT NULL CHECK (maximum >= reorder),
    updated_at   timestamptz NOT NULL DEFAULT now(),
    device       text,
    boot         uuid,
    seq          bigint,
    PRIMARY KEY (site, gtin)
);
COMMENT ON COLUMN trace.stock.device IS 'with boot and seq: the shelf message behind the sensed figure';

-- The newest figure of each shelf channel; a product's sensed stock is their sum.
CREATE TABLE trace.shelf_channel (
    device     text NOT NULL,
    channel    smallint NOT NULL,
    site       text NOT NULL REFERENCES trace.site,
    gtin       text NOT NULL REFERENCES trace.product,
    units      integer NOT NULL,
    confidence real NOT NULL,
    fault      text NOT NULL DEFAULT '',
    ts         timestamptz NOT NULL,
    boot       uuid NOT NULL,
    seq        bigint NOT NULL,
    PRIMARY KEY (device, channel)
);

CREATE TABLE trace.proposal (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    brand      text NOT NULL REFERENCES trace.brand,
    kind       text NOT NULL CHECK (kind IN ('order')),
    site       text NOT NULL REFERENCES trace.site,
    gtin       text NOT NULL REFERENCES trace.product,
    dealer     text REFERENCES trace.dealer,
    quantity   integer NOT NULL CHECK (quantity > 0),
    arrived    integer NOT NULL DEFAULT 0 CHECK (arrived BETWEEN 0 AND quantity),
    need_by    date NOT NULL,
    reason     jsonb NOT NULL,
    state      text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'approved', 'rejected', 'withdrawn')),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    decided_by text,
    decided_at timestamptz,
    device     text NOT NULL,
    boot       uuid NOT NULL,
    seq        bigint NOT NULL
);
COMMENT ON COLUMN trace.proposal.arrived IS 'how much of an approved order the stock has risen by since';

-- What was approved within the lead time and has not come yet.
CREATE VIEW trace.in_transit AS
SELECT site, gtin, sum(quantity - arrived)::integer AS quantity FROM trace.proposal
WHERE state = 'approved' AND decided_at > now() - interval '5 days'
GROUP BY site, gtin;
CREATE UNIQUE INDEX proposal_open ON trace.proposal (site, gtin) WHERE state = 'open';
CREATE INDEX proposal_queue ON trace.proposal (brand, state, created_at);

CREATE TABLE trace.account (
    login         text PRIMARY KEY CHECK (login ~ '^[A-Za-z0-9._@-]{1,64}$'),
    brand         text NOT NULL REFERENCES trace.brand,
    name          text NOT NULL,
    role          text NOT NULL CHECK (role IN ('compliance', 'supply')),
    password_hash text NOT NULL,
    language      text NOT NULL DEFAULT 'zh' CHECK (language IN ('zh', 'en')),
    disabled_at   timestamptz
);

CREATE TABLE trace.session (
    token_hash bytea PRIMARY KEY,
    login      text NOT NULL REFERENCES trace.account,
    csrf       text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);
