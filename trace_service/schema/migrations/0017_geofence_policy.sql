-- From which probability on a brand calls a scan inside or outside of a territory. The last row of a brand counts.
CREATE TABLE trace.geofence_policy (
    brand       text NOT NULL REFERENCES trace.brand,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    recorded_by text NOT NULL CHECK (length(recorded_by) BETWEEN 1 AND 100),
    inside_at   double precision NOT NULL CHECK (inside_at <= 1),
    outside_at  double precision NOT NULL CHECK (outside_at >= 0),
    PRIMARY KEY (brand, recorded_at),
    CHECK (outside_at < inside_at)
);
COMMENT ON TABLE trace.geofence_policy IS 'brands without a row: inside from 0.9, outside down from 0.05';
