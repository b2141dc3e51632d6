"""The files of a project, as texts."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Literal

from msgspec import Struct

Mode = Literal["object", "remote"]

_TEMPLATES = files("durable_primitives_cloudflare.generate")
_HOST = files("durable_primitives_cloudflare.remote")

COMPATIBILITY_DATE = "2026-10-01"
"""What the tests run with.  Python 3.14 needs 2026-09-08 or later."""


class Project(Struct, frozen=True, kw_only=True):
    """What a project is made of.

    Attributes:
        mode: ``object``: the engine runs in the objects.  ``remote``: the objects store, the engine runs elsewhere.
        name: The name of the Worker.
        module: Where the application is, for example ``shop.primitives``; only with ``object``.
        attribute: Its name there.
    """

    mode: Mode
    name: str
    module: str = ""
    attribute: str = ""

    def render(self) -> dict[str, str]:
        """Path to text, of everything that is generated."""
        values = {
            "name": self.name,
            "module": self.module,
            "attribute": self.attribute,
            "compatibility_date": COMPATIBILITY_DATE,
        }
        templates = [path for path in (_TEMPLATES / self.mode).iterdir() if path.name.endswith(".template")]
        found = {
            _PLACES.get(path.name, path.name.removesuffix(".template")): Template(
                path.read_text(encoding="utf-8")
            ).substitute(values)
            for path in templates
        }
        if self.mode == "remote":
            for path in (_HOST / "host").iterdir():
                found[path.name] = path.read_text(encoding="utf-8").replace(_HOSTS_NAME, f'"name": "{self.name}"')
        return found

    def write(self, folder: Path) -> list[Path]:
        """Write what is not there yet or says something else, but never `USERS`; returns what was written."""
        written: list[Path] = []
        for place, text in self.render().items():
            path = folder / place
            if _differs(path, text) and not (place in USERS and path.exists()):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
                written.append(path)
        return written

    def outdated(self, folder: Path) -> list[Path]:
        """What `write` would write."""
        return [
            folder / place
            for place, text in self.render().items()
            if _differs(folder / place, text) and not (place in USERS and (folder / place).exists())
        ]


USERS = frozenset({"src/entry.py", "wrangler.jsonc"})
"""Files that are generated once and then belong to the user."""

_HOSTS_NAME = '"name": "durable-primitives-host"'

_PLACES = {"entry.py.template": "src/entry.py", "dev.vars.example.template": ".dev.vars.example"}


def _differs(path: Path, text: str) -> bool:
    return not path.exists() or path.read_text(encoding="utf-8") != text
