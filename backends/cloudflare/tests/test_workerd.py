"""The runtime of these tests is the real one."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

from .workerd import Workerd

CONFIG = """
using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = .main), (name = "do-disk", disk = (writable = true))],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);
const main :Workerd.Worker = (
  modules = [(name = "main.js", esModule = embed "main.js")],
  compatibilityDate = "2026-10-01",
  durableObjectNamespaces = [(className = "Counter", uniqueKey = "counter", enableSql = true)],
  durableObjectStorage = (localDisk = "do-disk"),
  bindings = [(name = "COUNTER", durableObjectNamespace = "Counter")],
);
"""
COUNTER = """
import { DurableObject } from "cloudflare:workers";
export class Counter extends DurableObject {
  add() {
    const sql = this.ctx.storage.sql;
    sql.exec("CREATE TABLE IF NOT EXISTS n (n INTEGER)");
    sql.exec("INSERT INTO n VALUES (1)");
    return sql.exec("SELECT count(*) AS n FROM n").one().n;
  }
}
export default {
  async fetch(request, env) { return new Response(String(await env.COUNTER.getByName("one").add())); }
};
"""


LIMITS = """
import { DurableObject } from "cloudflare:workers";
export class Counter extends DurableObject {
  refused() {
    const sql = this.ctx.storage.sql;
    const many = (count, text) => Array(count).fill(text).join(",");
    const refused = (query, ...values) => {
      try { sql.exec(query, ...values).toArray(); return false; } catch { return true; }
    };
    sql.exec("CREATE TABLE fits (n INTEGER PRIMARY KEY, value BLOB) WITHOUT ROWID");
    return {
      parameters: [100, 101].map((n) => refused(`SELECT 1 WHERE 1 IN (${many(n, "?")})`, ...Array(n).fill(1))),
      columns: [100, 101].map((n) => refused(`CREATE TABLE t${n} (${Array.from({ length: n }, (_, i) => `c${i}`)})`)),
      statement: [100_000, 100_001].map((n) => refused("SELECT 1".padEnd(n))),
      pattern: [50, 51].map((n) => refused("SELECT 'a' LIKE ?", "x".repeat(n))),
      row: [2_000_000, 2_200_000].map((n) => refused("INSERT OR REPLACE INTO fits VALUES (1, ?)", new Uint8Array(n))),
    };
  }
}
export default {
  async fetch(request, env) { return Response.json(await env.COUNTER.getByName("one").refused()); }
};
"""


def test_what_was_acknowledged_survives_a_kill(tmp_path: Path):
    (tmp_path / "config.capnp").write_text(CONFIG)
    (tmp_path / "main.js").write_text(COUNTER)
    workerd = Workerd(tmp_path / "config.capnp", tmp_path / "disk")
    workerd.start()
    try:
        first = count(workerd)
        workerd.restart()
        second = count(workerd)
    finally:
        workerd.stop()

    assert (first, second) == (1, 2)


def test_limits_of_sql_are_those_of_the_platform_but_for_the_size_of_a_row(tmp_path: Path):
    """A statement of ours that is over one of them fails here too; the size of a row we look at ourselves."""
    (tmp_path / "config.capnp").write_text(CONFIG)
    (tmp_path / "main.js").write_text(LIMITS)
    workerd = Workerd(tmp_path / "config.capnp", tmp_path / "disk")
    workerd.start()
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{workerd.port}/", timeout=30) as reply:
            refused = json.load(reply)
    finally:
        workerd.stop()

    within_and_beyond = [False, True]
    assert refused == {
        "parameters": within_and_beyond,
        "columns": within_and_beyond,
        "statement": within_and_beyond,
        "pattern": within_and_beyond,
        "row": [False, False],
    }


def count(workerd: Workerd) -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{workerd.port}/", timeout=30) as reply:
        return int(reply.read())
