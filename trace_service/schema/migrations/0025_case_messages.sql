-- Messages of cases that say why: queued in the transaction that they tell of, worded by the process that delivers
-- messages, because that takes time in which no alert should wait; and what is told of the same cases behind them.
CREATE TABLE trace.case_message (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    brand     text NOT NULL REFERENCES trace.brand,
    case_id   bigint NOT NULL REFERENCES trace.case_file,
    topic     text NOT NULL,
    payload   json NOT NULL,
    actor     text,
    explained boolean NOT NULL,
    queued_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX case_message_case ON trace.case_message (case_id);
COMMENT ON COLUMN trace.case_message.explained IS 'whether it says why; otherwise it waits for one that does';
