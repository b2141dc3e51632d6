// The rows of one partition, in SQLite, and the questions that a transition asks of them: what the kernel calls a
// shelf (durable_primitives/kernel/apply.py says what each method means).
//
// A row written costs a thousand times a row read, and each index entry is one.  So: no table has a hidden row id,
// indexes are few and cover only the rows that need them, records are written once per commit, and what is over its
// time is found by a walk.

import { NEVER, RECORD, toBase64, toBytes } from "./wire.js";

// What one row may hold on Cloudflare.  The local runtime would take more, so it is looked at here.
const ROW_BYTES = 2_000_000;
const PART_BYTES = 1_500_000;
// A reply stays small enough for the memory of an object.
export const REPLY_BYTES = 8 << 20;
const MAX_LETTERS = 10_000;

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS instance (
    instance TEXT PRIMARY KEY, alarm INTEGER, purge_at INTEGER, record TEXT NOT NULL, data BLOB NOT NULL
  ) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS instance_alarm ON instance (alarm) WHERE alarm IS NOT NULL;
  CREATE TABLE IF NOT EXISTS item (
    instance TEXT NOT NULL, due INTEGER NOT NULL, rank INTEGER NOT NULL, seq INTEGER NOT NULL,
    segment INTEGER NOT NULL, at INTEGER NOT NULL, attempt INTEGER NOT NULL, delivery INTEGER NOT NULL,
    blocks INTEGER NOT NULL CHECK (blocks IN (0, 1)), lane TEXT, id TEXT, error TEXT, payload BLOB NOT NULL,
    PRIMARY KEY (instance, due, rank, seq)
  ) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS item_lane ON item (instance, lane, seq) WHERE lane IS NOT NULL;
  CREATE TABLE IF NOT EXISTS receipt (
    instance TEXT NOT NULL, id TEXT NOT NULL, seq INTEGER NOT NULL, position INTEGER NOT NULL, due INTEGER NOT NULL,
    rank INTEGER NOT NULL, segment INTEGER NOT NULL, settlement TEXT, expires_at INTEGER,
    PRIMARY KEY (instance, id),
    CONSTRAINT what_is_settled_expires CHECK ((settlement IS NULL) = (expires_at IS NULL))
  ) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS receipt_without_item ON receipt (instance, segment) WHERE expires_at IS NULL AND seq = 0;
  CREATE TABLE IF NOT EXISTS letter (
    instance TEXT NOT NULL, id TEXT NOT NULL, lane TEXT, rank INTEGER NOT NULL, at INTEGER NOT NULL,
    failed_at INTEGER NOT NULL, attempts INTEGER NOT NULL, error TEXT NOT NULL, count INTEGER NOT NULL,
    expires_at INTEGER NOT NULL, parts INTEGER NOT NULL, PRIMARY KEY (instance, id)
  ) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS letter_part (
    instance TEXT NOT NULL, id TEXT NOT NULL, part INTEGER NOT NULL, payload BLOB NOT NULL,
    PRIMARY KEY (instance, id, part)
  ) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS upload (
    name TEXT NOT NULL, part INTEGER NOT NULL, at INTEGER NOT NULL, payload BLOB NOT NULL, PRIMARY KEY (name, part)
  ) WITHOUT ROWID;
