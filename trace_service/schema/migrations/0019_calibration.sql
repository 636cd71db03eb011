-- What reviewed outcomes made of the shipped calibration, and what was tried and not adopted. Rows are only added.
CREATE TABLE trace.calibration (
    brand       text NOT NULL REFERENCES trace.brand,
    number      integer NOT NULL CHECK (number > 0),
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    recorded_by text NOT NULL CHECK (length(recorded_by) BETWEEN 1 AND 100),
    version     text NOT NULL,
    shipped     text NOT NULL,
    decision    text NOT NULL CHECK (decision IN ('adopted', 'few', 'one_sided', 'worse')),
    cases       integer NOT NULL CHECK (cases >= 0),
    confirmed   integer NOT NULL CHECK (confirmed BETWEEN 0 AND cases),
    newest      timestamptz NOT NULL,
    loss_before double precision,
    loss_after  double precision,
    models      jsonb,
    PRIMARY KEY (brand, number),
    UNIQUE (brand, version),
    CHECK ((decision = 'adopted') = (models IS NOT NULL))
);
COMMENT ON TABLE trace.calibration IS 'the newest adopted row of the shipped version in use counts; none: the shipped one';
COMMENT ON COLUMN trace.calibration.newest IS 'when the last of the cases was closed that it was made from';
COMMENT ON COLUMN trace.calibration.loss_after IS 'mean log loss on cases that the coefficients were not fitted to';
