-- What a camera sees of a channel's facings comes as stock messages: then `units` counts filled facings, not items.
ALTER TABLE landing.stock
    ADD COLUMN filled smallint,
    ADD COLUMN empty smallint,
    ADD COLUMN unseen smallint,
    ADD COLUMN strange smallint,
    ADD COLUMN share real;
COMMENT ON COLUMN landing.stock.filled IS 'facings that show the product; NULL in what a scale says';
COMMENT ON COLUMN landing.stock.strange IS 'facings that show another product';
COMMENT ON COLUMN landing.stock.share IS 'of the width of all filled facings in the picture';

-- What cameras saw last.
CREATE TABLE trace.shelf_facing (
    device  text NOT NULL,
    channel smallint NOT NULL,
    site    text NOT NULL REFERENCES trace.site,
    gtin    text NOT NULL REFERENCES trace.product,
    filled  smallint NOT NULL,
    empty   smallint NOT NULL,
    unseen  smallint NOT NULL,
    strange smallint NOT NULL,
    share   real NOT NULL,
    fault   text NOT NULL,
    ts      timestamptz NOT NULL,
    boot    uuid NOT NULL,
    seq     bigint NOT NULL,
    PRIMARY KEY (device, channel)
);
CREATE INDEX shelf_facing_place ON trace.shelf_facing (site, gtin);

-- Two more contradictions: another product stands in a product's facings, and a shelf weighs a product that the site
-- has no line for. Both last until they are seen to be over.
ALTER TABLE trace.stock_finding DROP CONSTRAINT stock_finding_kind_check;
ALTER TABLE trace.stock_finding ADD CONSTRAINT stock_finding_kind_check CHECK (kind IN (
    'shrinkage', 'phantom_stock', 'unrecorded_refill', 'unexplained_stock', 'misplaced_product', 'unplanned_product',
    'wrong_planogram'));
DROP INDEX trace.stock_finding_open;
CREATE UNIQUE INDEX stock_finding_open ON trace.stock_finding (site, gtin, kind)
    WHERE kind IN ('phantom_stock', 'misplaced_product', 'unplanned_product', 'wrong_planogram')
        AND resolved_at IS NULL;

-- What the stock page asks for beside each row: the newest findings of a kind, and what was counted last.
CREATE INDEX stock_finding_place ON trace.stock_finding (site, gtin, found_at);
CREATE INDEX stock_page ON trace.stock (brand, site, gtin);
