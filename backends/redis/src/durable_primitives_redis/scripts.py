"""The Lua scripts: one verb per file, with the common parts that it names in its header."""

from __future__ import annotations

import hashlib
from importlib.resources import files

_FOLDER = files("durable_primitives_redis") / "lua"
_USES = "-- uses:"
_BASE = ("wire", "keys")
"""The parts that all others use."""


class Script:
    """One verb, as the server knows it.

    Example:
        >>> Script("next_due").name
        'next_due'
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.source = _composed(name)
        self.sha = hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()


def _composed(name: str) -> str:
    """The base, and in a function within it everything else.

    The server makes all functions of a script anew at each call.  To give one a local of the function that makes it,
    Lua searches the list of all such locals; those of a function further out are at hand.  So what is used most is
    further out, and the functions cost two thirds of what they would on one level.
    """
    verb = (_FOLDER / f"{name}.lua").read_text("utf-8")
    (uses,) = (line for line in verb.splitlines() if line.startswith(_USES))
    parts = uses.removeprefix(_USES).split()
    seldom = [f"local {part[:-1]}, made_{part[:-1]}" for part in parts if part.endswith("?")]
    base, others = ([_part(part) for part in parts if (part in _BASE) == wanted] for wanted in (True, False))
    return "\n".join([*seldom, *base, "return (function()", *others, _bare(verb), "end)()"])


def _part(name: str) -> str:
    """A common part.  One that is needed seldom, marked with ``?``, is a function that gives what the part returns: to
    make its functions takes the server longer than to call them, so it makes them when they are called for.
    """
    bare = _bare((_FOLDER / "common" / f"{name.rstrip('?')}.lua").read_text("utf-8"))
    if not name.endswith("?"):
        return bare
    name = name[:-1]
    return f"""
{name} = function()
made_{name} = made_{name} or (function()
{bare}
end)()
return made_{name}
end"""


def _bare(text: str) -> str:
    """Without comments and indents: the server keeps the source, and hashes it at each load."""
    lines = (line.strip() for line in text.splitlines())
    return "\n".join(line for line in lines if line and not line.startswith("--"))


COMMIT = Script("commit")
RENEW = Script("renew")
LOAD = Script("load")
ITEMS = Script("items")
LETTERS = Script("letters")
SCAN = Script("scan")
TALLY = Script("tally")
SWEEP = Script("sweep")
NEXT_DUE = Script("next_due")
OPEN = Script("open")
DUE = Script("due")

EVERY_SCRIPT = (COMMIT, RENEW, LOAD, ITEMS, LETTERS, SCAN, TALLY, SWEEP, NEXT_DUE, OPEN, DUE)
