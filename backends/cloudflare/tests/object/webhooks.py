"""The webhooks example inside of Durable Objects: ``python -m backends.cloudflare.tests.object.webhooks [COUNT]``."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from .pyodide_wheels import ROOT
from .standin_worker import HERE, PythonWorker

PARTS = ("examples/webhooks/definitions.py", "examples/webhooks/source.py", "examples/webhooks/__init__.py")
DIGEST_SECONDS = 60.0


def make_worker(folder: Path) -> PythonWorker:
    """A Worker with the example's definitions, as they are."""
    sources = {part: (ROOT / part).read_text() for part in PARTS}
    return PythonWorker(folder, HERE / "webhooks.py", sources=sources)


def replay(worker: PythonWorker, count: int) -> dict[str, Any]:
    """Offer deliveries twice; what came of them, when the last digest has been sent."""
    offered = [
        {"delivery": f"{n}", "event": "push", "payload": {"repository": {"full_name": f"octo/{n % 3}"}}}
        for n in range(count)
    ]
    known = [worker("offer", offered=offered), worker("offer", offered=offered)]
    wanted = {f"{n}" for n in range(count)}
    end = time.monotonic() + DIGEST_SECONDS
    while not (digested := _ids(worker("posted"), "digest")) >= wanted:
        assert time.monotonic() < end, f"{len(digested)} of {count} are in a digest"
        time.sleep(0.2)
    posted = worker("posted")
    return {
        "known": known,
        "delivered": [one for _, _, ids, _ in _of(posted, "delivered") for one in ids],
        "digested": [one for _, _, ids, _ in _of(posted, "digest") for one in ids],
        "reports": worker("finish"),
    }


def _of(posted: list[Any], kind: str) -> list[Any]:
    return [one for one in posted if one[0] == kind]


def _ids(posted: list[Any], kind: str) -> set[str]:
    return {id for _, _, ids, _ in _of(posted, kind) for id in ids}


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    with tempfile.TemporaryDirectory() as folder:
        worker = make_worker(Path(folder))
        worker.workerd.start()
        try:
            result = replay(worker, count)
        finally:
            worker.workerd.stop()
    print(f"offered    {count} deliveries twice; {result['known'][1]} of the second time were known")
    print(f"delivered  {len(result['delivered'])}, in digests {len(result['digested'])}")
    print(f"reports    {result['reports'][1]}, then {result['reports'][0]}")


if __name__ == "__main__":
    main()
