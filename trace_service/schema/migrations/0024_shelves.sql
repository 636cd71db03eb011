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

-- Why a line is not that of ordinary days: the festival or promotion in the days that an order is to last for.
ALTER TABLE trace.stock_line
    ADD COLUMN occasion text NOT NULL DEFAULT '',
    ADD COLUMN occasion_from date,
    ADD COLUMN occasion_units double precision NOT NULL DEFAULT 0,
    ADD CHECK ((occasion = '') = (occasion_from IS NULL));
COMMENT ON COLUMN trace.stock_line.occasion_units IS 'items that it adds to the demand of those days, or takes from it';

-- Stock with the demand and the lines that count at each place: those of the newest run where half of the figure or more
-- is the place's own history, the configured ones until then. Whoever shows lines or decides by them reads them here.
CREATE VIEW trace.stock_in_force AS
SELECT stock.brand, stock.site, stock.gtin, stock.dealer, stock.managed, stock.quantity, stock.certainty, stock.sensed,
    stock.sensed_at, stock.confidence, stock.ledger, stock.received, stock.backroom, stock.coming, stock.unexplained,
    stock.suspect, stock.sold_lately, stock.sure_at, stock.updated_at, stock.device, stock.boot, stock.seq,
    coalesce(line.mean * line.bias, stock.daily_demand) AS daily_demand, coalesce(line.warning, stock.reorder) AS reorder,
    coalesce(line.maximum, stock.maximum) AS maximum, line.safety, line.ratio, coalesce(line.bias, 1) AS bias,
    line.lead_days, line.service, coalesce(line.model, 'lines-1') AS model, coalesce(line.evidence, 0) AS evidence,
    coalesce(line.history_days, 0) AS history_days, coalesce(line.occasion, '') AS occasion, line.occasion_from,
    coalesce(line.occasion_units, 0) AS occasion_units, line.made_at
FROM trace.stock
LEFT JOIN trace.stock_line AS line ON line.site = stock.site AND line.gtin = stock.gtin AND line.evidence >= 0.5;

-- What a count could be worth, by `trace_service.domain.counting`: how long nobody and nothing was sure of the figure, and
-- what has spoken against it since it was counted.
CREATE VIEW trace.count_candidate AS
SELECT stock.brand, stock.site, stock.gtin, stock.quantity, stock.certainty, stock.daily_demand,
    product.unit_price::float8 AS unit_price, since.days, since.findings
FROM trace.stock_in_force AS stock
JOIN trace.product ON product.gtin = stock.gtin
LEFT JOIN LATERAL (SELECT max(counted_at) AS at FROM trace.stock_count
    WHERE stock_count.site = stock.site AND stock_count.gtin = stock.gtin) AS counted ON true
CROSS JOIN LATERAL (
    SELECT extract(epoch FROM now() - coalesce(greatest(stock.sure_at, counted.at), now() - interval '30 days'))::float8
            / 86400 AS days,
        (SELECT count(*) FROM trace.stock_finding AS finding WHERE finding.site = stock.site
            AND finding.gtin = stock.gtin AND finding.found_at > coalesce(counted.at, now() - interval '30 days'))
            AS findings
) AS since;

-- One row of stock as people and programs are shown it. Joins of more than eight tables PostgreSQL plans in parts, and
-- would work out every row before it looks which are wanted: what else belongs to a row is joined to the wanted ones.
CREATE VIEW trace.stock_shown AS
SELECT stock.brand, stock.site, site.name_zh AS site_name_zh, site.name_en AS site_name_en, stock.gtin,
    product.name_zh AS product_name_zh, product.name_en AS product_name_en, stock.quantity, stock.certainty,
    stock.sensed, greatest(stock.sensed_at, shelf.seen_at) AS sensed_at, stock.confidence, stock.ledger,
    stock.ledger <> 0 OR stock.received AS counted, stock.backroom, stock.coming, stock.unexplained,
    stock.suspect, stock.sold_lately, coalesce(in_transit.quantity, 0) AS in_transit, stock.daily_demand, stock.reorder,
    stock.maximum, stock.safety, stock.lead_days, stock.model, stock.history_days, stock.occasion, stock.occasion_from,
    stock.occasion_units, stock.updated_at, stock.device, stock.boot, stock.seq, shelf.faults,
    facing.filled, facing.empty, facing.unseen, facing.strange, facing.share
FROM trace.stock_in_force AS stock
JOIN trace.site ON site.id = stock.site
JOIN trace.product ON product.gtin = stock.gtin
LEFT JOIN LATERAL (
    SELECT coalesce(array_agg(DISTINCT channel.fault) FILTER (WHERE channel.fault <> ''), '{}') AS faults,
        max(channel.ts) AS seen_at
    FROM trace.shelf_channel AS channel
    WHERE channel.site = stock.site AND channel.gtin = stock.gtin
) AS shelf ON true
LEFT JOIN LATERAL (
    SELECT sum(filled)::integer AS filled, sum(empty)::integer AS empty, sum(unseen)::integer AS unseen,
        sum(strange)::integer AS strange, avg(share)::real AS share
    FROM trace.shelf_facing AS seen
    WHERE seen.site = stock.site AND seen.gtin = stock.gtin AND seen.fault = ''
) AS facing ON true
LEFT JOIN trace.in_transit ON in_transit.site = stock.site AND in_transit.gtin = stock.gtin;

-- Items that were sold where nobody had supplied them, the newest first: leads.
CREATE INDEX stock_unit_strange_sold ON trace.stock_unit (sold_at DESC, site, unit) WHERE strange;

-- Rows that change with every message stay on their page, so that no index has to follow.
ALTER TABLE trace.stock SET (fillfactor = 40);
ALTER TABLE trace.shelf_channel SET (fillfactor = 40);
ALTER TABLE landing.received SET (fillfactor = 50);
ALTER TABLE landing.device SET (fillfactor = 50);
