"""`check`: programs and faults against a definition of the user's, under all laws, and what was found made short."""

from durable_primitives.testing.checking.coverage import CoverageError
from durable_primitives.testing.checking.effects import Effects
from durable_primitives.testing.checking.report import CheckReport
from durable_primitives.testing.checking.running import check
from durable_primitives.testing.checking.violation import PropertyViolation

__all__ = ["CheckReport", "CoverageError", "Effects", "PropertyViolation", "check"]
