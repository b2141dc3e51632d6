"""What the pages refer to exists: links lead to files, named tests can be found, every guarantee names one."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from durable_primitives.testing.laws import LAWS

ROOT = Path(__file__).parents[2]
GUARANTEES = ROOT / "docs" / "explanation" / "guarantees.md"
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("backends/**/*.md"), ROOT / "tests/README.md"]

LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)(?:#[^)\s]*)?\)")
LAWS_LINE = re.compile(r"(?m)^Laws?: (.+)$")
TEST = re.compile(r"`((?:backends/\w+/)?tests/[\w/.-]+\.py)(?:::(\w+))?`")


def ids(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_links_lead_somewhere(page: Path):
    broken = [target for target in LINK.findall(page.read_text()) if not (page.parent / target).exists()]

    assert not broken, f"{ids(page)} links to files that do not exist: {', '.join(broken)}"


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_named_tests_exist(page: Path):
    missing = [f"{path}::{name}" for path, name in TEST.findall(page.read_text()) if not is_there(path, name)]

    assert not missing, f"{ids(page)} names tests that do not exist: {', '.join(missing)}"


@pytest.mark.skipif(not GUARANTEES.exists(), reason="docs/explanation/guarantees.md is not written yet")
def test_every_guarantee_names_its_test():
    """A section of the page is a promise; a promise without a test is a hope."""
    sections = re.split(r"(?m)^## +", GUARANTEES.read_text())[1:]
    unproven = [section.splitlines()[0] for section in sections if not TEST.search(section)]

    assert not unproven, f"guarantees that name no test (`tests/….py::test_…`): {', '.join(unproven)}"


def test_every_rule_of_cloudflare_names_its_test():
    rules = (ROOT / "docs" / "how-to" / "cloudflare.md").read_text().partition("## Rules of the platform")[2]
    unproven = [rule.splitlines()[0] for rule in re.split(r"(?m)^\*\*", rules)[1:] if not TEST.search(rule)]

    assert rules
    assert not unproven, f"rules of the platform that name no test: {', '.join(unproven)}"


def test_every_law_belongs_to_a_guarantee():
    named = [law for line in LAWS_LINE.findall(GUARANTEES.read_text()) for law in re.findall(r"`(\w+)`", line)]

    # The last one is about the library, which must not break in its own ways.
    assert sorted(named) == sorted(set(LAWS) - {"no_defect"})


def test_every_test_folder_is_explained():
    page = (ROOT / "tests" / "README.md").read_text()
    folders = {path.relative_to(ROOT / "tests").parts[0] for path in (ROOT / "tests").rglob("test_*.py")}
    unexplained = [folder for folder in sorted(folders) if f"`{folder}/`" not in page]

    assert not unexplained, f"tests/README.md does not say what belongs in: {', '.join(unexplained)}"


def is_there(path: str, name: str) -> bool:
    file = ROOT / path
    return file.exists() and (not name or name in defined_names(file))


def defined_names(file: Path) -> set[str]:
    """Functions and classes of a test file, methods included."""
    tree = ast.walk(ast.parse(file.read_text()))
    return {node.name for node in tree if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}
