// The remote host of durable-primitives: contract 1.
//
// One object is one partition of a store.  It applies transitions, each commit in one synchronous transaction, and
// keeps the earliest of all alarms as its own.  When that comes it calls the engine: "look at your store", no data.
//
// Laws of the alarm (a lost one is work that nobody ever does):
//   - It is armed strictly later than the one that fires: for the same moment the platform takes both for one.
//   - alarm() does not throw, and arms the next call before it makes this one.
//   - It is never moved away: one that comes too early costs less than the row that would move it.
//   - Every request looks whether it was lost.
//
// Nothing is true because it is in memory.  What is there: who was answered what, so that a repeated request has its
// effect once; it is good since `began`, and what was signed before is asked to be signed again.

import { DurableObject } from "cloudflare:workers";

import { alarmOf, apply, claim, renew } from "./apply.js";
import { Rows, TooLargeError } from "./rows.js";
import { keysOf, sign, verify } from "./signing.js";
import * as wire from "./wire.js";

const CONTRACT = 1;
const MAX_BODY_BYTES = 16 << 20;
const PATH = /^\/v1\/([\w.~%-]{1,512})\/(\d{1,4})\/([a-z_]{1,16})$/;
const WINDOW_MS = 60_000;
const CLOCKS_APART_MS = 1_000;
const LOST_AFTER_MS = 10_000;
const CALL_AGAIN_MS = { least: 5_000, most: 15 * 60_000 };
const CALL_TIMEOUT_MS = 10_000;
const MOST_ANSWERS = 10_000;
const ANSWERS_BYTES = 16 << 20;
const WALK_ROWS = 100_000;
const UPLOAD_MS = 60 * 60_000;

export class DurablePrimitivesStore extends DurableObject {
  constructor(ctx, env) {
    super(ctx, env);
    this.rows = new Rows(ctx.storage.sql);
    this.began = Date.now();
    this.nonces = new Map();
    this.answers = new Answers(this.began);
    this.walked = { receipts: null, instances: null };
    this.armed = null;
    this.fired = 0;
    this.usage = { requests: 0, alarms: 0, calls: 0, armings: 0 };
    ctx.blockConcurrencyWhile(async () => {
      this.armed = await ctx.storage.getAlarm();
    });
  }

  async fetch(request) {
    this.usage.requests += 1;
    const url = new URL(request.url);
    const verb = VERBS[url.pathname.split("/").at(-1)];
    const refused = this.#refuse(request);
    if (refused !== null) return refused;
    if (verb === undefined) return answer(404, { error: `contract ${CONTRACT} has no such verb` });
    const body = await request.json();
    try {
      return answer(200, verb.call(this, body, url.searchParams));
    } catch (error) {
      // Whatever it was about to write was rolled back.
      const text = String(error?.message ?? error);
      if (error instanceof TooLargeError) return answer(413, { error: text, size: error.size, limit: error.limit });
      return answer(/SQLITE_FULL/.test(text) ? 507 : 500, { error: text });
    } finally {
      this.#heal();
    }
  }

