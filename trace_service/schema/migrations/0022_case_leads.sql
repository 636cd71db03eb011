-- Goods that move on after their recall or expiry, that leave their route, or that go to many places at once.
ALTER TABLE trace.alert DROP CONSTRAINT alert_kind_check;
ALTER TABLE trace.alert ADD CONSTRAINT alert_kind_check CHECK (kind IN ('diversion', 'drip', 'bulk', 'promo', 'backflow',
    'skip', 'rebind', 'strip', 'clone', 'forged', 'collusion', 'recalled', 'expired', 'void', 'offroute', 'dwell',
    'ordering'));

-- What an alert was computed from, so that each of its figures can be computed again, and again with parts taken out.
ALTER TABLE trace.alert ADD COLUMN material jsonb;
COMMENT ON COLUMN trace.alert.material IS 'the engine''s own; holds positions, so that nothing leaves the service from here';

-- Findings that are worth a look on the spot and accuse nobody: by their kind, or just below an alert's threshold.
CREATE TABLE trace.lead (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    brand       text NOT NULL REFERENCES trace.brand,
    claim       text NOT NULL,
    kind        text NOT NULL,
    near        boolean NOT NULL,
    dealer      text REFERENCES trace.dealer,
    city        text NOT NULL DEFAULT '',
    cases       integer NOT NULL CHECK (cases >= 0),
    strength    double precision NOT NULL CHECK (strength >= 0),
    probability double precision CHECK (probability BETWEEN 0 AND 1),
    reason      jsonb NOT NULL,
    material    jsonb,
    found_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at    timestamptz,
    ended       text CHECK (ended IN ('raised', 'gone', 'reviewed')),
    CHECK ((ended_at IS NULL) = (ended IS NULL))
);
CREATE UNIQUE INDEX lead_claim ON trace.lead (brand, claim) WHERE ended_at IS NULL;
CREATE INDEX lead_queue ON trace.lead (brand, strength DESC, id) WHERE ended_at IS NULL;
COMMENT ON COLUMN trace.lead.near IS 'just below an alert''s threshold; otherwise of a kind that is never an alert';
COMMENT ON COLUMN trace.lead.strength IS 'share of the threshold that the evidence reaches, or of what its rule asks for';

-- Which leads a day's random share drew, and how likely that was: outcomes are weighted by it.
CREATE TABLE trace.lead_selection (
    brand       text NOT NULL REFERENCES trace.brand,
    day         date NOT NULL,
    lead        bigint NOT NULL REFERENCES trace.lead,
    probability double precision NOT NULL CHECK (probability > 0 AND probability <= 1),
    chosen_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (brand, day, lead)
);
CREATE INDEX lead_selection_lead ON trace.lead_selection (lead);

-- What somebody found where a lead pointed to. Rows are only added.
CREATE TABLE trace.lead_review (
    lead        bigint PRIMARY KEY REFERENCES trace.lead,
    outcome     text NOT NULL CHECK (outcome IN ('confirmed', 'tourist_or_gift', 'e_commerce', 'documented_transfer',
        'location_error', 'scanner_outage', 'unresolved')),
    note        text NOT NULL DEFAULT '' CHECK (length(note) <= 4000),
    reviewed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    reviewed_by text NOT NULL REFERENCES trace.account
);
