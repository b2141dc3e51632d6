"""``durable-primitives generate cloudflare``: a project that `wrangler deploy` takes as it is.

`project` knows the files, `vendor` brings what a Python Worker needs beside them, `command` is the command line.
"""

from durable_primitives_cloudflare.generate.project import Mode, Project

__all__ = ["Mode", "Project"]