  // The Worker has checked the signature; whether it was seen before is known here.
  #refuse(request) {
    const [nonce, time, now] = [request.headers.get("x-dp-nonce"), Number(request.headers.get("x-dp-time")), Date.now()];
    for (const [old, at] of this.nonces) {
      if (at > now - 2 * WINDOW_MS) break;
      this.nonces.delete(old);
    }
    if (this.nonces.has(nonce)) return answer(401, { error: "this request was sent before" });
    if (time <= this.began || time > now + CLOCKS_APART_MS) return answer(425, { error: "sign it again, by this clock" });
    this.nonces.set(nonce, now);
    return null;
  }

  // Changing it.

  // All that `body` writes, the alarm included, or nothing of it if it throws.
  #change(body) {
    const armed = this.armed;
    try {
      return this.ctx.storage.transactionSync(body);
    } catch (error) {
      this.armed = armed;
      throw error;
    }
  }

  commit([transitions, request], query) {
    const [client, number, since] = [query.get("client"), Number(query.get("number")), query.get("since")];
    const before = this.answers.get(client, number, since);
    if (before !== undefined) return before;
    const reply = this.#change(() => this.#commit(transitions.map(wire.readTransition), wire.readRequest(request)));
    this.answers.keep(client, number, reply);
    return reply;
  }

  #commit(transitions, request) {
    const working = new Working(this.rows);
    const outcomes = transitions.map((t) => wire.writeOutcome(apply(t, this.rows, working)));
    const claims = request === null ? [] : working.due(request.at, request.limit).map((record) => {
      working.touch(record);
      return wire.writeClaim(claim(record, request, this.rows));
    });
    const nearest = this.#store(working);
    return [outcomes, claims, nearest];
  }

  // A part of what is too long for one request; a commit says what becomes of it.
  upload([name, part, payload]) {
    this.#change(() => this.rows.upload(name, part, wire.toBytes(payload), Date.now()));
    return null;
  }

  renew([leases, until]) {
    return this.#change(() => {
      const working = new Working(this.rows);
      const answers = leases.map((lease) => {
        const record = working.find(lease[0]);
        const renewed = renew(lease, record, until);
        if (renewed[1]) working.touch(record);
        return renewed;
      });
      this.#store(working);
      return answers;
    });
  }

  // The alarm that came nearer, if one did.
  #store(working) {
    const nearest = working.store();
    if (nearest !== null && (this.armed === null || Math.max(nearest, Date.now()) < this.armed)) this.#arm(nearest);
    return nearest;
  }

  sweep([now, budget]) {
    return this.#change(() => {
      this.rows.dropUploads(Date.now() - UPLOAD_MS);
      const old = this.rows.oldLetters(now, budget);
      for (const letter of old) this.rows.dropLetter(letter, letter.id);
      let gone = old.length;
      for (const [name, walk] of [["receipts", "sweepReceipts"], ["instances", "sweepInstances"]]) {
        const [went, next] = this.rows[walk](this.walked[name], now, budget - gone, WALK_ROWS);
        this.walked[name] = next;
        gone += went;
      }
      return gone;
    });
  }

  // Looking at it.

  open(settings) {
    return this.#change(() => {
      for (const [name, value] of settings) this.rows.all("INSERT OR IGNORE INTO setting VALUES (?, ?)", name, value);
      return this.rows.all("SELECT name, value FROM setting").map((row) => [row.name, row.value]);
    });
  }

  load([instance, receipts, letters]) {
    const record = this.rows.record(instance);
    const found = (ids, get) => [...new Set(ids)].map((id) => get({ instance }, id)).filter((row) => row !== null);
    return [
      record === null ? null : wire.writeRecord(record),
      found(receipts, (...where) => this.rows.receipt(...where)).map(wire.writeReceipt),
      found(letters, (...where) => this.rows.letterToSend(...where)).map(wire.writeLetter),
    ];
  }

  items([instance, segment, after, limit]) {
    const [found, more] = this.rows.items(instance, segment, after, limit);
    return [found.map(wire.writeItem), more];
  }

  letters([instance, after, limit]) {
    const [found, more] = this.rows.letters(instance, after, limit);
    return [found.map(wire.writeLetter), more];
  }

  letterPart([instance, id, part]) {
    const found = this.rows.letterPart(instance, id, part);
    return found === null ? null : wire.toBase64(found);
  }

  scan([prefix, after, limit]) {
    return this.rows.scan(prefix, after, limit).map(wire.writeRecord);
  }

  tally([instance, now]) {
    return this.rows.tally(this.rows.record(instance) ?? { instance, taken: [] }, now);
  }

  due([at, limit]) {
    return this.rows.dueInstances(at, limit).map((row) => row.alarm);
  }

  nextDue() {
    return this.rows.nextAlarm();
  }

  counted() {
    return { ...this.usage, rows_written: this.rows.written + this.usage.armings };
  }

  // The alarm.

  #arm(at) {
    this.armed = Math.max(at, Date.now(), this.fired) + 1;
    this.usage.armings += 1;
    this.ctx.storage.setAlarm(this.armed);
  }

  #heal() {
    if (this.armed !== null && this.armed > Date.now() - LOST_AFTER_MS) return;
    const head = this.rows.nextAlarm();
    if (head !== null) this.#arm(head);
  }

  async alarm(info) {
    this.usage.alarms += 1;
    try {
      this.fired = Math.max(Number(info?.scheduledTime ?? 0), this.armed ?? 0);
      this.armed = null;
      const [head, now] = [this.rows.nextAlarm(), Date.now()];
      if (head === null) return;
      if (head > now) return this.#arm(head);
      // The longer nobody came, the later the next call.
      this.#arm(now + Math.min(Math.max(now - head, CALL_AGAIN_MS.least), CALL_AGAIN_MS.most));
      await this.ctx.storage.sync();
      await this.#callEngine();
    } catch (error) {
      console.error(`the engine was not called: ${error}`);
      if (this.armed === null || this.armed <= Date.now()) this.#arm(Date.now() + CALL_AGAIN_MS.least);
    }
  }

  // Where to is configuration: no request can make this object call anything else.
  async #callEngine() {
    if (!this.env.CALLBACK_URL) return;
    this.usage.calls += 1;
    const body = new TextEncoder().encode(JSON.stringify({ contract: CONTRACT, store: this.ctx.id.name }));
    const { pathname } = new URL(this.env.CALLBACK_URL);
    const reply = await fetch(this.env.CALLBACK_URL, {
      method: "POST", body, redirect: "manual", signal: AbortSignal.timeout(CALL_TIMEOUT_MS),
      headers: { ...(await sign(keysOf(this.env.HOST_KEYS), "POST", pathname, body)), "content-type": "application/json" },
    });
    await reply.body?.cancel();
  }
}

