-- Where a code leads besides the page that verifies it, and that somebody looked it up.

CREATE TABLE trace.public_link (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    brand      text NOT NULL REFERENCES trace.brand,
    gtin       text REFERENCES trace.product,
    link_type  text NOT NULL CHECK (link_type ~ '^gs1:[A-Za-z]{1,40}$' AND link_type <> 'gs1:verificationService'),
    language   text CHECK (language IN ('zh', 'en')),
    target     text NOT NULL CHECK (target ~ '^https://[A-Za-z0-9]' AND length(target) <= 2000),
    title      text NOT NULL CHECK (length(title) BETWEEN 1 AND 200),
    is_default boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    removed_at timestamptz
);
COMMENT ON COLUMN trace.public_link.gtin IS 'empty: every product of the brand that has no such link of its own';
COMMENT ON COLUMN trace.public_link.language IS 'empty: for readers of any language';
COMMENT ON COLUMN trace.public_link.target IS 'may hold {gtin}, {lot} and {serial} behind the host';
CREATE UNIQUE INDEX public_link_type ON trace.public_link
    (brand, coalesce(gtin, ''), link_type, coalesce(language, '')) WHERE removed_at IS NULL;
CREATE UNIQUE INDEX public_link_default ON trace.public_link
    (brand, coalesce(gtin, ''), coalesce(language, '')) WHERE removed_at IS NULL AND is_default;

-- Consumers' look-ups of genuine codes: the hour and no place, for a code that many people look up is being copied.
CREATE TABLE trace.lookup (
    unit         text NOT NULL,
    visitor      bytea NOT NULL CHECK (length(visitor) = 8),
    brand        text NOT NULL REFERENCES trace.brand,
    looked_up_at timestamptz NOT NULL CHECK (looked_up_at = date_trunc('hour', looked_up_at, 'UTC')),
    PRIMARY KEY (unit, visitor)
);
CREATE INDEX lookup_age ON trace.lookup USING brin (looked_up_at);
COMMENT ON COLUMN trace.lookup.visitor IS
    'of the address under a key that lives a day and in memory only: tells two visitors of a day apart, and no more';
