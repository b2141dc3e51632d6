"""The SQL of the object: one statement per file in ``sql/``, under its name and with its parameters at its head."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

_PACKAGE = __name__.rpartition(".")[0]
_COMMENT = re.compile(r"^--.*\n", re.MULTILINE)


@cache
def sql(name: str) -> str:
    """The text of one statement, without its comments."""
    return _COMMENT.sub("", files(_PACKAGE).joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")).strip()
