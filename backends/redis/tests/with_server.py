"""Runs a command beside a server of its own: ``python -m backends.redis.tests.with_server COMMAND …``.

The command finds the server's URL in ``DURABLE_PRIMITIVES_TEST_SERVER``.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from backends.redis.tests.servers import Server


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder), appendonly="yes")
        server.start()
        try:
            return subprocess.call(sys.argv[1:], env={**os.environ, "DURABLE_PRIMITIVES_TEST_SERVER": server.url})
        finally:
            server.stop()


if __name__ == "__main__":
    sys.exit(main())
