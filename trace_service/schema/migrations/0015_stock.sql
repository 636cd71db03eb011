-- What a shelf says of its climate besides the figures: the mean kinetic temperature, its door, and alarms.
ALTER TABLE landing.environment
    ADD COLUMN mean_kinetic_c real,
    ADD COLUMN door_open boolean,
    ADD COLUMN alarm text NOT NULL DEFAULT '';
CREATE INDEX environment_alarm ON landing.environment (site, ts) WHERE alarm <> '';
COMMENT ON COLUMN landing.environment.alarm IS 'empty, or what was wrong: contracts.messages.Environment names them';

-- An alarm is shown at once: those who look at the site's brand are told to look again.
CREATE FUNCTION landing.climate_alarm() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog AS $$
BEGIN
    PERFORM pg_notify('console', json_build_object('kind', 'stock', 'brand', brand)::text)
    FROM (SELECT DISTINCT brand FROM trace.stock WHERE stock.site = NEW.site) AS concerned;
    RETURN NULL;
END $$;
CREATE TRIGGER climate_alarm AFTER INSERT ON landing.environment
    FOR EACH ROW WHEN (NEW.alarm <> '') EXECUTE FUNCTION landing.climate_alarm();

-- One figure a site and product: the ledger of scans and what shelves sense, fused. `confidence` is the sensor's own,
-- `certainty` that of `quantity`, which is empty where nobody knows anything.
ALTER TABLE trace.stock
    ADD COLUMN quantity integer CHECK (quantity >= 0),
    ADD COLUMN certainty real NOT NULL DEFAULT 0 CHECK (certainty BETWEEN 0 AND 1),
    ADD COLUMN sold_lately integer NOT NULL DEFAULT 0,
    ADD COLUMN coming integer NOT NULL DEFAULT 0,
    ADD COLUMN unexplained integer NOT NULL DEFAULT 0,
    ADD COLUMN backroom integer NOT NULL DEFAULT 0,
    ADD COLUMN received boolean NOT NULL DEFAULT false,
    ADD COLUMN differences integer[] NOT NULL DEFAULT '{}',
    ADD COLUMN settled integer,
    ADD COLUMN sure_at timestamptz;
COMMENT ON COLUMN trace.stock.sold_lately IS 'items that scans sold in 30 days: without any, the ledger tells no sales';
COMMENT ON COLUMN trace.stock.coming IS 'items shipped to the site''s dealer and not received yet, by the chain of custody';
COMMENT ON COLUMN trace.stock.unexplained IS 'items sold here that were neither received nor shipped to the dealer';
COMMENT ON COLUMN trace.stock.backroom IS 'items received, but not on the shelf yet';
COMMENT ON COLUMN trace.stock.differences IS 'the last three of (sensed − ledger), oldest first';
COMMENT ON COLUMN trace.stock.settled IS 'their median when the last finding was made';

-- What the ledger knows of each item at each site with stock, kept as events come; pallets and cases count for what
-- lies in them.
CREATE TABLE trace.stock_unit (
    site     text NOT NULL REFERENCES trace.site,
    unit     text NOT NULL,
    gtin     text NOT NULL,
    lot      text,
    present  boolean NOT NULL,
    coming   boolean NOT NULL,
    strange  boolean NOT NULL,
    sold_at  timestamptz,
    received_at timestamptz,
    PRIMARY KEY (site, unit)
);
CREATE INDEX stock_unit_present ON trace.stock_unit (site, gtin) WHERE present;
CREATE INDEX stock_unit_coming ON trace.stock_unit (site, gtin) WHERE coming;
CREATE INDEX stock_unit_strange ON trace.stock_unit (site, gtin) WHERE strange;
CREATE INDEX stock_unit_sold ON trace.stock_unit (site, gtin, sold_at) WHERE sold_at IS NOT NULL;
CREATE INDEX stock_unit_received ON trace.stock_unit (site, received_at) WHERE received_at IS NOT NULL;
COMMENT ON COLUMN trace.stock_unit.strange IS 'sold here, but neither received here nor shipped to the dealer';

-- Units that came by other ways than scans: the worker counts them again.
CREATE TABLE trace.stock_due (
    id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    site   text NOT NULL,
    unit   text NOT NULL,
    device text NOT NULL,
    boot   uuid NOT NULL,
    seq    bigint NOT NULL
);

-- Where figures contradict one another. Rows are facts; only the end of what lasts is noted later.
CREATE TABLE trace.stock_finding (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    brand       text NOT NULL REFERENCES trace.brand,
    site        text NOT NULL REFERENCES trace.site,
    gtin        text NOT NULL REFERENCES trace.product,
    kind        text NOT NULL CHECK (kind IN ('shrinkage', 'phantom_stock', 'unrecorded_refill', 'unexplained_stock')),
    quantity    integer NOT NULL CHECK (quantity > 0),
    detail      jsonb NOT NULL DEFAULT '{}',
    found_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    resolved_at timestamptz,
    device      text NOT NULL,
    boot        uuid NOT NULL,
    seq         bigint NOT NULL
);
CREATE UNIQUE INDEX stock_finding_open ON trace.stock_finding (site, gtin)
    WHERE kind = 'phantom_stock' AND resolved_at IS NULL;
CREATE INDEX stock_finding_brand ON trace.stock_finding (brand, found_at);
COMMENT ON TABLE trace.stock_finding IS 'quantity: items gone, booked but not there, more than booked, or sold and never supplied';

-- Somebody went and counted.
CREATE TABLE trace.stock_count (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    brand      text NOT NULL REFERENCES trace.brand,
    site       text NOT NULL REFERENCES trace.site,
    gtin       text NOT NULL REFERENCES trace.product,
    counted    integer NOT NULL CHECK (counted BETWEEN 0 AND 1000000),
    believed   integer,
    counted_by text NOT NULL,
    counted_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX stock_count_place ON trace.stock_count (site, gtin, counted_at);
ALTER TABLE trace.stock ADD COLUMN adjusted integer NOT NULL DEFAULT 0;
COMMENT ON COLUMN trace.stock.adjusted IS 'what the last count added to the ledger of scans; ledger includes it';
