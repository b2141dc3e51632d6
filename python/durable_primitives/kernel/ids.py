"""Names of durable entities: an instance is written ``{kind}:{name}:{id}``.

A name never holds a colon and an id may hold anything printable, so the form reads back in one way only.
"""

from __future__ import annotations

import re

from durable_primitives.errors import DefinitionError, Issue, ValidationError

MAX_ID_BYTES = 512
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,127}")


def instance_id(kind: str, name: str, id: str) -> str:
    """The durable identity of one entity, for example ``buffer:webhooks:acct-7``."""
    return f"{kind}:{name}:{id}"


def split_instance(instance: str) -> tuple[str, str, str]:
    """``(kind, name, id)`` of an instance id."""
    kind, name, id = instance.split(":", 2)
    return kind, name, id


def check_name(name: object, what: str) -> str:
    """The name of a primitive or a namespace, or a `DefinitionError` that says which characters are allowed."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise DefinitionError(
            f"{what} must be 1 to 128 letters, digits, '_', '-' or '.', and start with a letter, a digit or '_'; "
            f"got {name!r}"
        )
    return name


def check_id(id: object, what: str = "id") -> str:
    """An id given by a caller, or a `ValidationError`: ``1`` and ``"1"`` must never collide in silence."""
    problem = None
    if not isinstance(id, str):
        problem = f"must be a str, got {type(id).__name__}"
    elif not id:
        problem = "must not be empty"
    elif id.isascii():
        if len(id) > MAX_ID_BYTES:
            problem = f"must be at most {MAX_ID_BYTES} bytes of UTF-8, got {len(id)}"
        elif not id.isprintable():
            problem = "must hold printable characters only"
    else:
        problem = _unicode_problem(id)
    if problem is not None:
        raise ValidationError(what, (Issue(path="$", message=problem, code="invalid_id"),))
    assert isinstance(id, str)
    return id


def _unicode_problem(id: str) -> str | None:
    try:
        size = len(id.encode())
    except UnicodeEncodeError:
        return "must be valid Unicode text, got a lone surrogate"
    if size > MAX_ID_BYTES:
        return f"must be at most {MAX_ID_BYTES} bytes of UTF-8, got {size}"
    return None if id.isprintable() else "must hold printable characters only"
