-- The engine is every brand's detector: what another rule needed goes.
DROP VIEW trace.undecided_sighting;
DROP INDEX trace.alert_cell;
ALTER TABLE trace.case_policy DROP COLUMN detector;

-- The channel and the calibration are entries of the log: fed again, it needs nothing but itself.
ALTER TABLE trace.observation DROP CONSTRAINT observation_kind_check;
ALTER TABLE trace.observation ADD CONSTRAINT observation_kind_check CHECK (kind IN ('sighting', 'movement', 'shipment',
    'binding', 'withdrawn', 'reviewed', 'clock', 'channel', 'calibration'));

-- A brand's engine as it was after one observation of its log: a copy to start from, never the only one.
CREATE TABLE trace.engine_snapshot (
    brand       text PRIMARY KEY REFERENCES trace.brand,
    seq         bigint NOT NULL CHECK (seq > 0),
    fingerprint text NOT NULL,
    made_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    state       bytea NOT NULL,
    seal        bytea NOT NULL
);
COMMENT ON COLUMN trace.engine_snapshot.fingerprint IS 'of the code and the places that it was made with; with others it is not read';
COMMENT ON COLUMN trace.engine_snapshot.seal IS 'HMAC-SHA-256 under the service''s key, which the database does not know';
