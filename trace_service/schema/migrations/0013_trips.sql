-- Trips of trucks: what was planned, what was reported, and what that was judged to be.

CREATE TABLE trace.geofence_site (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    brand       text NOT NULL REFERENCES trace.brand,
    name        text NOT NULL CHECK (name ~ '^[A-Za-z0-9_.:-]{1,64}$'),
    shape       jsonb,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    recorded_by text NOT NULL
);
COMMENT ON COLUMN trace.geofence_site.shape IS 'the site as it was sent; NULL: it is given up';
CREATE INDEX geofence_site_name ON trace.geofence_site (brand, name, id DESC);

CREATE TABLE trace.trip_route (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    brand       text NOT NULL REFERENCES trace.brand,
    name        text NOT NULL CHECK (name ~ '^[A-Za-z0-9_.:-]{1,64}$'),
    legs        jsonb NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    recorded_by text NOT NULL
);
CREATE INDEX trip_route_name ON trace.trip_route (brand, name, id DESC);

-- A changed plan is a new version: an episode names the one that it was judged by.
CREATE TABLE trace.trip_plan (
    brand       text NOT NULL REFERENCES trace.brand,
    trip        text NOT NULL CHECK (trip ~ '^[A-Za-z0-9_.:-]{1,64}$'),
    version     integer NOT NULL CHECK (version >= 1),
    device      text NOT NULL CHECK (device ~ '^[A-Za-z0-9_-]{1,64}$'),
    begins      timestamptz NOT NULL,
    ends        timestamptz NOT NULL,
    plan        jsonb NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    recorded_by text NOT NULL,
    PRIMARY KEY (brand, trip, version),
    CHECK (begins < ends)
);
COMMENT ON COLUMN trace.trip_plan.plan IS 'complete: sites and legs are copied in, so that later changes of them change no past trip';

-- What the trackers sent, never changed.
CREATE TABLE trace.trip_fix (
    brand       text NOT NULL,
    device      text NOT NULL,
    at          timestamptz NOT NULL,
    lon         double precision NOT NULL,
    lat         double precision NOT NULL,
    accuracy_m  real NOT NULL,
    speed_mps   real,
    crs         text NOT NULL,
    raw_lon     double precision NOT NULL,
    raw_lat     double precision NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (brand, device, at)
);

CREATE TABLE trace.trip_handling (
    brand       text NOT NULL,
    device      text NOT NULL,
    at          timestamptz NOT NULL,
    kind        text NOT NULL CHECK (kind IN ('door_opened', 'weight_dropped', 'items_received')),
    amount      real NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (brand, device, at, kind)
);

-- The worker's own: how far a trip is judged, and when to look at it again.
CREATE TABLE trace.trip_work (
    brand       text NOT NULL,
    trip        text NOT NULL,
    version     integer NOT NULL,
    device      text NOT NULL,
    begins      timestamptz NOT NULL,
    ends        timestamptz NOT NULL,
    due_at      timestamptz,
    state       bytea,
    stop        integer NOT NULL DEFAULT 0,
    progress_m  double precision,
    last_at     timestamptz,
    finished_at timestamptz,
    PRIMARY KEY (brand, trip)
);
CREATE INDEX trip_work_due ON trace.trip_work (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX trip_work_device ON trace.trip_work (brand, device, begins, ends);

-- Reports that no judgement has seen yet, queued in the transaction that stores them.
CREATE TABLE trace.trip_news (
    id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    brand  text NOT NULL,
    trip   text NOT NULL,
    at     timestamptz NOT NULL,
    kind   text NOT NULL DEFAULT 'fix'
);
CREATE INDEX trip_news_trip ON trace.trip_news (brand, trip);

-- Each line is what became known of an episode; the newest one of an episode is what holds.
CREATE TABLE trace.trip_episode (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    brand      text NOT NULL,
    trip       text NOT NULL,
    version    integer NOT NULL,
    episode    text NOT NULL,
    action     text NOT NULL CHECK (action IN ('raised', 'updated', 'ended', 'retracted')),
    kind       text NOT NULL,
    subject    text NOT NULL,
    severity   text NOT NULL CHECK (severity IN ('notice', 'warning', 'critical')),
    started_at timestamptz NOT NULL,
    ended_at   timestamptz,
    notes      jsonb NOT NULL,
    evidence   timestamptz[] NOT NULL,
    known_at   timestamptz NOT NULL DEFAULT now(),
    FOREIGN KEY (brand, trip, version) REFERENCES trace.trip_plan (brand, trip, version)
);
CREATE INDEX trip_episode_trip ON trace.trip_episode (brand, trip, episode, id DESC);
CREATE INDEX trip_episode_newest ON trace.trip_episode (brand, id DESC);

CREATE VIEW trace.trip_violation AS
SELECT DISTINCT ON (brand, trip, episode) id, brand, trip, version, episode, action, kind, subject, severity, started_at,
    ended_at, notes, evidence, known_at
FROM trace.trip_episode
ORDER BY brand, trip, episode, id DESC;
COMMENT ON VIEW trace.trip_violation IS 'what is known of each episode now, those taken back included';

-- Fences as they were handed out: a device asks for the newest, and an auditor for any.
CREATE TABLE trace.fence (
    audience  text NOT NULL CHECK (audience ~ '^(site|device):[A-Za-z0-9_-]{1,64}$'),
    version   integer NOT NULL CHECK (version >= 1),
    brand     text REFERENCES trace.brand,
    source    text NOT NULL,
    content   bytea NOT NULL,
    issued_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    body      bytea NOT NULL,
    PRIMARY KEY (audience, version)
);
COMMENT ON COLUMN trace.fence.brand IS 'empty: a site that belongs to no dealer, and so to no brand alone';
COMMENT ON COLUMN trace.fence.content IS 'SHA-256 of what it was made from: the same again needs no new version';

ALTER TABLE trace.partner_token DROP CONSTRAINT partner_token_scopes_check,
    ADD CONSTRAINT partner_token_scopes_check
        CHECK (cardinality(scopes) > 0 AND scopes <@ '{epcis,orders,channel,check,trips}'::text[]);
