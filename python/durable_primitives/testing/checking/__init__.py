"""`check`: programs and faults against a definition of the user's, under all laws, and what was found made short."""

from durable_primitives.testing.checking.effects import Effects
from durable_primitives.testing.checking.running import CheckReport, check
from durable_primitives.testing.checking.violation import PropertyViolation

__all__ = ["CheckReport", "Effects", "PropertyViolation", "check"]
