-- A message of a case that cannot be worded is tried again while others pass, and kept with its reason once it is given up.
ALTER TABLE trace.case_message
    ADD COLUMN state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'dead')),
    ADD COLUMN attempts integer NOT NULL DEFAULT 0,
    ADD COLUMN due_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ADD COLUMN error text;
