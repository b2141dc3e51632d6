"""What `check` and the machines are made of: cases, the laws of user code, and what was found made short and told."""

from durable_primitives.testing.checking.effects import Effects
from durable_primitives.testing.checking.violation import PropertyViolation

__all__ = ["Effects", "PropertyViolation"]
