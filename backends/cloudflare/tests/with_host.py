"""Runs a command beside a host of its own: ``python -m backends.cloudflare.tests.with_host COMMAND …``.

The command finds the URL of the store in ``DURABLE_PRIMITIVES_TEST_SERVER``, which also replaces ``{url}`` among its
arguments, and the keys where `RemoteBackend` looks for them.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from backends.cloudflare.tests.remote.host import Host
from durable_primitives_cloudflare.remote.backend import ENGINE_KEYS, HOST_KEYS


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        host = Host(Path(folder))
        host.start()
        url = f"cloudflare+{host.url}?listen=127.0.0.1:{host.callback_port}"
        keys = {ENGINE_KEYS: host.engine_keys, HOST_KEYS: host.host_keys}
        try:
            command = [argument.replace("{url}", url) for argument in sys.argv[1:]]
            return subprocess.call(command, env={**os.environ, **keys, "DURABLE_PRIMITIVES_TEST_SERVER": url})
        finally:
            host.close()


if __name__ == "__main__":
    sys.exit(main())
