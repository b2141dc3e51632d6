// What a transition does: durable_primitives/kernel/apply.py, word by word, in the same order.

import { NEVER } from "./wire.js";

const TERMINATED = "terminated";
const TOMBSTONE_MS = 24 * 60 * 60 * 1000;
const [ITEMS_DUE, RECHECK_DUE, WINDOW_DUE, FLUSH_DUE] = ["items", "recheck", "window", "flush"];

export function alarmOf(record) {
  if (record.owner !== null) return record.lease_until;
  if (record.held) return record.dues[RECHECK_DUE] ?? null;
  const dues = Object.values(record.dues);
  return dues.length ? Math.min(...dues) : null;
}

const isLive = (record) => record !== null && record.status !== TERMINATED;
// A receipt whose window is over counts for nothing, swept or not.
const valid = (receipt, at) => (receipt === null || (receipt.expires_at !== null && receipt.expires_at <= at) ? null : receipt);
const known = (fresh, record, rows, at) =>
  record === null || fresh.id === null || fresh.fresh ? null : valid(rows.receipt(record, fresh.id), at);

function refusal(t, record, rows) {
  const guard = t.guard;
  if (guard !== null) {
    const absent = record === null;
    if (guard.token !== null && (absent || record.owner === null || record.token !== guard.token)) return "fenced";
    if (guard.generation !== null && record?.generation !== guard.generation) return "fenced";
    if (guard.exists !== null && guard.exists !== isLive(record)) return "conflict";
    if (guard.version !== null && record?.version !== guard.version) return "conflict";
    if (guard.segment !== null && record?.segment !== guard.segment) return "conflict";
    if (guard.room !== null && t.on_full === "reject" && t.append.length) {
      const unique = new Map(t.append.map((fresh, index) => [fresh.id ?? index, fresh]));
      const count = [...unique.values()].filter((fresh) => known(fresh, record, rows, t.at) === null).length;
      if (count && count + (record?.count ?? 0) > guard.room) return "full";
    }
  }
  if (t.remember.length && record !== null && t.remember.some((id) => valid(rows.receipt(record, id), t.at) !== null)) {
    return "duplicate";
  }
  if (!isInHand(t, record)) return "conflict";
  return isLive(record) || t.create !== null || t.put !== null ? null : "conflict";
}

// Whether every item that the owner speaks of is in its hands, and spoken of once: half of it would be wrong.
function isInHand(t, record) {
  const items = [...t.remove, ...t.reschedule, ...t.bury].map(({ item }) => item).concat(t.mark);
  const named = [...t.give_back, ...items.filter((item) => item !== null).map((item) => item.seq)];
  if (!named.length) return true;
  const taken = new Set(record?.taken);
  return !t.erase && new Set(named).size === named.length && named.every((seq) => taken.has(seq));
}

function newRecord(instance, at) {
  return {
    instance, status: "", data: "", version: 0, generation: 1, held: false, dues: {}, linger_ms: null, purge_at: null,
    token: 0, owner: null, lease_until: 0, deliveries: 0, taken: [], cancels: [], sequence: 0, count: 0, segment: 0,
    segment_count: 0, segment_first_at: 0, segment_last_at: 0, finished: 0, created_at: at, updated_at: 0,
  };
}

// A tombstone that is brought to a new life keeps the generation that `erase` raised.
function openRecord(t, record) {
  record.created_at = t.at;
  record.purge_at = null;
  if (t.create !== null) {
    const { status, data, segment, linger_ms } = t.create;
    Object.assign(record, { status, data, segment, linger_ms });
  }
}

function erase(record, rows) {
  rows.erase(record);
  Object.assign(record, {
    status: TERMINATED, data: "", held: false, linger_ms: TOMBSTONE_MS, dues: {}, owner: null, taken: [], cancels: [],
    count: 0, segment_count: 0, deliveries: 0, finished: 0, purge_at: null,
  });
  record.version += 1;
  record.generation += 1;
}

// `find` gives the working copy of a record, or null; `add` takes in a new one; `touch` marks one for writing.
export function apply(t, rows, { find, add, touch }) {
  let record = find(t.instance);
  const verdict = refusal(t, record, rows);
  if (verdict !== null) return { verdict };
  const opens = t.create !== null || t.put !== null;
  let live = isLive(record);
  if (live && t.erase) {
    erase(record, rows);
    live = false;
  }
  const created = !live && opens;
  if (record === null) record = add(newRecord(t.instance, t.at));
  if (created) openRecord(t, record);
  touch(record);
  return new Change(t, record, rows).run(created);
}

class Change {
  constructor(t, record, rows) {
    Object.assign(this, { t, record, rows, accepted: [], cancelled: [], items: [], cleared: 0, released: false });
  }

