-- Up to which moment the present tables of a brand's channel have followed its versions. Rows are only added.
CREATE TABLE trace.channel_refresh (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    brand       text NOT NULL REFERENCES trace.brand,
    reached     timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX channel_refresh_brand ON trace.channel_refresh (brand, reached DESC);
COMMENT ON COLUMN trace.channel_refresh.reached IS 'versions whose day came until then are in the present tables';
