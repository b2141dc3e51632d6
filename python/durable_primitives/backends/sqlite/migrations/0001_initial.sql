-- Times are milliseconds since the epoch.  `nk` stands for a namespace.  `ik` stands for one life of an instance and is
-- never used again, so whatever outlives that life (receipts, until they expire) is seen by nobody.

CREATE TABLE durable_namespace (
  nk INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE durable_instance (
  ik INTEGER PRIMARY KEY AUTOINCREMENT,
  nk INTEGER NOT NULL,
  instance TEXT NOT NULL,
  alarm INTEGER,
  status TEXT NOT NULL,
  version INTEGER NOT NULL CHECK (version >= 0),
  generation INTEGER NOT NULL CHECK (generation >= 1),
  held INTEGER NOT NULL CHECK (held IN (0, 1)),
  dues TEXT NOT NULL,
  linger_ms INTEGER,
  purge_at INTEGER,
  token INTEGER NOT NULL CHECK (token >= 0),
  owner TEXT,
  lease_until INTEGER NOT NULL,
  deliveries INTEGER NOT NULL CHECK (deliveries >= 0),
  taken TEXT NOT NULL,
  cancels TEXT NOT NULL,
  sequence INTEGER NOT NULL CHECK (sequence >= 0),
  count INTEGER NOT NULL CHECK (count >= 0),
  segment INTEGER NOT NULL,
  segment_count INTEGER NOT NULL CHECK (segment_count >= 0),
  segment_first_at INTEGER NOT NULL,
  segment_last_at INTEGER NOT NULL,
  finished INTEGER NOT NULL CHECK (finished >= 0),
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  data BLOB NOT NULL,
  UNIQUE (nk, instance),
  CONSTRAINT the_alarm_of_a_leased_instance_is_the_end_of_its_lease CHECK (owner IS NULL OR alarm IS lease_until),
  CONSTRAINT what_has_work_is_not_purged CHECK (purge_at IS NULL OR (owner IS NULL AND held = 0 AND count = 0))
) STRICT;

CREATE INDEX durable_instance_alarm ON durable_instance (nk, alarm) WHERE alarm IS NOT NULL;

CREATE INDEX durable_instance_purge ON durable_instance (nk, purge_at) WHERE purge_at IS NOT NULL;

-- Rows arrive at the end of one tree, whatever their instance: a batch for many instances writes few pages.
-- The payload stands last, so that nothing else is behind it on an overflow page.
CREATE TABLE durable_item (
  n INTEGER PRIMARY KEY,
  ik INTEGER NOT NULL,
  due INTEGER NOT NULL CHECK (due >= 0),
  rank INTEGER NOT NULL,
  seq INTEGER NOT NULL CHECK (seq >= 1),
  segment INTEGER NOT NULL DEFAULT 0,
  at INTEGER NOT NULL,
  attempt INTEGER NOT NULL DEFAULT 0 CHECK (attempt >= 0),
  delivery INTEGER NOT NULL DEFAULT 0 CHECK (delivery >= 0),
  blocks INTEGER NOT NULL DEFAULT 1 CHECK (blocks IN (0, 1)),
  lane TEXT,
  id TEXT,
  error TEXT,
  payload BLOB NOT NULL
) STRICT;

CREATE UNIQUE INDEX durable_item_order ON durable_item (ik, due, rank, seq);

-- 1152921504606846976 is `NEVER`: the events of a buffer, which wait for their instance.
CREATE INDEX durable_item_segment ON durable_item (ik, segment, seq)
  WHERE segment > 0 OR due >= 1152921504606846976;

CREATE INDEX durable_item_lane ON durable_item (ik, lane, seq) WHERE lane IS NOT NULL;

CREATE INDEX durable_item_waiting ON durable_item (ik, lane, seq) WHERE lane IS NOT NULL AND due > 0;

CREATE INDEX durable_item_rank ON durable_item (ik, lane, rank) WHERE lane IS NOT NULL AND rank <> 0;

-- By id first: ids that rise with time, as ours do, arrive at the end of the tree.
CREATE TABLE durable_receipt (
  id TEXT NOT NULL,
  ik INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  position INTEGER NOT NULL,
  due INTEGER NOT NULL DEFAULT 0,
  rank INTEGER NOT NULL DEFAULT 0,
  segment INTEGER NOT NULL DEFAULT 0,
  settlement TEXT CHECK (settlement IN ('done', 'dead', 'cancelled', 'cleared', 'expired')),
  expires_at INTEGER,
  nk INTEGER,
  PRIMARY KEY (id, ik),
  CONSTRAINT what_is_settled_expires CHECK (
    (settlement IS NULL) = (expires_at IS NULL) AND (nk IS NULL) = (expires_at IS NULL)
  )
) STRICT, WITHOUT ROWID;

CREATE INDEX durable_receipt_expiry ON durable_receipt (nk, expires_at) WHERE expires_at IS NOT NULL;

-- Live receipts that cannot be found through the items of a queue.
CREATE INDEX durable_receipt_segment ON durable_receipt (ik, segment)
  WHERE expires_at IS NULL AND (segment > 0 OR seq = 0 OR due >= 1152921504606846976);

CREATE TABLE durable_letter (
  nk INTEGER NOT NULL,
  ik INTEGER NOT NULL,
  id TEXT NOT NULL,
  lane TEXT,
  rank INTEGER NOT NULL,
  at INTEGER NOT NULL,
  failed_at INTEGER NOT NULL,
  attempts INTEGER NOT NULL,
  error TEXT NOT NULL,
  count INTEGER NOT NULL CHECK (count >= 0),
  expires_at INTEGER NOT NULL,
  payload BLOB NOT NULL,
  PRIMARY KEY (ik, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX durable_letter_age ON durable_letter (nk, ik, failed_at);

CREATE INDEX durable_letter_expiry ON durable_letter (nk, expires_at);
