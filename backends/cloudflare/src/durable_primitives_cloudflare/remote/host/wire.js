// Structs travel as arrays in the order of their fields (durable_primitives/kernel/transition.py and record.py).
// Payloads travel as base64 and are stored as bytes; nothing here looks into them.

const fields = (names) => names.split(" ");

export const RECORD = fields(
  "instance status data version generation held dues linger_ms purge_at token owner lease_until deliveries taken " +
    "cancels sequence count segment segment_count segment_first_at segment_last_at finished created_at updated_at",
);
const ITEM = fields("seq id payload at lane due rank segment attempt delivery error blocks");
const RECEIPT = fields("id seq position due rank segment settlement expires_at");
const LETTER = fields("id payload lane rank at failed_at attempts error count expires_at");
const UPLOAD = fields("name parts");
const OUTCOME = fields(
  "verdict created version generation count accepted items cleared cancelled cancels held released dues",
);
const NEW_ITEM = fields("id payload lane due rank fresh blocks");
const TRANSITION = fields(
  "instance at guard erase create remember put remove reschedule give_back mark bury redrive discard retire clear " +
    "cancel append batching on_full seal dues progress take release",
);
const PARTS = {
  guard: fields("exists version generation token segment room"),
  create: fields("status data segment linger_ms"),
  put: fields("status data held linger_ms"),
  batching: fields("max_items window_ms"),
  retire: fields("segment settlement expires_at"),
  clear: fields("segment expires_at"),
};
const LISTS = {
  remove: fields("item settlement expires_at"),
  reschedule: fields("item due attempt delivery error blocks"),
  bury: fields("id item payload attempts error count expires_at"),
  append: NEW_ITEM,
  dues: fields("name how at"),
};
const REQUEST = fields("owner at lease_ms limit take");

// NEVER is 2^60: JavaScript can hold it but not write it.  Here it is the greatest integer that is safe.
export const NEVER = Number.MAX_SAFE_INTEGER;
const NEVER_ON_THE_WIRE = JSON.rawJSON("1152921504606846976");

const read = (names, row) => Object.fromEntries(names.map((name, index) => [name, row[index]]));
const write = (names, row) => names.map((name) => row[name] ?? null);

// No moment is as late as never.
const readAt = (row) => ({ ...row, at: Math.min(row.at, NEVER - 1) });
const readDue = (row) => (row.due > NEVER ? { ...row, due: NEVER } : row);
const writeDue = (row) => (row.due === NEVER ? { ...row, due: NEVER_ON_THE_WIRE } : row);
// The bytes of a dead letter; or null: they are those of its item; or where they are that were sent ahead.
const readBuried = (payload) => {
  if (payload === null) return null;
  return Array.isArray(payload) ? read(UPLOAD, payload) : toBytes(payload);
};
const readItem = (row) => (row === null ? null : readDue(read(ITEM, row)));

export function readTransition(row) {
  const t = readAt(read(TRANSITION, row));
  for (const [name, names] of Object.entries(PARTS)) {
    t[name] = t[name] === null ? null : read(names, t[name]);
  }
  for (const [name, names] of Object.entries(LISTS)) {
    t[name] = t[name].map((part) => readDue(read(names, part)));
  }
  for (const part of [...t.remove, ...t.reschedule, ...t.bury]) {
    part.item = readItem(part.item);
  }
  for (const burial of t.bury) {
    burial.payload = readBuried(burial.payload);
  }
  t.mark = t.mark.map(readItem);
  return t;
}

export const readRequest = (row) => (row === null ? null : readAt(read(REQUEST, row)));
export const writeRecord = (record) => write(RECORD, record);
export const writeReceipt = (receipt) => write(RECEIPT, writeDue(receipt));
export const writeItem = (item) =>
  write(ITEM, writeDue({ ...item, payload: toBase64(item.payload), blocks: item.blocks !== 0 }));
// With the number of parts in which to ask for its payload; 0: it is here.
export const writeLetter = (letter) =>
  [write(LETTER, { ...letter, payload: toBase64(letter.payload) }), letter.parts];
export const writeClaim = (claim) => [writeRecord(claim.record), claim.items.map(writeItem), claim.suspects];
export const writeOutcome = (outcome) =>
  write(OUTCOME, {
    created: false, version: 0, generation: 0, count: 0, accepted: [], cleared: 0, cancelled: [], cancels: [],
    held: false, released: false, ...outcome, items: (outcome.items ?? []).map(writeItem),
  });

export const toBytes = (text) => Uint8Array.fromBase64(text);
export const toBase64 = (buffer) => new Uint8Array(buffer).toBase64();
