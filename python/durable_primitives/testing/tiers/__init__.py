"""`check`: where its cases come from, tier by tier, and how long each of them has its turn."""

from durable_primitives.testing.tiers.coverage import CoverageError
from durable_primitives.testing.tiers.report import CheckReport
from durable_primitives.testing.tiers.running import check

__all__ = ["CheckReport", "CoverageError", "check"]