  run(created) {
    this.change();
    const { t, record } = this;
    record.updated_at = t.at;
    refreshPurge(record, t.at);
    return {
      verdict: "applied", created, version: record.version, generation: record.generation, count: record.count,
      accepted: this.accepted, items: this.items, cleared: this.cleared, cancelled: this.cancelled,
      cancels: [...record.cancels], held: record.held, released: this.released,
      dues: t.dues.length || t.batching !== null || t.seal ? { ...record.dues } : null,
    };
  }

  change() {
    const { t, record, rows } = this;
    if (t.put !== null) {
      const { status, data, held, linger_ms } = t.put;
      Object.assign(record, { status, data, held, linger_ms, purge_at: null });
      record.version += 1;
    }
    for (const id of t.remember) rows.remember(record, id);
    this.settleTaken();
    this.rarely();
    this.append();
    if (!t.append.length || this.accepted.some(([, , , , duplicate]) => !duplicate)) {
      if (t.seal && record.segment_count) this.seal();
      for (const due of t.dues) this.changeDue(due);
    }
    if (t.progress) record.deliveries = 1;
    if (t.take > 0 && !record.held) {
      this.items = rows.take(record, t.at, t.take);
      record.taken = [...record.taken, ...this.items.map((item) => item.seq)];
    }
    if (t.release === "yes" || (t.release === "idle" && !record.taken.length)) this.release();
  }

  // What the owner says about the items in its hands.

  settleTaken() {
    const { t, record, rows } = this;
    const left = new Set(t.give_back);
    for (const { item, settlement, expires_at } of t.remove) {
      this.settle(item, settlement, expires_at);
      left.add(item.seq);
    }
    for (const burial of t.bury) {
      const payload = burial.payload ?? rows.payload(record, burial.item);
      if (burial.item !== null) {
        this.settle(burial.item, "dead", burial.expires_at);
        left.add(burial.item.seq);
      }
      const { id, attempts, error, count, expires_at, item } = burial;
      rows.keepLetter(record, {
        id, payload, attempts, error, count, expires_at, failed_at: t.at,
        lane: item?.lane ?? null, rank: item?.rank ?? 0, at: item?.at ?? t.at,
      });
    }
    for (const { item, ...change } of t.reschedule) {
      rows.move(record, item, change);
      left.add(item.seq);
    }
    for (const item of t.mark) rows.move(record, item, item);
    if (left.size) record.taken = record.taken.filter((seq) => !left.has(seq));
  }

  settle(item, settlement, expiresAt) {
    const { record } = this;
    this.rows.settle(record, item, settlement, expiresAt);
    record.count -= 1;
    if (settlement === "done") record.finished += 1;
    record.cancels = record.cancels.filter((seq) => seq !== item.seq);
  }

  rarely() {
    const { t, record, rows } = this;
    for (const id of t.redrive) this.redrive(id);
    for (const id of t.discard) this.cleared += rows.dropLetter(record, id) ? 1 : 0;
    if (t.retire !== null) {
      record.count -= rows.empty(record, 0, t.retire.segment, [], t.retire.settlement, t.retire.expires_at);
    }
    if (t.clear !== null) {
      const count = rows.empty(record, t.clear.segment, NEVER, record.taken, "cleared", t.clear.expires_at);
      record.count -= count;
      this.cleared += count;
      if (t.clear.segment <= record.segment) {
        record.segment_count = 0;
        delete record.dues[WINDOW_DUE];
      }
    }
    if (t.retire !== null || t.clear !== null) {
      record.cancels = record.cancels.filter((seq) => record.taken.includes(seq));
    }
    for (const id of t.cancel) this.cancelled.push(this.cancel(id));
  }

  redrive(id) {
    const { t, record, rows } = this;
    const letter = rows.letter(record, id);
    if (letter === null || letter.expires_at <= t.at) return;
    rows.dropLetter(record, id);
    // Due from now on: how long it was dead does not make it late.
    const payload = letter.payload.toBase64();
    this.add({ id, payload, lane: letter.lane, due: t.at, rank: letter.rank, blocks: true }, letter.at);
    this.arm(t.at);
    this.cleared += 1;
  }

  cancel(id) {
    const { t, record, rows } = this;
    const receipt = valid(rows.receipt(record, id), t.at);
    if (receipt === null) return "not_found";
    if (receipt.settlement !== null) return receipt.settlement === "cancelled" ? "cancelled" : "done";
    if (record.taken.includes(receipt.seq)) {
      if (!record.cancels.includes(receipt.seq)) record.cancels.push(receipt.seq);
      return "running";
    }
    const item = rows.findItem(record, receipt.due, receipt.rank, receipt.seq);
    if (item === null) return "not_found";
    this.settle(item, "cancelled", this.graceEnd());
    this.letGo(item);
    return "cancelled";
  }

