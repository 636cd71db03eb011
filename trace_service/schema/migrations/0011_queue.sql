-- Work for events that follow one another stands in one row: queueing them costs next to nothing beside storing them.
ALTER TABLE landing.work ADD COLUMN following timestamptz[] NOT NULL DEFAULT '{}';
COMMENT ON COLUMN landing.work.following IS 'capture times of the events numbered seq + 1, seq + 2, … of the same kind';

CREATE VIEW landing.queued AS
SELECT work.id, work.kind, work.device, work.boot, work.seq + each.nth - 1 AS seq, each.ts, work.enqueued_at
FROM landing.work CROSS JOIN LATERAL unnest(work.ts || work.following) WITH ORDINALITY AS each (ts, nth);
COMMENT ON VIEW landing.queued IS 'every event that the trace service has not dealt with yet, a row each';
