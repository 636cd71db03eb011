-- What each brand's engine was told last, so that it is told again only what became different.
CREATE TABLE trace.observed (
    brand  text NOT NULL REFERENCES trace.brand,
    key    text NOT NULL,
    kind   text NOT NULL CHECK (kind IN ('sighting', 'movement', 'shipment', 'binding')),
    digest bigint NOT NULL,
    PRIMARY KEY (brand, key, kind)
);
COMMENT ON COLUMN trace.observed.digest IS 'of the observation without the time at which it was made';

-- Who agreed to bind goods to another dealer by hand.
ALTER TABLE trace.custody_event ADD COLUMN approvers text[] NOT NULL DEFAULT '{}';

-- How far back each brand's engine was told of what came before it: the last scan or event.
CREATE TABLE trace.backfill (
    brand  text PRIMARY KEY REFERENCES trace.brand,
    at     timestamptz NOT NULL,
    device text NOT NULL,
    boot   uuid NOT NULL,
    seq    bigint NOT NULL
);
