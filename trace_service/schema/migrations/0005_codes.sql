-- Batches that cannot overlap, the history of scrapped labels, and keys that only ever go from active to killed.

ALTER TABLE trace.master_key
    ADD profile text NOT NULL DEFAULT 'aes' CHECK (profile IN ('aes', 'sm4')),
    ADD created_at timestamptz NOT NULL DEFAULT now(),
    ADD killed_at timestamptz,
    ADD killed_because text NOT NULL DEFAULT '';
COMMENT ON COLUMN trace.master_key.profile IS 'the block cipher under TC20: AES-128, or SM4 where it is prescribed';
CREATE UNIQUE INDEX master_key_active ON trace.master_key (brand) WHERE state = 'active' AND epoch > 0;

CREATE FUNCTION trace.master_key_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (new.brand, new.epoch, new.wrapped, new.profile) IS DISTINCT FROM
        (old.brand, old.epoch, old.wrapped, old.profile) THEN
        RAISE EXCEPTION 'a code key is never changed, codes were issued under it';
    END IF;
    IF old.state = 'killed' AND new.state <> 'killed' OR old.state = 'verify' AND new.state = 'active' THEN
        RAISE EXCEPTION 'a code key does not come back from %', old.state;
    END IF;
    IF new.state = 'killed' THEN
        new.killed_at := coalesce(old.killed_at, now());
    END IF;
    RETURN new;
END $$;
CREATE TRIGGER master_key_guard BEFORE UPDATE ON trace.master_key
    FOR EACH ROW EXECUTE FUNCTION trace.master_key_guard();

ALTER TABLE trace.batch
    ADD issued_at timestamptz NOT NULL DEFAULT now(),
    ADD CONSTRAINT batch_counters_bounded CHECK (
        NOT isempty(counters) AND lower(counters) >= 0 AND upper(counters) <= 1099511627776),
    ADD CONSTRAINT batch_excluded_inside CHECK (excluded <@ int8multirange(counters)),
    ADD CONSTRAINT batch_lot_is_gs1 CHECK (lot ~ '^[!"%-?A-Z_a-z]{1,20}$'),
    ADD CONSTRAINT batch_dates CHECK (expires_on >= produced_on),
    -- Counters run per product whatever the epoch. The product's number as a range of one needs no extension.
    ADD CONSTRAINT batch_apart EXCLUDE USING gist (
        int8range(gtin::bigint, gtin::bigint, '[]') WITH =, counters WITH &&);
COMMENT ON COLUMN trace.batch.excluded IS 'the sum of trace.batch_exclusion: labels that were scrapped or never printed';
COMMENT ON CONSTRAINT batch_lot_is_gs1 ON trace.batch IS 'what AI (10) may hold';
-- Ranges do not overlap, so the last one that begins at or below a counter is the only one that can hold it:
-- batch_start finds it. The range index alone would offer one batch for each product.
DROP INDEX trace.batch_counters, trace.batch_start;
CREATE INDEX batch_start ON trace.batch (gtin, lower(counters));

CREATE TABLE trace.batch_exclusion (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    brand       text NOT NULL REFERENCES trace.brand,
    batch       bigint NOT NULL REFERENCES trace.batch,
    counters    int8multirange NOT NULL CHECK (NOT isempty(counters)),
    reason      text NOT NULL CHECK (reason <> ''),
    recorded_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX batch_exclusion_batch ON trace.batch_exclusion (batch);

-- Which SSCCs were given out for printing. A body is the 17 digits before the check digit, as a number: prefixes of
-- different lengths that overlap are noticed too.
CREATE TABLE trace.sscc_range (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    brand       text NOT NULL REFERENCES trace.brand,
    bodies      int8range NOT NULL CHECK (
        NOT isempty(bodies) AND lower(bodies) >= 0 AND upper(bodies) <= 100000000000000000),
    allotted_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT sscc_range_apart EXCLUDE USING gist (bodies WITH &&)
);
