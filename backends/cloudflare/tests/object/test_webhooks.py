"""The example's definitions run inside of Durable Objects as they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from .webhooks import make_worker, replay


@pytest.mark.timeout(300)
def test_webhooks_are_all_delivered(tmp_path: Path):
    worker = make_worker(tmp_path)
    worker.workerd.start()
    try:
        result = replay(worker, 30)
    finally:
        worker.workerd.stop()

    assert result["known"] == [0, 30]
    assert sorted(result["delivered"], key=int) == [f"{n}" for n in range(30)]
    assert sorted(result["digested"], key=int) == [f"{n}" for n in range(30)]
    assert result["reports"][0] == "stopped"
    assert result["reports"][1] > 0