const host = DurablePrimitivesStore.prototype;
const VERBS = {
  __proto__: null,
  open: host.open, commit: host.commit, renew: host.renew, sweep: host.sweep, load: host.load, items: host.items,
  letters: host.letters, letter_part: host.letterPart, upload: host.upload, scan: host.scan, tally: host.tally, due: host.due, next_due: host.nextDue, usage: host.counted,
};

// The last answer to each client.  Whoever asks again for one that is no longer here is told so, and never served twice.
class Answers {
  constructor(began) {
    this.forgotten = began; // what was answered up to then may be gone
    this.bytes = 0;
    this.clients = new Map();
  }

  // The answer to an earlier sending; null if nobody can say what became of it; undefined if this is the first one.
  get(client, number, since) {
    const last = this.clients.get(client);
    if (last?.number === number) return last.reply;
    return last?.number > number || (since !== null && Number(since) <= this.forgotten) ? null : undefined;
  }

  keep(client, number, reply) {
    this.#drop(client);
    const size = JSON.stringify(reply).length;
    this.clients.set(client, { number, reply, size, at: Date.now() });
    this.bytes += size;
    for (const [old, last] of this.clients) {
      if (this.bytes <= ANSWERS_BYTES && this.clients.size <= MOST_ANSWERS) break;
      this.forgotten = Math.max(this.forgotten, last.at);
      this.#drop(old);
    }
  }

  #drop(client) {
    this.bytes -= this.clients.get(client)?.size ?? 0;
    this.clients.delete(client);
  }
}

// The records of one commit: read once, changed in place, written once.
class Working {
  constructor(rows) {
    this.rows = rows;
    this.records = new Map();
    this.find = this.find.bind(this);
    this.add = this.add.bind(this);
    this.touch = this.touch.bind(this);
  }

  find(instance) {
    if (!this.records.has(instance)) {
      const record = this.rows.record(instance);
      if (record === null) return null;
      this.records.set(instance, { record, before: alarmOf(record), touched: false });
    }
    return this.records.get(instance).record;
  }

  add(record) {
    this.records.set(record.instance, { record, before: null, touched: false });
    return record;
  }

  touch(record) {
    this.records.get(record.instance).touched = true;
  }

  // What can be claimed, the earliest first, the changes of this commit included.
  due(now, limit) {
    if (limit < 1) return [];
    const found = [...this.records.values()].map(({ record }) => ({ instance: record.instance, alarm: alarmOf(record) }));
    for (const row of this.rows.dueInstances(now, limit + this.records.size)) {
      if (!this.records.has(row.instance)) found.push(row);
    }
    const due = found.filter(({ alarm }) => alarm !== null && alarm <= now);
    return due.sort((a, b) => a.alarm - b.alarm).slice(0, limit).map(({ instance }) => this.find(instance));
  }

  store() {
    let nearest = null;
    for (const { record, before, touched } of this.records.values()) {
      if (!touched) continue;
      const alarm = alarmOf(record);
      this.rows.store(record, alarm);
      if (alarm !== null && (before === null || alarm < before)) nearest = Math.min(alarm, nearest ?? Infinity);
    }
    return nearest;
  }
}

function answer(status, body) {
  return Response.json(body, { status, headers: { "x-dp-now": String(Date.now()) } });
}

// At most so many bytes, or null.  A request that does not say how many it has is counted while it is read.
async function readBody(request) {
  const length = request.headers.get("content-length");
  if (length !== null) return Number(length) > MAX_BODY_BYTES ? null : new Uint8Array(await request.arrayBuffer());
  const chunks = [];
  let size = 0;
  for await (const chunk of request.body ?? []) {
    size += chunk.byteLength;
    if (size > MAX_BODY_BYTES) return null; // which cancels the rest
    chunks.push(chunk);
  }
  return new Uint8Array(await new Blob(chunks).arrayBuffer());
}

// No object is touched, and so none is made, before the signature is known to be good.
export default {
  async fetch(request, env) {
    const { pathname, search } = new URL(request.url);
    const body = await readBody(request);
    if (body === null) return answer(413, { error: `a request may have ${MAX_BODY_BYTES} bytes`, limit: MAX_BODY_BYTES });
    if (!(await verify(keysOf(env.ENGINE_KEYS), request, pathname + search, body))) {
      return answer(401, { error: "the signature is wrong, or older than a minute" });
    }
    const route = PATH.exec(pathname);
    if (request.method !== "POST" || route === null) return answer(404, { error: `contract ${CONTRACT} has no such path` });
    const store = env.STORE.getByName(`${decodeURIComponent(route[1])}/${route[2]}`);
    return store.fetch(new Request(request.url, { method: "POST", headers: request.headers, body }));
  },
};
