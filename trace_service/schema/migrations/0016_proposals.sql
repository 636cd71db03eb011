-- Proposals of every kind, what they rest on and cost, and what people made of them.
ALTER TABLE trace.proposal DROP CONSTRAINT proposal_kind_check;
ALTER TABLE trace.proposal
    ADD CONSTRAINT proposal_kind_check CHECK (kind IN ('order', 'transfer', 'markdown', 'count', 'vmi')),
    ADD COLUMN to_site text REFERENCES trace.site,
    ADD COLUMN proposed integer CHECK (proposed > 0),
    ADD COLUMN decision_code text CHECK (decision_code IN ('too_much', 'too_little', 'wrong_stock', 'promotion', 'budget', 'other')),
    ADD COLUMN decision_note text NOT NULL DEFAULT '' CHECK (length(decision_note) <= 500),
    ADD COLUMN p_without double precision CHECK (p_without BETWEEN 0 AND 1),
    ADD COLUMN p_with double precision CHECK (p_with BETWEEN 0 AND 1),
    ADD COLUMN cost numeric(14, 2),
    ADD COLUMN confidence real CHECK (confidence BETWEEN 0 AND 1),
    ADD COLUMN model text NOT NULL DEFAULT 'lines-1',
    ADD COLUMN inputs jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN arrived_at timestamptz,
    ALTER COLUMN device DROP NOT NULL,
    ALTER COLUMN boot DROP NOT NULL,
    ALTER COLUMN seq DROP NOT NULL,
    ADD CHECK ((kind = 'transfer') = (to_site IS NOT NULL)),
    ADD CHECK (to_site <> site);
COMMENT ON COLUMN trace.proposal.device IS 'with boot and seq: the message that caused it; empty where a nightly run did';
COMMENT ON COLUMN trace.proposal.to_site IS 'of a transfer: who receives; site is who gives';
COMMENT ON COLUMN trace.proposal.proposed IS 'what was proposed, where somebody approved another quantity';
COMMENT ON COLUMN trace.proposal.p_without IS 'chance of running out before the next order could come, if nothing is done';
COMMENT ON COLUMN trace.proposal.model IS 'lines-1: the configured lines; others name the version of the forecast';
COMMENT ON COLUMN trace.proposal.inputs IS 'what went in: days of history, time of the stock figure, lines';

DROP INDEX trace.proposal_open;
CREATE UNIQUE INDEX proposal_open ON trace.proposal (site, gtin, kind, coalesce(to_site, '')) WHERE state = 'open';
-- A store orders, or is supplied: never both for one product.
CREATE UNIQUE INDEX proposal_open_order ON trace.proposal (site, gtin) WHERE state = 'open' AND kind IN ('order', 'vmi');
CREATE INDEX proposal_decided ON trace.proposal (brand, decided_at, id) WHERE decided_at IS NOT NULL;

-- Sales a day, counted anew for the last weeks by every run, since events come late; or taken over from the customer.
CREATE TABLE trace.demand_day (
    brand       text NOT NULL REFERENCES trace.brand,
    site        text NOT NULL REFERENCES trace.site,
    gtin        text NOT NULL REFERENCES trace.product,
    day         date NOT NULL,
    units       integer NOT NULL CHECK (units >= 0),
    sold_out    boolean NOT NULL DEFAULT false,
    promoted    boolean NOT NULL DEFAULT false,
    source      text NOT NULL CHECK (source IN ('scans', 'file')),
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (site, gtin, day)
);
CREATE INDEX demand_day_brand ON trace.demand_day (brand, day);
COMMENT ON COLUMN trace.demand_day.sold_out IS 'the shelf was empty and nothing was sold: the day says nothing about demand';

-- The lines of each place by its demand; the newest run's stand, those of trace.stock are the cold start.
CREATE TABLE trace.stock_line (
    site       text NOT NULL,
    gtin       text NOT NULL,
    brand      text NOT NULL REFERENCES trace.brand,
    mean       double precision NOT NULL CHECK (mean >= 0),
    ratio      double precision NOT NULL CHECK (ratio >= 1),
    bias       double precision NOT NULL CHECK (bias BETWEEN 0.8 AND 1.25),
    lead_days  double precision NOT NULL CHECK (lead_days > 0),
    lead_variance double precision NOT NULL CHECK (lead_variance >= 0),
    service    double precision NOT NULL CHECK (service BETWEEN 0 AND 1),
    safety     integer NOT NULL CHECK (safety >= 0),
    warning    integer NOT NULL CHECK (warning >= 0),
    maximum    integer NOT NULL CHECK (maximum >= warning),
    evidence   double precision NOT NULL CHECK (evidence BETWEEN 0 AND 1),
    model      text NOT NULL,
    history_days integer NOT NULL,
    made_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (site, gtin),
    FOREIGN KEY (site, gtin) REFERENCES trace.stock
);
COMMENT ON COLUMN trace.stock_line.evidence IS 'share of the figure that is the place''s own history';

