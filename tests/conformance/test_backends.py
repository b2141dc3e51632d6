"""Every backend of this distribution keeps every promise of the contract; the reference, by which they are judged, too."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from durable_primitives.backends.memory import MemoryBackend
from durable_primitives.backends.sqlite import SQLiteBackend
from durable_primitives.testing import conformance

from .reference_backend import ReferenceBackend

CASES = dict(conformance.cases())


def reference(folder: Path) -> conformance.Harness:
    return conformance.FactoryHarness(ReferenceBackend, lambda backend: ReferenceBackend(backend.disk))
