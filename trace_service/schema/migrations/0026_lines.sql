-- Places whose proposals must be looked at again, though nothing was weighed or scanned there: somebody approved goods
-- that are on their way from then on, or went and counted.
CREATE TABLE trace.review_due (
    id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    site text NOT NULL,
    gtin text NOT NULL,
    FOREIGN KEY (site, gtin) REFERENCES trace.stock
);

CREATE FUNCTION trace.queue_review() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    place text := coalesce(to_jsonb(NEW) ->> 'to_site', NEW.site);
BEGIN
    INSERT INTO trace.review_due (site, gtin) SELECT site, gtin FROM trace.stock WHERE site = place AND gtin = NEW.gtin;
    NOTIFY work;
    RETURN NULL;
END $$;
CREATE TRIGGER review_approved AFTER UPDATE OF state ON trace.proposal FOR EACH ROW
    WHEN (OLD.state = 'open' AND NEW.state = 'approved' AND NEW.kind IN ('order', 'vmi', 'transfer'))
    EXECUTE FUNCTION trace.queue_review();
CREATE TRIGGER review_counted AFTER INSERT ON trace.stock_count FOR EACH ROW EXECUTE FUNCTION trace.queue_review();

-- Where nobody scans sales, what a shelf was seen to lose is demand.
ALTER TABLE trace.demand_day DROP CONSTRAINT demand_day_source_check,
    ADD CONSTRAINT demand_day_source_check CHECK (source IN ('scans', 'file', 'demo', 'shelf'));