-- What was approved within the lead time and has not come yet, by whom it comes to: five days, or what deliveries taught.
CREATE OR REPLACE VIEW trace.in_transit AS
SELECT coalesce(proposal.to_site, proposal.site) AS site, proposal.gtin,
    sum(proposal.quantity - proposal.arrived)::integer AS quantity
FROM trace.proposal
LEFT JOIN trace.stock_line AS line ON line.site = coalesce(proposal.to_site, proposal.site) AND line.gtin = proposal.gtin
WHERE proposal.state = 'approved' AND proposal.kind IN ('order', 'vmi', 'transfer')
    AND proposal.decided_at > now() - greatest(5, coalesce(line.lead_days + 2 * sqrt(line.lead_variance), 0))
        * interval '1 day'
GROUP BY 1, proposal.gtin;

-- Dated orders of the newest run, for whoever supplies.
CREATE TABLE trace.planned_order (
    brand    text NOT NULL REFERENCES trace.brand,
    site     text NOT NULL,
    gtin     text NOT NULL,
    order_on date NOT NULL,
    quantity integer NOT NULL CHECK (quantity > 0),
    arrives_on date NOT NULL,
    early_on date NOT NULL,
    model    text NOT NULL,
    made_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (site, gtin, order_on),
    FOREIGN KEY (site, gtin) REFERENCES trace.stock
);
CREATE INDEX planned_order_brand ON trace.planned_order (brand, order_on);

-- Suspect goods neither count as stock nor are they given away; and who decides about a place's orders.
ALTER TABLE trace.stock
    ADD COLUMN suspect integer NOT NULL DEFAULT 0 CHECK (suspect >= 0),
    ADD COLUMN managed text NOT NULL DEFAULT 'store' CHECK (managed IN ('store', 'vendor'));
COMMENT ON COLUMN trace.stock.suspect IS 'items on hand that are recalled, held, quarantined or evidence of a diversion';

ALTER TABLE trace.partner_token DROP CONSTRAINT partner_token_scopes_check,
    ADD CONSTRAINT partner_token_scopes_check
        CHECK (cardinality(scopes) > 0 AND scopes <@ '{epcis,orders,channel,check,trips,replenish}'::text[]);

-- Whoever makes, decides or withdraws a proposal, worker, console or run: the brand's subscribers are told with it.
CREATE FUNCTION trace.tell_proposal() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    topic text := CASE WHEN TG_OP = 'INSERT' THEN 'proposal.made' ELSE 'proposal.' || NEW.state END;
BEGIN
    INSERT INTO trace.webhook_delivery (webhook, message, topic, payload)
    SELECT webhook.id, gen_random_uuid(), topic, json_build_object('proposal', json_build_object(
        'id', NEW.id, 'kind', NEW.kind, 'site', NEW.site, 'to_site', NEW.to_site, 'gtin', NEW.gtin,
        'dealer', NEW.dealer, 'quantity', NEW.quantity, 'proposed', coalesce(NEW.proposed, NEW.quantity),
        'need_by', NEW.need_by, 'state', NEW.state, 'decided_by', NEW.decided_by, 'decided_at', NEW.decided_at,
        'decision_code', NEW.decision_code, 'p_without', NEW.p_without, 'p_with', NEW.p_with, 'cost', NEW.cost,
        'confidence', NEW.confidence, 'model', NEW.model, 'reason', NEW.reason))
    FROM trace.webhook
    WHERE webhook.brand = NEW.brand AND webhook.removed_at IS NULL
        AND webhook.topics && ARRAY['*', 'proposal.*', topic];
    RETURN NULL;
END
$$;
CREATE TRIGGER proposal_told AFTER INSERT ON trace.proposal FOR EACH ROW EXECUTE FUNCTION trace.tell_proposal();
CREATE TRIGGER proposal_state_told AFTER UPDATE ON trace.proposal
    FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION trace.tell_proposal();

-- The nights on which a brand was planned anew; what began and has no end was cut off, and waits for the next night.
CREATE TABLE trace.replenish_night (
    brand    text NOT NULL REFERENCES trace.brand,
    night    date NOT NULL,
    began_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz,
    report   text,
    PRIMARY KEY (brand, night)
);
