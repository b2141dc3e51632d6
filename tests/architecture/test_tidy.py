"""The style of the house, as far as a program can see it: sizes, words, versions, references that lead somewhere."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAX_FILE_LINES = 500
MAX_FUNCTION_LINES = 60
CODE = {".py", ".pyi", ".rs", ".sql", ".lua"}
TEXT = CODE | {".md", ".toml", ".yml", ".yaml", ".tsv", ".txt", ""}

# Each pattern has a character class in it, so that this file does not match itself.
BANNED = {
    r"\b(TOD[O]|FIXM[E]|XX[X])\b": "finish it, or open an issue",
    r"(?<![\w.])/(wor[k]|tm[p]|roo[t]|hom[e]/\w+)/": "a path of one machine; use a relative path or tmp_path",
    r"registry\.npm[j]s|files\.python[h]osted|pypi\.org/sim[p]le|index\.crates\.[i]o": "the host of a package registry",
    r"\bimport pickl[e]\b": "nothing is ever pickled",
}
GENERATED = {"Cargo.lock", "uv.lock"}
MADE = {".git", ".venv", ".nox", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".hypothesis", "target", "__pycache__"}


def repository_files() -> list[Path]:
    """Relative to the root: what git tracks or would track; in an unpacked source distribution, everything."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):
        listed = [str(path.relative_to(ROOT)) for path in ROOT.rglob("*") if not MADE & set(path.parts)]
    files = {Path(name) for name in listed}
    return sorted(path for path in files if (ROOT / path).is_file() and path.name not in GENERATED)


FILES = repository_files()
TEXTS = {path: (ROOT / path).read_text(errors="replace") for path in FILES if path.suffix in TEXT}
SHIPPED = [path for path in TEXTS if path.parts[0] in {"python", "rust", "backends"} and "tests" not in path.parts]


def python_functions(source: str) -> Iterator[tuple[str, int, int]]:
    """Name, first line and length of every function; its docstring is not counted, being there for the reader."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if ast.get_docstring(node) is not None:
                docstring = node.body[0]
                length -= (docstring.end_lineno or docstring.lineno) - docstring.lineno + 1
            yield node.name, node.lineno, length


def test_files_are_short():
    sizes = {path: text.count("\n") for path, text in TEXTS.items() if path.suffix in CODE}
    long = [f"{path}: {size} lines" for path, size in sizes.items() if size > MAX_FILE_LINES]

    assert not long, listing(f"files above {MAX_FILE_LINES} lines; split them by meaning", long)


def test_functions_are_short():
    """In Python; clippy holds Rust to the same number."""
    long = [
        f"{path}:{line}: {name} has {length} lines"
        for path in SHIPPED
        if path.suffix == ".py"
        for name, line, length in python_functions(TEXTS[path])
        if length > MAX_FUNCTION_LINES
    ]

    assert not long, listing(f"functions above {MAX_FUNCTION_LINES} lines; name their parts", long)


def test_clippy_holds_rust_to_the_same_length():
    assert tomllib.loads(TEXTS[Path("rust/clippy.toml")])["too-many-lines-threshold"] == MAX_FUNCTION_LINES


@pytest.mark.parametrize("pattern", BANNED)
def test_no_banned_words(pattern: str):
    found = [
        f"{path}:{number}: {line.strip()[:100]}"
        for path, text in TEXTS.items()
        if re.search(pattern, text)
        for number, line in enumerate(text.splitlines(), 1)
        if re.search(pattern, line)
    ]

    assert not found, listing(BANNED[pattern], found)


def test_packages_say_what_they_are_for():
    packages = [path for path in SHIPPED if path.name == "__init__.py"]
    silent = [str(path) for path in packages if not ast.get_docstring(ast.parse(TEXTS[path]))]

    assert not silent, listing(
        "packages whose __init__.py does not open with one sentence on their responsibility", silent
    )


def test_modules_are_named_after_what_they_hold():
    vague = {"utils", "util", "helpers", "helper", "common", "misc", "stuff"}
    found = [str(path) for path in TEXTS if path.suffix in CODE and path.stem.strip("_") in vague]

    assert not found, listing("module names that say nothing", found)


def test_versions_agree():
    package = tomllib.loads(TEXTS[Path("pyproject.toml")])["project"]["version"]
    crates = tomllib.loads(TEXTS[Path("Cargo.toml")])["workspace"]["package"]["version"]
    module = re.search(r'^__version__ = "(.+)"$', TEXTS[Path("python/durable_primitives/__init__.py")], re.M)

    assert module is not None, "python/durable_primitives/__init__.py states no __version__"
    assert {package, crates, module[1]} == {package}


def test_tools_are_pinned_once():
    groups = tomllib.loads(TEXTS[Path("pyproject.toml")])["dependency-groups"]
    pinned = {pin for group in groups.values() for pin in group}
    repeated = set(re.findall(r"[\w-]+==[\d.]+", TEXTS[Path(".pre-commit-config.yaml")]))

    assert repeated <= pinned, ".pre-commit-config.yaml and pyproject.toml pin different versions"


def listing(advice: str, found: list[str]) -> str:
    """A message that says what to do, and where."""
    return "\n".join([f"{advice}:", *(f"    {line}" for line in found)])