`;
const AWAY = "SELECT value FROM json_each(?2)";

const encoder = new TextEncoder();
const bytesOf = (part) => (typeof part === "string" ? encoder.encode(part).byteLength : part?.byteLength ?? 8);

export class TooLargeError extends Error {
  constructor(size, limit) {
    super(`a row may hold ${limit} bytes, this one has ${size}`);
    Object.assign(this, { size, limit });
  }
}

function fits(...parts) {
  const size = parts.reduce((sum, part) => sum + bytesOf(part), 0);
  if (size > ROW_BYTES) throw new TooLargeError(size, ROW_BYTES);
}

export class Rows {
  constructor(sql) {
    this.sql = sql;
    this.written = 0; // what is paid for
    for (const statement of SCHEMA.split(";").filter((text) => text.trim())) {
      sql.exec(statement);
    }
  }

  all(query, ...values) {
    const cursor = this.sql.exec(query, ...values);
    const rows = cursor.toArray();
    this.written += cursor.rowsWritten;
    return rows;
  }

  first(query, ...values) {
    return this.all(query, ...values)[0] ?? null;
  }

  // How many rows went, not how many index entries.
  run(query, ...values) {
    return this.all(`${query} RETURNING 1`, ...values).length;
  }

  // Records.

  record(instance) {
    const row = this.first("SELECT record, data FROM instance WHERE instance = ?", instance);
    return row === null ? null : readRecord(row);
  }

  store(record, alarm) {
    const text = JSON.stringify(RECORD.map((name) => (name === "data" ? null : record[name] ?? null)));
    const data = toBytes(record.data);
    fits(record.instance, text, data);
    this.all(
      `INSERT INTO instance (instance, alarm, purge_at, record, data) VALUES (?, ?, ?, ?, ?)
       ON CONFLICT (instance) DO UPDATE SET alarm = excluded.alarm, purge_at = excluded.purge_at,
         record = excluded.record, data = excluded.data`,
      record.instance, alarm, record.purge_at, text, data,
    );
  }

  dueInstances(now, limit) {
    return this.all("SELECT instance, alarm FROM instance WHERE alarm <= ? ORDER BY alarm LIMIT ?", now, limit);
  }

  nextAlarm() {
    return this.first("SELECT alarm FROM instance WHERE alarm IS NOT NULL ORDER BY alarm LIMIT 1")?.alarm ?? null;
  }

  scan(prefix, after, limit) {
    const found = [];
    const rows = this.sql.exec(
      "SELECT instance, record, data FROM instance WHERE instance > ?1 AND instance >= ?2 ORDER BY instance LIMIT ?3",
      after, prefix, limit,
    );
    for (const row of rows) {
      if (!row.instance.startsWith(prefix)) break;
      found.push(readRecord(row));
    }
    return found;
  }

  erase({ instance }) {
    for (const table of ["item", "receipt", "letter", "letter_part"]) {
      this.all(`DELETE FROM ${table} WHERE instance = ?`, instance);
    }
  }

  // Receipts.

  receipt({ instance }, id) {
    return this.first("SELECT * FROM receipt WHERE instance = ? AND id = ?", instance, id);
  }

  putReceipt({ instance }, id, seq, position, due, rank, segment) {
    this.all(
      "INSERT OR REPLACE INTO receipt VALUES (?, ?, ?, ?, ?, ?, ?, NULL, NULL)",
      instance, id, seq, position, due, rank, segment,
    );
  }

  remember(record, id) {
    this.putReceipt(record, id, 0, 0, 0, 0, record.segment);
  }

  settleReceipt({ instance }, id, settlement, expiresAt) {
    this.all(
      "UPDATE receipt SET settlement = ?, expires_at = ? WHERE instance = ? AND id = ?",
      settlement, expiresAt, instance, id,
    );
  }

  // Items.

  accept(record, fresh, at, rank, seq, position) {
    const payload = toBytes(fresh.payload);
    fits(record.instance, fresh.lane, fresh.id, payload);
    this.all(
      "INSERT INTO item VALUES (?, ?, ?, ?, ?, ?, 0, 0, ?, ?, ?, NULL, ?)",
      record.instance, fresh.due, rank, seq, record.segment, at, fresh.blocks ? 1 : 0, fresh.lane, fresh.id,
      payload,
    );
    if (fresh.id !== null) this.putReceipt(record, fresh.id, seq, position, fresh.due, rank, record.segment);
  }

  settle(record, item, settlement, expiresAt) {
    this.all(
      "DELETE FROM item WHERE instance = ? AND due = ? AND rank = ? AND seq = ?",
      record.instance, item.due, item.rank, item.seq,
    );
    if (item.id !== null) this.settleReceipt(record, item.id, settlement, expiresAt);
  }

  // The payload stays as it is.
  move({ instance }, item, moved) {
    this.all(
      `UPDATE item SET due = ?, attempt = ?, delivery = ?, error = ?, blocks = ?
       WHERE instance = ? AND due = ? AND rank = ? AND seq = ?`,
      moved.due, moved.attempt, moved.delivery, moved.error, moved.blocks ? 1 : 0,
      instance, item.due, item.rank, item.seq,
    );
    if (item.id !== null && item.due !== moved.due) {
      this.all("UPDATE receipt SET due = ? WHERE instance = ? AND id = ?", moved.due, instance, item.id);
    }
  }

  findItem({ instance }, due, rank, seq) {
    return this.first(
      "SELECT * FROM item WHERE instance = ? AND due = ? AND rank = ? AND seq = ?", instance, due, rank, seq,
    );
  }

  payload(record, { due, rank, seq }) {
    return new Uint8Array(this.findItem(record, due, rank, seq).payload);
  }

  // Within one due time and rank the key knows it; there are few of those.
  oldest({ instance, taken }) {
    const away = JSON.stringify(taken);
    const places = "SELECT due, rank FROM item WHERE instance = ? AND (due, rank) > (?, ?) ORDER BY due, rank LIMIT 1";
    let [oldest, place] = [null, this.first(places, instance, -1, 0)];
    while (place !== null) {
      const seq = this.first(
        `SELECT seq FROM item WHERE instance = ?1 AND due = ?3 AND rank = ?4 AND seq NOT IN (${AWAY})
         ORDER BY seq LIMIT 1`,
        instance, away, place.due, place.rank,
      )?.seq;
      if (seq !== undefined && (oldest === null || seq < oldest.seq)) oldest = { ...place, seq };
      place = this.first(places, instance, place.due, place.rank);
    }
    return oldest === null ? null : this.findItem({ instance }, oldest.due, oldest.rank, oldest.seq);
  }

  laneRank({ instance }, lane) {
    return this.first("SELECT max(rank) AS rank FROM item WHERE instance = ? AND lane = ?", instance, lane).rank;
  }

  itemDue({ instance }, after) {
    return this.first(
      "SELECT due FROM item WHERE instance = ? AND due > ? AND due < ? ORDER BY due LIMIT 1", instance, after, NEVER,
    )?.due ?? null;
  }

  // Those that waited and are due, then those that are ready; nothing overtakes its lane.
  take({ instance, taken }, now, limit) {
    const away = JSON.stringify(taken);
    const found = [];
    let bytes = 0;
    const rows = (query, ...values) => {
      for (const row of this.sql.exec(query, ...values)) {
        if (found.length >= limit || (bytes && bytes + row.payload.byteLength > REPLY_BYTES)) return;
        found.push(row);
        bytes += row.payload.byteLength + 1;
      }
    };
    rows(
      `SELECT * FROM item WHERE instance = ?1 AND due > 0 AND due <= ?3 AND seq NOT IN (${AWAY}) AND (
         lane IS NULL OR blocks = 0 OR NOT EXISTS (
           SELECT 1 FROM item AS earlier WHERE earlier.instance = ?1 AND earlier.lane = item.lane
             AND earlier.seq < item.seq AND earlier.seq NOT IN (${AWAY})))
       ORDER BY due, rank, seq LIMIT ?4`,
      instance, away, now, limit,
    );
    if (found.length < limit) {
      rows(
        `SELECT * FROM item WHERE instance = ?1 AND due = 0 AND seq NOT IN (${AWAY}) AND (
           lane IS NULL OR NOT EXISTS (
             SELECT 1 FROM item AS earlier WHERE earlier.instance = ?1 AND earlier.lane = item.lane
               AND earlier.seq < item.seq AND earlier.due > 0 AND earlier.blocks = 1
               AND earlier.seq NOT IN (${AWAY})))
         ORDER BY rank, seq LIMIT ?3`,
        instance, away, limit - found.length,
      );
    }
    return found;
  }

  items(instance, segment, after, limit) {
    const found = [];
    let bytes = 0;
    // The keys first: what is sorted holds no payload.
    const keys = this.all(
      "SELECT due, rank, seq FROM item WHERE instance = ? AND segment = ? AND seq > ? ORDER BY seq LIMIT ?",
      instance, segment, after, limit,
    );
    for (const { due, rank, seq } of keys) {
      const row = this.findItem({ instance }, due, rank, seq);
      if (bytes && bytes + row.payload.byteLength > REPLY_BYTES) return [found, true];
      found.push(row);
      bytes += row.payload.byteLength + 1;
    }
    return [found, false];
  }

  tally({ instance, taken }, now) {
    const counts = this.first(
      `SELECT count(*) FILTER (WHERE free AND due <= ?3) AS ready,
         count(*) FILTER (WHERE free AND due > ?3 AND attempt = 0) AS delayed,
         count(*) FILTER (WHERE free AND due > ?3 AND attempt > 0) AS retrying, min(at) AS oldest_at
       FROM (SELECT due, attempt, at, seq NOT IN (${AWAY}) AS free FROM item WHERE instance = ?1)`,
      instance, JSON.stringify(taken), now,
    );
    const dead = this.first("SELECT count(*) AS n FROM letter WHERE instance = ?", instance).n;
    return [counts.ready, counts.delayed, counts.retrying, dead, counts.oldest_at];
  }

  // All items of some segments but those that are in hand, and their live receipts.
  empty({ instance }, first, last, taken, settlement, expiresAt) {
    const away = JSON.stringify(taken);
    this.all(
      `UPDATE receipt SET settlement = ?5, expires_at = ?6
       WHERE instance = ?1 AND expires_at IS NULL AND id IN (
         SELECT id FROM item WHERE instance = ?1 AND segment BETWEEN ?3 AND ?4 AND seq NOT IN (${AWAY}))`,
      instance, away, first, last, settlement, expiresAt,
    );
    this.all(
      `UPDATE receipt SET settlement = ?4, expires_at = ?5
       WHERE instance = ?1 AND segment BETWEEN ?2 AND ?3 AND expires_at IS NULL AND seq = 0`,
      instance, first, last, settlement, expiresAt,
    );
    return this.run(
      `DELETE FROM item WHERE instance = ?1 AND segment BETWEEN ?3 AND ?4 AND seq NOT IN (${AWAY})`,
      instance, away, first, last,
    );
  }

  // Dead letters.  A batch may be longer than a row, a reply, and a request: then it comes and goes in parts.

  letter({ instance }, id) {
    const row = this.first("SELECT * FROM letter WHERE instance = ? AND id = ?", instance, id);
    return row === null ? null : { ...row, payload: this.#whole(row), parts: 0 };
  }

  letterToSend({ instance }, id) {
    const row = this.first("SELECT * FROM letter WHERE instance = ? AND id = ?", instance, id);
    return row === null ? null : this.#toSend(row);
  }

  letterPart(instance, id, part) {
    return this.first(
      "SELECT payload FROM letter_part WHERE instance = ? AND id = ? AND part = ?", instance, id, part,
    )?.payload ?? null;
  }

  letters(instance, after, limit) {
    const found = [];
    let bytes = 0;
    const rows = this.all(
      "SELECT * FROM letter WHERE instance = ? AND id > ? ORDER BY id LIMIT ?", instance, after, limit,
    );
    for (const row of rows) {
      if (bytes > REPLY_BYTES) return [found, true];
      found.push(this.#toSend(row));
      bytes += found.at(-1).payload.byteLength + 1;
    }
    return [found, false];
  }

  // With its payload, or with the number of parts in which to ask for it.
  #toSend(row) {
    if (row.parts * PART_BYTES > REPLY_BYTES) return { ...row, payload: new Uint8Array(0) };
    return { ...row, payload: this.#whole(row), parts: 0 };
  }

  #whole(row) {
    const parts = this.all(
      "SELECT payload FROM letter_part WHERE instance = ? AND id = ? ORDER BY part", row.instance, row.id,
    );
    const payload = new Uint8Array(parts.reduce((sum, part) => sum + part.payload.byteLength, 0));
    let at = 0;
    for (const part of parts) {
      payload.set(new Uint8Array(part.payload), at);
      at += part.payload.byteLength;
    }
    return payload;
  }

  keepLetter(record, letter) {
    this.dropLetter(record, letter.id);
    fits(record.instance, letter.id, letter.lane, letter.error);
    const { payload } = letter;
    const parts = payload instanceof Uint8Array
      ? this.#keepParts(record, letter.id, payload) : this.#takeUpload(record, letter.id, payload);
    this.all(
      "INSERT INTO letter VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      record.instance, letter.id, letter.lane, letter.rank, letter.at, letter.failed_at, letter.attempts, letter.error,
      letter.count, letter.expires_at, parts,
    );
  }

  #keepParts({ instance }, id, payload) {
    let parts = 0;
    for (let at = 0; at < payload.length; at += PART_BYTES) {
      const part = payload.slice(at, at + PART_BYTES);
      fits(instance, id, part);
      this.all("INSERT INTO letter_part VALUES (?, ?, ?, ?)", instance, id, parts, part);
      parts += 1;
    }
    return parts;
  }

  #takeUpload({ instance }, id, { name, parts }) {
    fits(instance, id, { byteLength: PART_BYTES });
    const query = "INSERT INTO letter_part SELECT ?, ?, part, payload FROM upload WHERE name = ?";
    if (this.run(query, instance, id, name) !== parts) throw new Error("what was sent ahead is no longer here");
    this.all("DELETE FROM upload WHERE name = ?", name);
    return parts;
  }

  upload(name, part, payload, now) {
    if (payload.length > PART_BYTES) throw new TooLargeError(payload.length, PART_BYTES);
    this.all("INSERT OR REPLACE INTO upload VALUES (?, ?, ?, ?)", name, part, now, payload);
  }

  dropUploads(until) {
    this.all("DELETE FROM upload WHERE at <= ?", until);
  }

  dropLetter({ instance }, id) {
    this.all("DELETE FROM letter_part WHERE instance = ? AND id = ?", instance, id);
    return this.run("DELETE FROM letter WHERE instance = ? AND id = ?", instance, id) > 0;
  }

  // Retention.

  oldLetters(now, limit) {
    const old = this.all("SELECT instance, id FROM letter WHERE expires_at <= ? LIMIT ?", now, limit);
    const full = this.all(
      "SELECT instance, count(*) - ?1 AS excess FROM letter WHERE expires_at > ?2 GROUP BY instance HAVING count(*) > ?1",
      MAX_LETTERS, now,
    );
    for (const { instance, excess } of full) {
      if (old.length < limit) {
        old.push(...this.all(
          "SELECT instance, id FROM letter WHERE instance = ? AND expires_at > ? ORDER BY failed_at, id LIMIT ?",
          instance, now, Math.min(excess, limit - old.length),
        ));
      }
    }
    return old;
  }

  // A walk over the next `most` receipts: how many went, and where to go on (null: it came to the end).
  sweepReceipts(from, now, limit, most) {
    return this.#walk(
      `SELECT instance, id, expires_at AS over FROM receipt WHERE (instance, id) > (?, ?) ORDER BY instance, id LIMIT ?`,
      from ?? ["", ""], most, now, limit,
      (row) => this.all("DELETE FROM receipt WHERE instance = ? AND id = ?", row.instance, row.id),
      (row) => [row.instance, row.id],
    );
  }

  sweepInstances(from, now, limit, most) {
    return this.#walk(
      `SELECT instance, CASE WHEN EXISTS (SELECT 1 FROM letter WHERE letter.instance = instance.instance) THEN NULL
         ELSE purge_at END AS over
       FROM instance WHERE instance > ? ORDER BY instance LIMIT ?`,
      from ?? [""], most, now, limit,
      (row) => {
        this.erase(row);
        this.all("DELETE FROM instance WHERE instance = ?", row.instance);
      },
      (row) => [row.instance],
    );
  }

  #walk(query, from, most, now, limit, remove, place) {
    const rows = this.all(query, ...from, most);
    let gone = 0;
    for (const row of rows) {
      if (row.over === null || row.over > now) continue;
      if (gone === limit) return [gone, from];
      remove(row);
      gone += 1;
      from = place(row);
    }
    return [gone, rows.length < most ? null : place(rows.at(-1))];
  }
}

function readRecord(row) {
  const values = JSON.parse(row.record);
  const record = Object.fromEntries(RECORD.map((name, index) => [name, values[index]]));
  record.data = toBase64(row.data);
  return record;
}
