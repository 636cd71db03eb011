-- state: 0 waits for the application's acknowledgement, 1 acknowledged, 2 refused (a tombstone)
CREATE TABLE boot (
    id      INTEGER PRIMARY KEY,
    boot    TEXT NOT NULL UNIQUE,
    made_at INTEGER NOT NULL
) STRICT;

CREATE TABLE event (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    boot_id     INTEGER NOT NULL REFERENCES boot,
    seq         INTEGER NOT NULL,
    kind        TEXT NOT NULL,
    body        BLOB NOT NULL,
    captured_at INTEGER NOT NULL,
    state       INTEGER NOT NULL DEFAULT 0,
    settled_at  INTEGER,
    reason      TEXT,
    UNIQUE (boot_id, seq)
) STRICT;
CREATE INDEX event_waiting ON event (id) WHERE state = 0;
CREATE INDEX event_settled ON event (state, settled_at) WHERE state > 0;

-- What was captured from a photo, so that one read again after a crash is not captured twice.
CREATE TABLE captured (
    id   INTEGER PRIMARY KEY AUTOINCREMENT,
    once TEXT NOT NULL UNIQUE
) STRICT;

-- What an agent wants to find again after a restart: the current order, the count of a channel.
CREATE TABLE note (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
