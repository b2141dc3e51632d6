"""Runs a command beside a server of its own: ``python -m backends.redis.tests.with_server COMMAND …``.

The command finds the server's URL in ``DURABLE_PRIMITIVES_TEST_SERVER``.  With ``--cluster`` before the command it is
that of a cluster of three nodes.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from backends.redis.tests.clusters import TestCluster
from backends.redis.tests.servers import Server


def main() -> int:
    clustered = sys.argv[1] == "--cluster"
    with tempfile.TemporaryDirectory() as folder:
        server = TestCluster(Path(folder)) if clustered else Server(Path(folder), appendonly="yes")
        server.start()
        try:
            command, env = sys.argv[1 + clustered :], {**os.environ, "DURABLE_PRIMITIVES_TEST_SERVER": server.url}
            return subprocess.call(command, env=env)
        finally:
            server.stop()


if __name__ == "__main__":
    sys.exit(main())
