"""Values of a schema, for Hypothesis: what its fields may hold, with every constraint, always valid and storable."""

from __future__ import annotations

from durable_primitives.testing.strategies.deriving import from_schema
from durable_primitives.testing.strategies.registry import register_strategy

__all__ = ["from_schema", "register_strategy"]
