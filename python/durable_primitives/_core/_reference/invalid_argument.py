"""The one error for an argument outside its domain."""

from __future__ import annotations


def invalid_argument(name: str, expected: str, given: object) -> ValueError:
    """Return the error to raise: which argument, what it may be, and what it was."""
    shown = f'"{given}"' if isinstance(given, str) else repr(given)
    return ValueError(f"{name} must be {expected}, got {shown}")
