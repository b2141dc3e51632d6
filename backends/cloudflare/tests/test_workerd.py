"""The runtime of these tests is the real one."""

from __future__ import annotations

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


def count(workerd: Workerd) -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{workerd.port}/", timeout=30) as reply:
        return int(reply.read())
