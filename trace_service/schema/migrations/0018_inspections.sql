-- Where inspectors should look next: what the engine suspects, the nightly plan, its visits, and what came of them.
ALTER TABLE trace.field_check ALTER COLUMN case_id DROP NOT NULL;
COMMENT ON COLUMN trace.field_check.case_id IS 'empty where a plan of inspections ordered it, not a case';

-- Where an inspector starts. A changed base is a new row; the newest of a name stands, without hours it is given up.
CREATE TABLE trace.inspection_base (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    brand       text NOT NULL REFERENCES trace.brand,
    name        text NOT NULL CHECK (length(name) BETWEEN 1 AND 60),
    lon         double precision NOT NULL CHECK (lon BETWEEN -180 AND 180),
    lat         double precision NOT NULL CHECK (lat BETWEEN -90 AND 90),
    hours       double precision NOT NULL CHECK (hours >= 0 AND hours <= 16),
    speed_kmh   double precision NOT NULL CHECK (speed_kmh BETWEEN 5 AND 300),
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX inspection_base_name ON trace.inspection_base (brand, name, id);

-- What the engine knew at the last close of a day: its strongest cells, with what a plan computes from.
CREATE TABLE trace.inspection_state (
    brand       text PRIMARY KEY REFERENCES trace.brand,
    at          timestamptz NOT NULL,
    suspicions  jsonb NOT NULL,
    places      jsonb NOT NULL,
    versions    jsonb NOT NULL
);

CREATE TABLE trace.inspection_plan (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    brand    text NOT NULL REFERENCES trace.brand,
    night    date NOT NULL,
    seed     bigint NOT NULL,
    model    text NOT NULL,
    state_at timestamptz,
    made_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (brand, night)
);

-- A stop of a base's day (`stop` counts from 1), or a place of its list that is not on today's way (`stop` is empty).
CREATE TABLE trace.inspection_visit (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    plan        bigint NOT NULL REFERENCES trace.inspection_plan,
    brand       text NOT NULL REFERENCES trace.brand,
    base        text NOT NULL,
    rank        integer NOT NULL CHECK (rank > 0),
    stop        integer CHECK (stop > 0),
    city        text NOT NULL,
    lon         double precision NOT NULL,
    lat         double precision NOT NULL,
    share       text NOT NULL CHECK (share IN ('planned', 'lot')),
    gain        double precision NOT NULL CHECK (gain >= 0),
    explore     double precision NOT NULL CHECK (explore >= 0),
    hours       double precision NOT NULL CHECK (hours > 0),
    reasons     jsonb NOT NULL,
    field_check bigint UNIQUE REFERENCES trace.field_check
);
CREATE INDEX inspection_visit_plan ON trace.inspection_visit (plan, base, rank);
CREATE INDEX inspection_visit_city ON trace.inspection_visit (brand, city) WHERE field_check IS NOT NULL;
COMMENT ON COLUMN trace.inspection_visit.share IS 'lot: drawn by chance, what the planned ones are held against';