  // An item that waited was taken out: those that it held back need wait no longer.
  letGo(item) {
    if (item.due > 0 && item.due < NEVER) this.arm(this.t.at);
  }

  graceEnd() {
    return this.t.at + (this.record.linger_ms || TOMBSTONE_MS);
  }

  // Items coming in.

  append() {
    const { t, record, rows } = this;
    const room = t.guard !== null && t.on_full === "drop_oldest" ? t.guard.room : null;
    let earliest = NEVER;
    for (const fresh of t.append) {
      const receipt = known(fresh, record, rows, t.at);
      if (receipt !== null) {
        this.accepted.push([receipt.seq, receipt.position, receipt.segment, record.segment_count, true]);
        continue;
      }
      if (room !== null && record.count >= room) this.dropOldest();
      this.add(fresh, t.at);
      earliest = Math.min(earliest, fresh.due);
      record.segment_count += 1;
      record.segment_last_at = t.at;
      if (record.segment_count === 1) {
        record.segment_first_at = t.at;
        if (t.batching !== null && t.batching.window_ms !== null) record.dues[WINDOW_DUE] = t.at + t.batching.window_ms;
      }
      this.accepted.push([record.sequence, record.count, record.segment, record.segment_count, false]);
      const most = t.batching?.max_items ?? null;
      if (most !== null && record.segment_count >= most) this.seal();
    }
    this.arm(earliest);
  }

  add(fresh, at) {
    const { record } = this;
    let rank = fresh.rank;
    if (rank && fresh.lane !== null) {
      // A priority never breaks the order of a lane: an item takes at least the rank of those before it.
      const before = this.rows.laneRank(record, fresh.lane);
      rank = before === null ? rank : Math.max(rank, before);
    }
    record.sequence += 1;
    record.count += 1;
    this.rows.accept(record, fresh, at, rank, record.sequence, record.count);
  }

  dropOldest() {
    const oldest = this.rows.oldest(this.record);
    if (oldest !== null) {
      this.settle(oldest, "cleared", this.graceEnd());
      this.letGo(oldest);
      this.cleared += 1;
    }
  }

  arm(due) {
    if (due >= NEVER) return;
    const { dues } = this.record;
    const at = Math.max(due, this.t.at);
    if ((dues[ITEMS_DUE] ?? NEVER) > at) dues[ITEMS_DUE] = at;
  }

  seal() {
    const { record } = this;
    record.segment += 1;
    record.segment_count = 0;
    delete record.dues[WINDOW_DUE];
    // A due that is set is left alone: it may be the retry of an older segment, which goes first.
    record.dues[FLUSH_DUE] ??= this.t.at;
  }

  // Dues and leases.

  changeDue({ name, how, at }) {
    const { dues } = this.record;
    if (how === "clear") delete dues[name];
    else if (how === "set" || !(name in dues)) dues[name] = at;
    else if (how === "earlier") dues[name] = Math.min(dues[name], at);
  }

  release() {
    const { t, record } = this;
    // After an idle take nothing is ready: the next chance comes with the first item that still waits.
    const after = t.release === "idle" && t.take > 0 && !record.held ? t.at : -1;
    Object.assign(record, { owner: null, taken: [], deliveries: 0 });
    const due = record.count ? this.rows.itemDue(record, after) : null;
    if (due === null) delete record.dues[ITEMS_DUE];
    else record.dues[ITEMS_DUE] = Math.max(due, t.at);
    this.released = true;
  }
}

// Whether, and when, the record itself may go: when nothing is left to do and its time of grace has passed.
function refreshPurge(record, now) {
  const idle = record.linger_ms !== null && record.owner === null && !record.held;
  if (!idle || Object.keys(record.dues).length || record.count) record.purge_at = null;
  else if (record.purge_at === null) record.purge_at = now + record.linger_ms;
}

export function claim(record, request, rows) {
  const suspects = record.taken;
  record.token = Math.max(record.token + 1, request.at); // above those that a purge forgot, too
  Object.assign(record, { owner: request.owner, lease_until: request.at + request.lease_ms, taken: [], purge_at: null });
  record.deliveries += 1;
  const wanted = request.take > 0 && record.count && !record.held;
  const items = wanted ? rows.take(record, request.at, request.take) : [];
  record.taken = items.map((item) => item.seq);
  return { record: { ...record, dues: { ...record.dues } }, items, suspects };
}

export function renew([instance, token], record, until) {
  if (record === null || record.owner === null || record.token !== token) return [instance, false, 0];
  record.lease_until = until;
  return [instance, true, record.version];
}
