"""The public surface is frozen: public_api.txt holds every public name and signature, and changes only in review.

Read from the source by griffe, so that the text is the same on every Python.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import griffe
import pytest

SNAPSHOT = Path(__file__).with_name("public_api.txt")
SOURCE = Path(__file__).parents[2] / "python"
PUBLIC_MODULES = ("durable_primitives", "durable_primitives.spi", "durable_primitives.testing")


@pytest.fixture(scope="module")
def package() -> griffe.Module:
    loaded = griffe.load("durable_primitives", search_paths=[SOURCE], resolve_aliases=True, allow_inspection=False)
    assert isinstance(loaded, griffe.Module)
    return loaded


def test_public_api_is_as_agreed(package: griffe.Module, assert_snapshot):
    lines = [line for module in public_modules(package) for line in describe_module(module)]

    assert_snapshot(SNAPSHOT, "\n".join(lines) + "\n")


def test_public_names_are_documented(package: griffe.Module):
    silent = {
        item.canonical_path
        for module in public_modules(package)
        for _, item in public_members(module)
        if (item.is_class or item.is_function) and not item.has_docstring
    }

    assert not silent, "public names without a docstring:\n    " + "\n    ".join(sorted(silent))


def public_modules(package: griffe.Module) -> list[griffe.Module]:
    """The modules that users import from, those that exist."""
    modules = [package, *package.modules.values()]
    return [module for module in modules if module.path in PUBLIC_MODULES]


def public_members(module: griffe.Module) -> Iterator[tuple[str, griffe.Object]]:
    """The names of ``__all__`` with what they stand for."""
    for name in sorted(str(name) for name in module.exports or []):
        item = module[name]
        yield name, item.final_target if isinstance(item, griffe.Alias) else item


def describe_module(module: griffe.Module) -> Iterator[str]:
    yield f"# {module.path}"
    yield ""
    for name, item in public_members(module):
        yield from describe(name, item)
        yield ""


def describe(name: str, item: griffe.Object, indent: str = "") -> Iterator[str]:
    """One line per name; a class is followed by its public members, inherited ones of ours included."""
    if isinstance(item, griffe.Function):
        kind = "".join(f"@{label} " for label in ("classmethod", "staticmethod") if label in item.labels)
        prefix = f"{kind}async def" if "async" in item.labels else f"{kind}def"
        for overload in item.overloads or [item]:
            yield f"{indent}{prefix} {overload.signature(name=name)}"
    elif isinstance(item, griffe.Attribute):
        kept = item.labels & {"module-attribute", "class-attribute"}
        default = f" = {item.value}" if kept and item.value is not None else ""
        annotation = f": {item.annotation}" if item.annotation is not None else ""
        yield f"{indent}{name}{annotation}{default}"
    elif isinstance(item, griffe.Class):
        bases = f"({', '.join(str(base) for base in item.bases)})" if item.bases else ""
        yield f"{indent}class {name}{bases}"
        for member_name, member in sorted(item.all_members.items()):
            if is_public(member_name):
                target = member.final_target if isinstance(member, griffe.Alias) else member
                yield from describe(member_name, target, indent + "    ")
    else:
        yield f"{indent}{item.kind.value} {name}"


def is_public(name: str) -> bool:
    return not name.startswith("_") or name in {"__init__", "__call__", "__aenter__", "__aexit__"}
