"""The package is typed: its names reach user code as they were declared."""

from typing import assert_type

import durable_primitives

assert_type(durable_primitives.__version__, str)

number: int = durable_primitives.__version__  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
