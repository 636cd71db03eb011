-- Which brands' suspect goods must be counted anew: a recall, a hold, an alert or a quarantine says so as it is written.
CREATE TABLE trace.suspect_due (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    brand    text NOT NULL REFERENCES trace.brand,
    since    timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE trace.suspect_due IS 'the worker counts a brand''s suspect goods again, and looks at the proposals on them';

CREATE FUNCTION trace.queue_suspects() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.brand IS NOT NULL THEN
        INSERT INTO trace.suspect_due (brand) VALUES (NEW.brand);
        NOTIFY work;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER suspects_held AFTER INSERT ON trace.custody_event FOR EACH ROW
    WHEN (NEW.biz_step IN ('holding', 'unblocking', 'recalling') OR NEW.corrects_seq IS NOT NULL) EXECUTE FUNCTION trace.queue_suspects();
CREATE TRIGGER suspects_quarantined AFTER INSERT OR UPDATE OF resolved_at ON trace.quarantine FOR EACH ROW
    WHEN (NEW.brand IS NOT NULL) EXECUTE FUNCTION trace.queue_suspects();
CREATE TRIGGER suspects_raised AFTER INSERT OR UPDATE OF state, outcome, cases ON trace.alert
    FOR EACH ROW EXECUTE FUNCTION trace.queue_suspects();
-- What was suspect may have been sold or taken away.
CREATE TRIGGER suspects_moved AFTER UPDATE OF ledger ON trace.stock FOR EACH ROW
    WHEN (NEW.suspect > 0 AND NEW.ledger <> OLD.ledger) EXECUTE FUNCTION trace.queue_suspects();

-- Promotions, planned ahead or told of afterwards; a row is never changed but by its cancellation.
CREATE TABLE trace.promotion (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    brand        text NOT NULL REFERENCES trace.brand,
    gtin         text NOT NULL REFERENCES trace.product,
    sites        text[] NOT NULL DEFAULT '{}',
    first_day    date NOT NULL,
    last_day     date NOT NULL,
    uplift       double precision CHECK (uplift BETWEEN 0.1 AND 20),
    name         text NOT NULL DEFAULT '' CHECK (length(name) <= 100),
    planned_by   text NOT NULL,
    planned_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    cancelled_by text,
    cancelled_at timestamptz,
    CHECK (last_day BETWEEN first_day AND first_day + 366),
    CHECK ((cancelled_by IS NULL) = (cancelled_at IS NULL))
);
CREATE UNIQUE INDEX promotion_standing ON trace.promotion (brand, gtin, sites, first_day, last_day)
    WHERE cancelled_at IS NULL;
COMMENT ON COLUMN trace.promotion.sites IS 'where it is; empty is everywhere that has the product';
COMMENT ON COLUMN trace.promotion.uplift IS 'expected factor on demand; empty where past promotions say what to expect';

-- What the newest run expects of the coming days, and which orders are for it.
CREATE TABLE trace.coming_day (
    brand        text NOT NULL REFERENCES trace.brand,
    day          date NOT NULL,
    name         text NOT NULL,
    product_line text NOT NULL,
    factor       double precision NOT NULL CHECK (factor > 0),
    PRIMARY KEY (brand, day, product_line)
);
ALTER TABLE trace.planned_order ADD COLUMN occasion text NOT NULL DEFAULT '';
COMMENT ON COLUMN trace.planned_order.occasion IS 'promotion or festival in the days that it is to last for';

-- The demo's sales are made up, and say so.
ALTER TABLE trace.demand_day DROP CONSTRAINT demand_day_source_check,
    ADD CONSTRAINT demand_day_source_check CHECK (source IN ('scans', 'file', 'demo'));
