"""The example runs here as it does on SQLite: the same definitions, another store."""

from __future__ import annotations

from pathlib import Path

from examples.webhooks.__main__ import replay
from examples.webhooks.source import Delivery

from .host import Host


async def test_webhooks_are_all_delivered(host: Host, prefix: str, tmp_path: Path):
    source = [Delivery(str(n), "push", {"repository": {"full_name": f"octo/{n % 3}"}}) for n in range(30)]

    summary = await replay(source, tmp_path / "webhooks.db", host.backend(prefix), 0.001)

    assert summary.faults == ()
    assert "30" in summary.text
