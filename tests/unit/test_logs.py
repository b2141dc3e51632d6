"""Logging follows the application: its structlog if it configured one, else its stdlib logging."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from durable_primitives.logs import bind_context, get_logger

LEVELS = ("debug", "info", "warning", "error", "critical")


def run_python(source: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", source], check=True, capture_output=True, text=True)


@pytest.fixture
def structlog_lines() -> Iterator[list[dict[str, Any]]]:
    """The lines of an application that configured structlog."""
    lines: list[dict[str, Any]] = []

    def keep(_logger: object, method: str, line: Any) -> Any:
        lines.append({"level": method, **line})
        raise structlog.DropEvent

    structlog.configure(processors=[structlog.contextvars.merge_contextvars, keep])
    yield lines
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


# --- what is imported -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", ["durable_primitives", "durable_primitives.logs", "durable_primitives.events"])
def test_importing_does_not_import_structlog(module: str):
    run_python(f"import sys, {module}; assert 'structlog' not in sys.modules")


def test_using_a_logger_does_not_import_structlog_for_an_application_without_it():
    run_python(
        "import sys\n"
        "from durable_primitives.logs import get_logger, bind_context\n"
        "with bind_context(attempt=1):\n"
        "    get_logger('app').bind(a=1).warning('lost')\n"
        "assert 'structlog' not in sys.modules"
    )


# --- nothing configured -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("before", ["", "import structlog\n"], ids=["structlog absent", "structlog imported"])
def test_unconfigured_only_warnings_reach_stderr_and_nothing_stdout(before: str):
    done = run_python(
        before + "from durable_primitives.logs import get_logger\n"
        "log = get_logger('durable_primitives.worker')\n"
        "log.debug('d'); log.info('i'); log.warning('lease lost'); log.error('down')"
    )

    assert done.stdout == ""
    assert done.stderr.splitlines() == ["lease lost", "down"]


# --- stdlib logging ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", LEVELS)
def test_a_line_reaches_stdlib_logging_with_its_fields(level: str, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)

    getattr(get_logger("app.jobs").bind(instance_id="queue:deliveries:3"), level)("claimed", delivery=2)

    (record,) = caplog.records
    assert (record.name, record.levelname, record.getMessage()) == ("app.jobs", level.upper(), "claimed")
    assert (record.__dict__["instance_id"], record.__dict__["delivery"]) == ("queue:deliveries:3", 2)


def test_arguments_are_formatted_into_the_message(caplog: pytest.LogCaptureFixture):
    get_logger("app").warning("waited %d ms for %s", 12, "redis")

    assert caplog.messages == ["waited 12 ms for redis"]


def test_a_record_points_at_the_line_that_logged(caplog: pytest.LogCaptureFixture):
    get_logger("app").warning("here")

    (record,) = caplog.records
    assert (record.filename, record.funcName) == ("test_logs.py", "test_a_record_points_at_the_line_that_logged")


def test_a_field_that_logging_keeps_for_itself_gets_an_underscore(caplog: pytest.LogCaptureFixture):
    get_logger("app").warning("claimed", name="deliveries", module="billing", message="m")

    (record,) = caplog.records
    assert record.name == "app"
    assert (record.__dict__["name_"], record.__dict__["module_"], record.__dict__["message_"]) == (
        "deliveries",
        "billing",
        "m",
    )


def test_an_exception_carries_its_traceback(caplog: pytest.LogCaptureFixture):
    try:
        raise ValueError("no such user")
    except ValueError:
        get_logger("app").exception("handler failed")

    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert record.exc_info is not None
    assert record.exc_info[0] is ValueError


def test_a_disabled_line_goes_nowhere(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.WARNING)
    log = get_logger("app")

    log.info("quiet")

    assert caplog.records == []
    assert [log.is_enabled_for(level) for level in (logging.INFO, logging.WARNING)] == [False, True]


def test_fields_bound_around_user_code_are_on_stdlib_records(caplog: pytest.LogCaptureFixture):
    with bind_context(event_id="evt-1"):
        get_logger("app").warning("inside")
    get_logger("app").warning("outside")

    inside, outside = caplog.records
    assert inside.__dict__["event_id"] == "evt-1"
    assert "event_id" not in outside.__dict__


# --- structlog configured by the application --------------------------------------------------------------------------


@pytest.mark.parametrize("level", [*LEVELS, "exception"])
def test_a_line_reaches_the_structlog_of_the_application(level: str, structlog_lines: list[dict[str, Any]]):
    getattr(get_logger("app").bind(name="deliveries"), level)("claimed", delivery=2)

    (line,) = structlog_lines
    assert {**line, "event": "claimed", "name": "deliveries", "delivery": 2} == line


def test_a_logger_made_before_structlog_is_configured_follows_it():
    done = run_python(
        "from durable_primitives.logs import get_logger\n"
        "log = get_logger('app')\n"
        "log.warning('before')\n"
        "import structlog\n"
        "structlog.configure(processors=[structlog.processors.JSONRenderer()])\n"
        "log.warning('after', attempt=2)"
    )

    assert done.stderr.splitlines() == ["before"]
    assert json.loads(done.stdout) == {"event": "after", "attempt": 2}


def test_structlog_points_at_the_line_that_logged(structlog_lines: list[dict[str, Any]]):
    where = structlog.processors.CallsiteParameterAdder({structlog.processors.CallsiteParameter.FUNC_NAME})
    structlog.configure(processors=[where, *structlog.get_config()["processors"]])

    get_logger("app").warning("here")

    (line,) = structlog_lines
    assert line["func_name"] == "test_structlog_points_at_the_line_that_logged"


def test_fields_bound_around_user_code_are_on_their_lines(structlog_lines: list[dict[str, Any]]):
    theirs = structlog.get_logger("their.module")

    with bind_context(instance_id="queue:deliveries:3", attempt=2):
        theirs.info("charging")
        with bind_context(attempt=3):
            theirs.info("nested")
    theirs.info("afterwards")

    assert [(line["event"], line.get("instance_id"), line.get("attempt")) for line in structlog_lines] == [
        ("charging", "queue:deliveries:3", 2),
        ("nested", "queue:deliveries:3", 3),
        ("afterwards", None, None),
    ]


def test_binding_leaves_the_logger_as_it_was(structlog_lines: list[dict[str, Any]]):
    log = get_logger("app")

    log.bind(attempt=1).info("bound")
    log.info("plain")

    assert [line.get("attempt") for line in structlog_lines] == [1, None]
