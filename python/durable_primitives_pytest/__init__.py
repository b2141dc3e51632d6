"""The pytest plugin: the fixture `durable_primitives`, the marker ``durable_seeds``, and what a failed test shows.

pytest loads it at every start, so importing it imports nothing of the SDK and not Hypothesis: see `fixture` for what
happens when a test asks for it.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any, cast

import pytest

if TYPE_CHECKING:
    from durable_primitives_pytest.fixture import OpenTestPrimitives

_MARKER = "durable_seeds"
_SHOWN_LINES = 100


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers",
        f"{_MARKER}(seeds): run the test with each of these seeds for the fixture durable_primitives; "
        "a number n stands for the seeds 0 to n - 1",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test per seed."""
    marker = metafunc.definition.get_closest_marker(_MARKER)
    if marker is None:
        return
    if "durable_primitives" not in metafunc.fixturenames:
        raise pytest.UsageError(
            f"{metafunc.definition.nodeid} is marked {_MARKER} and does not use the fixture durable_primitives"
        )
    metafunc.parametrize("_durable_seed", _seeds(marker), indirect=True, ids=lambda seed: f"seed={seed}")


def _seeds(marker: pytest.Mark) -> list[int]:
    given: Any = marker.args[0] if len(marker.args) == 1 and not marker.kwargs else None
    if isinstance(given, int) and given > 0:
        return list(range(given))
    seeds = cast("list[Any]", given) if isinstance(given, (list, tuple)) else []
    if seeds and all(isinstance(seed, int) for seed in seeds):
        return list(seeds)
    raise pytest.UsageError(f"{_MARKER} takes a number of seeds or a list of them, and got {marker.args!r}")


@pytest.fixture
def _durable_seed(request: pytest.FixtureRequest) -> int:
    seed: int = getattr(request, "param", 0)
    return seed


@pytest.fixture
def durable_primitives(request: pytest.FixtureRequest, _durable_seed: int) -> Iterator[OpenTestPrimitives]:
    """Opens applications under test, on virtual time; they are closed when the test is over.

    Like `durable_primitives.testing.create_test_primitives`, whose arguments it takes, without the ``async with``::

        async def test_digest(durable_primitives):
            t = durable_primitives(digests)
            await t.client.buffer(digests).add("ada", "honey")
            await t.advance("1 hour")
    """
    from durable_primitives_pytest.fixture import OpenTestPrimitives

    opened = OpenTestPrimitives(_durable_seed)
    request.node.stash[_OPENED] = opened
    yield opened
    failed = request.node.stash.get(_FAILED, False)
    opened.close(abandon=failed)


_OPENED = pytest.StashKey[Any]()
_FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what happened in the applications of a failed test, and a violation without how it was found."""
    report = yield
    if not report.failed:
        return report
    if call.when == "call":
        item.stash[_FAILED] = True
    opened = item.stash.get(_OPENED, None)
    if opened is not None:
        for title, lines in opened.timelines():
            hidden = 0 if item.config.get_verbosity() > 1 else max(0, len(lines) - _SHOWN_LINES)
            told = [f"... {hidden} earlier lines; -vv shows them"] if hidden else []
            report.sections.append((title, "\n".join([*told, *lines[hidden:]])))
    if call.excinfo is not None and _is_violation(call.excinfo.value):
        report.longrepr = str(call.excinfo.value)
    return report


def _is_violation(error: BaseException) -> bool:
    """Whether `check` found something.  Where that was never imported, it did not."""
    module = sys.modules.get("durable_primitives.testing")
    return module is not None and isinstance(error, module.PropertyViolation)
