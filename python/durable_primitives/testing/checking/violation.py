"""`PropertyViolation`: what `check` found."""

from __future__ import annotations


class PropertyViolation(AssertionError):
    """A law that does not hold, with the shortest history in which it does not.

    Attributes:
        law: The name of the law.
        steps: The history: what was called, when, and what went wrong.
        regression: A test that fails as long as the law does not hold: paste it into a file and run it.
    """

    def __init__(self, law: str, message: str, steps: tuple[str, ...], regression: str) -> None:
        super().__init__(message)
        self.law = law
        self.steps = steps
        self.regression = regression
