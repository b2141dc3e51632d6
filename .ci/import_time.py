"""Fail when ``import durable_primitives`` has become slow; print what it costs.

Each sample is a fresh interpreter. Time of the processor, and the minimum of it: what the
import itself needs, whatever else the machine does.
"""

import subprocess
import sys

LIMIT_SECONDS = 0.15
SAMPLES = 20
SAMPLE = """
import time
started = time.process_time()
import durable_primitives
print(time.process_time() - started)
"""


def import_seconds() -> float:
    """How long one import takes in an interpreter of its own."""
    return float(subprocess.run([sys.executable, "-I", "-c", SAMPLE], check=True, capture_output=True).stdout)


seconds = min(import_seconds() for _ in range(SAMPLES))
print(f"import durable_primitives: {seconds * 1000:.0f} ms (limit {LIMIT_SECONDS * 1000:.0f} ms, best of {SAMPLES})")
if seconds > LIMIT_SECONDS:
    sys.exit("Too slow. `python -X importtime -c 'import durable_primitives'` shows which import to make lazy.")
