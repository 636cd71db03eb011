-- name: add_boot
INSERT OR IGNORE INTO boot (boot, made_at) VALUES (:boot, :now)

-- name: boot_id
SELECT id FROM boot WHERE boot = :boot

-- name: prune_boots
DELETE FROM boot WHERE NOT EXISTS (SELECT 1 FROM event WHERE boot_id = boot.id)

-- name: count_waiting
SELECT count(*) FROM event WHERE state = 0

-- name: add_event
INSERT INTO event (boot_id, seq, kind, body, captured_at) VALUES (:boot_id, :seq, :kind, :body, :captured_at)

-- name: replace_event
UPDATE event SET body = :body, captured_at = :captured_at WHERE id = :id AND state = 0

-- name: add_captured
INSERT OR IGNORE INTO captured (once) VALUES (:once)

-- name: prune_captured
DELETE FROM captured WHERE id <= (SELECT max(id) FROM captured) - :keep

-- name: put_note
INSERT INTO note (name, value) VALUES (:name, :value) ON CONFLICT (name) DO UPDATE SET value = excluded.value

-- name: drop_note
DELETE FROM note WHERE name = :name

-- name: notes
SELECT name, value FROM note WHERE name >= :prefix AND name < :end

-- name: waiting
SELECT event.id, boot.boot, event.seq, event.kind, event.body
FROM event JOIN boot ON boot.id = event.boot_id
WHERE event.state = 0 AND event.id > :after AND event.id NOT IN (SELECT value FROM json_each(:except))
ORDER BY event.id LIMIT :limit

-- name: newest
SELECT coalesce(max(id), 0) FROM event

-- name: commit_range
UPDATE event SET state = 1, settled_at = :now
WHERE boot_id = :boot_id AND seq BETWEEN :first AND :last AND state = 0
RETURNING id

-- name: refuse_range
UPDATE event SET state = 2, settled_at = :now, reason = :reason
WHERE boot_id = :boot_id AND seq BETWEEN :first AND :last AND state = 0
RETURNING id

-- name: reopen_range
UPDATE event SET state = 0, settled_at = NULL
WHERE boot_id = :boot_id AND seq BETWEEN :first AND :last AND state = 1
RETURNING id

-- name: present
SELECT seq FROM event WHERE boot_id = :boot_id AND seq BETWEEN :first AND :last ORDER BY seq

-- name: last_of_earlier_boots
SELECT event.id, boot.boot, event.seq, event.kind, event.body
FROM boot JOIN event ON event.boot_id = boot.id
    AND event.seq = (SELECT max(seq) FROM event AS other WHERE other.boot_id = boot.id)
WHERE boot.id <> :boot_id AND event.state > 0
ORDER BY boot.id DESC LIMIT :limit

-- name: prune_old
-- "state > 0" lets the partial index of settled events serve; SQLite does not infer it from "state = 1".
DELETE FROM event WHERE id IN (
    SELECT id FROM event WHERE state > 0 AND state = 1 AND settled_at < :before ORDER BY settled_at LIMIT :most
)

-- name: prune_many
DELETE FROM event WHERE id IN (
    SELECT id FROM event WHERE state > 0 AND state = :state ORDER BY settled_at
    LIMIT max(0, min(:most, (SELECT count(*) FROM event WHERE state > 0 AND state = :state) - :keep))
)

-- name: summary
SELECT
    coalesce(sum(state = 0), 0), coalesce(sum(state = 1), 0), coalesce(sum(state = 2), 0),
    min(CASE WHEN state = 0 THEN captured_at END)
FROM event

-- name: tombstones
SELECT boot.boot, event.seq, event.kind, event.reason, event.settled_at, event.body
FROM event JOIN boot ON boot.id = event.boot_id
WHERE event.state > 0 AND event.state = 2 ORDER BY event.settled_at DESC, event.id DESC LIMIT :limit
