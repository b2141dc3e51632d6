// HMAC-SHA-256 over method, path, time, nonce and the hash of the body.  A side accepts two keys, so that they can be
// changed one side after the other, and signs with the first.

const WINDOW_MS = 60_000;
const SHORTEST_KEY = 32;
const encoder = new TextEncoder();
const imported = new Map();

const toHex = (buffer) => new Uint8Array(buffer).toHex();

export function keysOf(text) {
  const keys = (text ?? "").split(",").map((key) => key.trim()).filter(Boolean);
  if (!keys.length || keys.length > 2 || keys.some((key) => key.length < SHORTEST_KEY)) {
    throw new Error(`give one or two keys of ${SHORTEST_KEY} characters or more`);
  }
  return keys;
}

function hmac(key) {
  if (!imported.has(key)) {
    const algorithm = { name: "HMAC", hash: "SHA-256" };
    imported.set(key, crypto.subtle.importKey("raw", encoder.encode(key), algorithm, false, ["sign", "verify"]));
  }
  return imported.get(key);
}

async function message(method, path, time, nonce, body) {
  const hash = toHex(await crypto.subtle.digest("SHA-256", body));
  return encoder.encode([method, path, time, nonce, hash].join("\n"));
}

export async function sign(keys, method, path, body) {
  const [time, nonce] = [String(Date.now()), crypto.randomUUID()];
  const signature = await crypto.subtle.sign("HMAC", await hmac(keys[0]), await message(method, path, time, nonce, body));
  return { "x-dp-time": time, "x-dp-nonce": nonce, "x-dp-signature": toHex(signature) };
}

// Whether one of the keys signed this, and within the window.
export async function verify(keys, request, path, body) {
  const [time, nonce, signature] = ["time", "nonce", "signature"].map((name) => request.headers.get(`x-dp-${name}`) ?? "");
  if (!/^\d{13,14}$/.test(time) || !/^[\w-]{16,64}$/.test(nonce) || !/^[0-9a-f]{64}$/.test(signature)) return false;
  if (Math.abs(Date.now() - Number(time)) > WINDOW_MS) return false;
  const signed = await message(request.method, path, time, nonce, body);
  for (const key of keys) {
    // Compares in constant time.
    if (await crypto.subtle.verify("HMAC", await hmac(key), Uint8Array.fromHex(signature), signed)) return true;
  }
  return false;
}
