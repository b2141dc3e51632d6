"""The example runs as its readers run it: as a process, killed, started again, and believed only for its proof."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from msgspec import structs

from durable_primitives import QueueStatus
from examples.webhooks import source
from examples.webhooks.receiver import Entry, Journal, Kind
from examples.webhooks.source import Delivery, SourceError, from_file, from_git
from examples.webhooks.summary import summarise
from tests.acceptance.stores import SERVER, url

ROOT = Path(__file__).parents[2]
DEMO = [sys.executable, "-m", "examples.webhooks"]
REPORT = re.compile(r"report +\d+ +(?P<delivered>\d+) delivered")


def store_in(folder: Path) -> list[str]:
    """The arguments that name the store of a test: a file, or a part of the server that is named."""
    return ["--db", f"{folder}/demo.db", *(["--backend", url(folder)] if SERVER else [])]


def write_deliveries(path: Path, count: int) -> Path:
    """A file of deliveries of five repositories and an account without one."""
    lines = [{"delivery": f"d{number}", "event": "push", "payload": payload(number % 6)} for number in range(count)]
    path.write_text("\n".join(map(json.dumps, lines)))
    return path


def payload(owner: int) -> dict[str, object]:
    if owner == 5:
        return {"repository": None, "sender": {"login": "octocat"}, "zen": "–" * 500}
    return {"repository": {"full_name": f"octo/repo-{owner}"}, "zen": "–" * 500}


def run_demo(*arguments: str | Path, seconds: float = 60, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*DEMO, *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | env,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


def kill_demo_beyond(delivered: int, *arguments: str | Path) -> int:
    """Kill it one line after a report of more than `delivered` deliveries; returns how many it reported.

    Without progress in between, this would be another test: what is under way at five kills in a row is set aside.
    """
    with subprocess.Popen([*DEMO, *map(str, arguments)], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for report in map(REPORT.match, process.stdout):
            if report and int(report["delivered"]) > delivered:
                process.stdout.readline()
                process.kill()
                return int(report["delivered"])
    pytest.fail("it ended before it could be killed")


@pytest.mark.crash
def test_every_delivery_survives_the_death_of_the_process(tmp_path: Path, crash_rounds: int):
    total = 100 * crash_rounds
    arguments = (write_deliveries(tmp_path / "deliveries.jsonl", total), *store_in(tmp_path))

    delivered = 0

    for _ in range(crash_rounds):
        delivered = kill_demo_beyond(delivered + 4, *arguments, "--latency-ms", "100")
    finished = run_demo(*arguments, "--latency-ms", "0", seconds=60 + crash_rounds)

    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert f"offered    {total} deliveries, {total} of them known from before\n" in finished.stdout
    assert f"accepted   {total} deliveries of 6 repositories\n" in finished.stdout
    assert "in order   6 of 6 repositories\n" in finished.stdout
    assert f"store      {total} processed, 0 unfinished, 0 dead letters\n" in finished.stdout


def test_a_second_run_delivers_nothing_again(tmp_path: Path):
    file = write_deliveries(tmp_path / "deliveries.jsonl", 12)
    arguments = (file, *store_in(tmp_path / "new folder"), "--latency-ms", "0")

    runs = [run_demo(*arguments), run_demo(*arguments)]

    assert [run.returncode for run in runs] == [0, 0], runs
    assert "offered    12 deliveries, 0 of them known" in runs[0].stdout
    assert "offered    12 deliveries, 12 of them known" in runs[1].stdout
    assert "delivered  12; 0 more than once" in runs[1].stdout


def test_without_git_it_says_how_to_pass_a_file(tmp_path: Path):
    run = run_demo("--db", tmp_path / "demo.db", PATH="")

    assert run.returncode == 2
    assert "git cannot be run" in run.stderr
    assert "python -m examples.webhooks deliveries.jsonl" in run.stderr


def test_a_line_that_is_no_delivery_is_named(tmp_path: Path):
    file = tmp_path / "deliveries.jsonl"
    file.write_text('{"delivery": "1", "event": "push", "payload": {}}\n\n{"delivery": "2", "event": "push"}\n')

    with pytest.raises(SourceError, match=r"deliveries\.jsonl, line 3: not a delivery: .*payload"):
        from_file(file)


def test_history_becomes_one_push_per_changed_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, require: Callable[[str, object], None]
):
    require("git", shutil.which("git"))
    monkeypatch.setattr(source, "ROOT", tmp_path)
    git = ["git", "-C", str(tmp_path), "-c", "user.name=Ada", "-c", "user.email=ada@example.com"]
    (tmp_path / "docs").mkdir()
    for name in ("README.md", "docs/a.md"):
        (tmp_path / name).write_text(name)
    (tmp_path / "docs/café.md").write_text("")
    commands = (["init", "-q"], ["add", "."], ["commit", "-qm", "first"], ["rm", "-q", "docs/a.md"])
    for command in (*commands, ["commit", "-qm", "second"]):
        subprocess.run([*git, *command], check=True)

    pushes = from_git()

    assert [(push.repository, push.delivery.split(":")[1]) for push in pushes] == [
        ("durable-primitives/root", "README.md"),
        ("durable-primitives/docs", "docs/a.md"),
        ("durable-primitives/docs", "docs/café.md"),
        ("durable-primitives/docs", "docs/a.md"),
    ]
    assert pushes[0].payload["head_commit"]["added"] == ["README.md"]
    assert pushes[3].payload["head_commit"]["removed"] == ["docs/a.md"]
    assert pushes[3].payload["head_commit"]["author"] == {"name": "Ada"}
    assert len({push.delivery for push in pushes}) == 4


def test_a_folder_without_history_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(source, "ROOT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))

    with pytest.raises(SourceError, match=r"not a git repository|git cannot be run"):
        from_git()


@pytest.mark.parametrize(
    ("owner", "expected"),
    [
        ({"repository": {"full_name": "octo/hello"}, "organization": {"login": "octo"}}, "octo/hello"),
        ({"repository": None, "organization": {"login": "octo"}, "sender": {"login": "ada"}}, "octo"),
        ({"sender": {"login": "ada"}}, "ada"),
        ({}, "(none)"),
    ],
)
def test_deliveries_are_ordered_by_repository_or_account(owner: dict[str, object], expected: str):
    assert Delivery("1", "push", owner).repository == expected


# The proof is worth what it catches.

STORE = QueueStatus(
    pending=0, delayed=0, running=0, retrying=0, dead=0, processed=3, paused=False, oldest_age=None, instances=4
)
Entries = list[tuple[Kind, str, list[str]]]
ACCEPTED: Entries = [("accepted", "1", ["1"]), ("accepted", "2", ["2"]), ("accepted", "3", ["3"])]
DELIVERED: Entries = [("delivered", "1", ["1"]), ("delivered", "2", ["2"]), ("delivered", "3", ["3"])]
DIGESTS: Entries = [("digest", "a", ["1", "2"]), ("digest", "b", ["3"])]


@pytest.fixture
def faults_of(tmp_path: Path) -> Iterator[Callable[..., list[str]]]:
    """``faults_of(entries, store)``: what the proof finds wrong with a journal of these entries."""
    with closing(Journal(tmp_path / "journal.db")) as journal:

        def faults_of(entries: Entries, store: QueueStatus = STORE) -> list[str]:
            journal.write(Entry(kind, key, "octo/hello", ids) for kind, key, ids in entries)
            summary = summarise(journal, store)
            assert summary.text.endswith("INCOMPLETE") == bool(summary.faults)
            return list(summary.faults)

        yield faults_of


def test_the_proof_accepts_what_came_twice_under_one_key(faults_of):
    assert faults_of(ACCEPTED + DELIVERED + DIGESTS + DELIVERED[1:2] + DIGESTS[:1]) == []


def test_the_proof_accepts_a_digest_that_came_late(faults_of):
    assert faults_of(ACCEPTED + DELIVERED + DIGESTS[::-1]) == []


@pytest.mark.parametrize(
    ("entries", "fault"),
    [
        (ACCEPTED + DELIVERED[1:] + DIGESTS, "delivered: octo/hello lacks 1, 1 for one"),
        (ACCEPTED + DELIVERED[::-1] + DIGESTS, "delivered: octo/hello is out of order"),
        ([*ACCEPTED, *DELIVERED, ("delivered", "other key", ["3"]), *DIGESTS], "delivered: octo/hello has 1 twice"),
        (ACCEPTED + DELIVERED + DIGESTS[:1], "digests: octo/hello lacks 1, 3 for one"),
        ([*ACCEPTED, *DELIVERED, *DIGESTS, ("digest", "c", ["3"])], "digests: octo/hello has 1 twice"),
    ],
)
def test_the_proof_catches(entries: Entries, fault: str, faults_of):
    assert faults_of(entries) == [fault]


def test_the_proof_catches_a_delivery_that_was_never_accepted(faults_of):
    assert faults_of(ACCEPTED[:2] + DELIVERED + DIGESTS, structs.replace(STORE, processed=2)) == [
        "delivered: octo/hello has 1 that were never accepted, 3 for one",
        "digests: octo/hello has 1 that were never accepted, 3 for one",
    ]


def test_the_proof_catches_a_batch_that_changed_between_attempts(faults_of):
    assert faults_of([*ACCEPTED, *DELIVERED, *DIGESTS, ("digest", "b", ["3", "3"])]) == [
        "digests: octo/hello has 2 twice"
    ]


@pytest.mark.parametrize(
    ("store", "fault"),
    [
        (structs.replace(STORE, processed=2), "store: 2 of 3 processed"),
        (structs.replace(STORE, retrying=1), "store: 1 unfinished, 0 dead letters"),
        (structs.replace(STORE, dead=1), "store: 0 unfinished, 1 dead letters"),
    ],
)
def test_the_proof_asks_the_store_too(store: QueueStatus, fault: str, faults_of):
    assert faults_of(ACCEPTED + DELIVERED + DIGESTS, store) == [fault]
