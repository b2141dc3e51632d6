-- Rows are the bill: no rowids, one index, and an event with its receipt is one row.
-- `ik` stands for one life of an instance.  An event is live while it has a payload; then only its receipt is left.
-- `due` is at most 2^52, for in JavaScript every number is a double.
CREATE TABLE durable_schema (version INTEGER PRIMARY KEY);
CREATE TABLE durable_instance (
  name TEXT PRIMARY KEY,
  ik INTEGER NOT NULL,
  record BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE durable_event (
  ik INTEGER NOT NULL,
  key TEXT NOT NULL,
  seq INTEGER NOT NULL,
  position INTEGER NOT NULL,
  due INTEGER NOT NULL,
  rank INTEGER NOT NULL,
  segment INTEGER NOT NULL,
  at INTEGER NOT NULL,
  lane TEXT,
  attempt INTEGER NOT NULL,
  delivery INTEGER NOT NULL,
  error TEXT,
  blocks INTEGER NOT NULL,
  payload BLOB,
  settlement TEXT,
  expires_at INTEGER,
  PRIMARY KEY (ik, key)
) WITHOUT ROWID;
CREATE INDEX durable_event_live ON durable_event (ik, due, rank, seq) WHERE payload IS NOT NULL;
CREATE TABLE durable_letter (
  ik INTEGER NOT NULL,
  id TEXT NOT NULL,
  part INTEGER NOT NULL,
  payload BLOB NOT NULL,
  lane TEXT,
  rank INTEGER,
  at INTEGER,
  failed_at INTEGER,
  attempts INTEGER,
  error TEXT,
  count INTEGER,
  expires_at INTEGER,
  PRIMARY KEY (ik, id, part)
) WITHOUT ROWID;
INSERT INTO durable_schema VALUES (1);
