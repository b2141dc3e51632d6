"""What must hold over the journal of a producer and the trace of its workers, however often those were killed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

from tests.acceptance.crash_app import Event

Entry = dict[str, Any]


def check(journal: list[Entry], trace: list[Entry], report: Entry) -> None:
    """All of it."""
    work_was_interrupted(trace)
    enqueued = [entry for entry in journal if entry["call"] == "enqueue"]
    runs = [entry for entry in trace if entry["what"] in ("start", "end", "killed")]
    nothing_acknowledged_is_lost(enqueued, runs, report)
    one_id_is_one_event(journal)
    a_key_is_in_order(enqueued, runs, set(report["redriven"]))
    no_two_live_owners_run_one_key(runs)
    flushes = [entry for entry in trace if entry["what"] in ("flush", "flushed")]
    a_batch_never_changes(flushes)
    each_event_is_in_one_batch("buffer:batches:", flushes, (e["id"] for e in journal if e["call"] == "add"))
    sent_on = (e["id"] for e in enqueued if Event(e["key"], e["n"]).is_sent_on)
    each_event_is_in_one_batch("buffer:digests:", flushes, sent_on)
    batches = [flush for flush in flushes if flush["buffer"].startswith("buffer:batches:")]
    batches_are_in_order(batches, set(report["redriven"]))
    for id, job in report["jobs"].items():
        the_state_is_never_torn([entry for entry in trace if entry["what"] == "run" and entry["id"] == id], job)


def work_was_interrupted(trace: list[Entry]) -> None:
    """Or the test tests nothing."""
    starts = Counter(entry["id"] for entry in trace if entry["what"] == "start" and entry["delivery"] > 1)
    attempts = Counter((entry["flush_id"], entry["attempt"]) for entry in trace if entry["what"] == "flush")
    runs = Counter((entry["id"], entry["run"]) for entry in trace if entry["what"] == "run")
    assert starts, "no event was ever delivered again"
    assert max(attempts.values()) > 1, "no flush was ever interrupted"
    assert max(runs.values()) > 1, "no run was ever interrupted"


def nothing_acknowledged_is_lost(enqueued: list[Entry], runs: list[Entry], report: Entry) -> None:
    sent = {entry["id"] for entry in enqueued}
    done = {entry["id"] for entry in runs if entry["what"] == "end" and entry["well"]}
    assert sent == done, f"lost: {sorted(sent - done)[:5]}, never acknowledged: {sorted(done - sent)[:5]}"
    assert (report["live"], report["dead"]) == (0, 0)
    assert report["processed"] == len(sent), "an event was completed twice, or not at all"


def one_id_is_one_event(journal: list[Entry]) -> None:
    accepted = Counter(entry["id"] for entry in journal if not entry["duplicate"])
    assert set(accepted.values()) == {1}
    assert set(accepted) == {entry["id"] for entry in journal}
    repeated = [entry for entry in journal if entry["call"] == "enqueue" and entry["duplicate"]]
    assert repeated, "no duplicate was ever sent: the test tests nothing"


def a_key_is_in_order(enqueued: list[Entry], runs: list[Entry], redriven: set[str]) -> None:
    """Nothing of an event is seen once its successor has begun; what was given up on may come back later."""
    order: dict[str, list[int]] = defaultdict(list)
    for run in runs:
        if run["what"] != "killed" and run["id"] not in redriven:
            order[run["key"]].append(run["n"])
    assert set(order) == {entry["key"] for entry in enqueued}
    for key, numbers in order.items():
        assert numbers == sorted(numbers), f"{key} ran out of order"


def no_two_live_owners_run_one_key(runs: list[Entry]) -> None:
    running: dict[str, Entry] = {}
    for run in runs:
        if run["what"] == "killed":
            running = {key: open for key, open in running.items() if open["pid"] != run["victim"]}
        elif run["what"] == "start":
            assert run["key"] not in running, f"{run} overlaps {running[run['key']]}"
            running[run["key"]] = run
        else:
            begun = running.pop(run["key"])
            assert (begun["id"], begun["pid"]) == (run["id"], run["pid"])
    assert running == {}


def a_batch_never_changes(flushes: list[Entry]) -> None:
    content: dict[str, list[str]] = {}
    for flush in flushes:
        assert flush["content"]
        assert content.setdefault(flush["flush_id"], flush["content"]) == flush["content"]


def each_event_is_in_one_batch(prefix: str, flushes: list[Entry], accepted: Iterable[str]) -> None:
    done = {f["flush_id"]: f["content"] for f in flushes if f["what"] == "flushed" and f["buffer"].startswith(prefix)}
    found = Counter(event for content in done.values() for event in content)
    assert found == Counter(set(accepted))


def batches_are_in_order(flushes: list[Entry], redriven: set[str]) -> None:
    """Events as they were acknowledged, none left out; a batch that was given up on may come back later."""
    firsts: dict[str, dict[str, list[str]]] = defaultdict(dict)
    for flush in flushes:
        firsts[flush["buffer"]].setdefault(flush["flush_id"], flush["content"])
    for batches in firsts.values():
        contents = [[int(event.rpartition("-")[2]) for event in content] for content in batches.values()]
        everything = sorted(number for content in contents for number in content)
        assert everything == list(range(len(everything)))
        assert all(content == list(range(content[0], content[-1] + 1)) for content in contents)
        begun = [content[0] for id, content in zip(batches, contents, strict=True) if id not in redriven]
        assert begun == sorted(begun), "batches overtook each other"


def the_state_is_never_torn(runs: list[Entry], job: Entry) -> None:
    assert all(run["whole"] for run in runs)
    assert all(run["n"] == run["run"] - 1 for run in runs), "a state that is not that of the runs before it"
    numbers = [run["run"] for run in runs]
    assert numbers == sorted(numbers)
    assert set(numbers) == set(range(1, job["runs"] + 1))
    assert (job["n"], job["whole"]) == (job["runs"], True)
