"""Where the processes of a test meet: a file in its folder, or a part of its own of the server that is named.

``DURABLE_PRIMITIVES_TEST_SERVER=redis://127.0.0.1:6379/0`` makes these tests run on that server instead of on SQLite.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

SERVER = os.environ.get("DURABLE_PRIMITIVES_TEST_SERVER", "")


def url(folder: Path) -> str:
    """The store of a test."""
    if not SERVER:
        return f"sqlite:///{folder}/app.db"
    return f"{SERVER}{'&' if '?' in SERVER else '?'}prefix=test-{hashlib.sha256(str(folder).encode()).hexdigest()[:16]}"
