"""One deliberate defect per line, by the property whose cases must notice it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec.structs import replace

from durable_primitives.kernel.record import NEVER, Tally
from durable_primitives.kernel.transition import FLUSH_DUE, WINDOW_DUE
from durable_primitives.spi import Backend, Capabilities

from . import broken_backends as backends
from . import broken_commits as commits
from . import broken_lives as lives
from . import doors
from .doors import at, over

Broken = Callable[[], Backend]


def forget(*parts: str) -> Broken:
    """Parts of a transition have no effect."""
    return at("transition", lambda t: doors.without(t, *parts))


def unguarded(guard: str) -> Broken:
    return at("transition", lambda t: t if t.guard is None else replace(t, guard=replace(t.guard, **{guard: None})))


def each(part: str, **changes: Any) -> Broken:
    """Every element of a part goes in changed."""
    return at("transition", lambda t: replace(t, **{part: tuple(replace(x, **changes) for x in getattr(t, part))}))


def one(part: str, **changes: Any) -> Broken:
    """A part goes in changed."""
    return at("transition", lambda t: t if getattr(t, part) is None else doors.with_part(t, part, **changes))


def ask(**changes: Any) -> Broken:
    return at("request", lambda request: replace(request, **changes))


def tell(**changes: Any) -> Broken:
    """Every applied outcome comes out changed."""
    return at("outcome", lambda outcome: replace(outcome, **changes) if outcome.verdict == "applied" else outcome)


def claim(**changes: Any) -> Broken:
    return at("claim", lambda claim: replace(claim, **changes))


def after(when: Callable[[Any], object], **changes: Any) -> Broken:
    """The record ends up changed after some transitions; a value may be a function of (transition, record)."""

    def spoil(t: Any, record: Any) -> None:
        if when(t):
            for name, value in changes.items():
                setattr(record, name, value(t, record) if callable(value) else value)

    return doors.keeps(spoil)


def lingers(when: Callable[[Any], object]) -> Broken:
    """The time of a record runs although something keeps it."""
    return doors.keeps(lambda t, record: when(record) and setattr(record, "purge_at", t.at + 100))


def unarmed(when: Callable[[Any], object]) -> Broken:
    """The due of the items is lost after some transitions."""
    return doors.keeps(lambda t, record: when(t) and record.dues.pop("items", None))


def due(name: str, when: Callable[[Any, Any], object], ms: Callable[[Any], int]) -> Broken:
    """A named due ends up wrong after some transitions."""
    return doors.keeps(lambda t, record: when(t, record) and record.dues.update({name: ms(t)}))


method, shows, opens = backends.method, backends.shows, backends.every_row

ATOMICITY = {
    "forgets the due times": forget("dues"),
    "forgets the items": forget("append"),
    "forgets to remember": forget("remember"),
    "applies half of a refused transition": over(commits.AppliesHalfOfARefusal),
    "makes the instance before it checks": over(commits.MakesTheInstanceFirst),
    "stops at the first refusal": over(commits.StopsAtARefusal),
    "applies the last transition first": over(commits.AppliesTheLastFirst),
    "claims before it commits": over(commits.ClaimsFirst),
    "refuses an empty commit": method(commit_now=backends.refuse_empty),
    "mixes up commits in flight": backends.MixesUpCommitsInFlight,
    "hands out its own records": over(commits.HandsOutItsOwn),
    "hides that it is immediate": method(capabilities=Capabilities(durable=True, multi_process=True)),
}

GUARDS = {
    **{
        f"ignores the guard on {guard}": unguarded(guard)
        for guard in ("exists", "version", "generation", "segment", "token")
    },
    "ignores the guard on room": unguarded("room"),
    "calls a lost lease a conflict": at("outcome", doors.conflict_for_fenced),
    "creates what does not exist": at("transition", lambda t: t if t.create else replace(t, create=doors.LIVE)),
    "creates what exists": over(commits.CreateOverwrites),
    "raises the version with every change": after(lambda t: t.append, version=lambda t, record: record.version + 1),
    "rejects only what exists": over(commits.RoomForTheFirst),
    "counts duplicates as new": over(commits.CountsDuplicatesAsNew),
    "drops nothing": forget("on_full"),
    "rejects in a new instance what it should drop": over(commits.RejectsInANewInstance),
    "drops the newest": over(commits.DropsTheNewest),
    "rejects what it cannot drop": over(commits.RejectsWhatItCannotDrop),
    "counts events without an id once": over(commits.CountsEventsWithoutAnIdOnce),
    "drops what is in hand": over(commits.DropsWhatIsInHand),
    "lets an owner contradict itself": at("transition", doors.last_words),
}

ORDERING = {
    "knows no rank": each("append", rank=0),
    "knows no delay": each("append", due=0),
    "knows no lane": each("append", lane=None),
    "knows one lane only": each("append", lane="same"),
    "lets an event pass its lane": over(commits.NoClampInALane),
    "lets a delayed event be passed": each("append", blocks=False),
    "lets an event in backoff be passed": each("reschedule", blocks=False),
    "holds a lane that was told to go on": each("reschedule", blocks=True),
    "serves what waited last": at("outcome", doors.by_sequence),
    "gives one more than asked for": at("transition", lambda t: replace(t, take=t.take + 1) if t.take else t),
    "gives one of a lane at a time": over(commits.OneOfALaneAtATime),
    "forgets what is in hand": after(lambda t: t.take, taken=()),
    "forgets what is given back": forget("give_back"),
    "forgets why an attempt failed": each("reschedule", error=None),
    "holds nothing": one("put", held=False),
    "loses the end of a long take": at("outcome", lambda outcome: replace(outcome, items=outcome.items[:4])),
}

IDEMPOTENCY = {
    "tells duplicates of their own place": at("outcome", doors.last_position),
    "looks up nothing": each("append", fresh=True),
    "looks up before the commit": over(commits.LooksUpBeforeTheCommit),
    "looks up before its turn": backends.LooksUpTooEarly,
    "forgets ids in backoff": commits.forgets_ids(lambda t, receipt: bool(t.reschedule)),
    "forgets ids that have ended": commits.forgets_ids(lambda t, receipt: receipt.settlement is not None),
    "forgets fresh ids": commits.forgets_ids(lambda t, receipt: any(new.fresh for new in t.append)),
    "remembers for ever": each("remove", expires_at=NEVER),
    "moves a timer for a duplicate": over(commits.DuesForDuplicates),
    "remembers nothing without an item": forget("remember"),
    "takes no id for an id": at("transition", doors.with_ids),
    "shares ids between instances": over(commits.IdsOfAllInstances),
    "loses track of what waits": over(commits.ReceiptsStayBehind),
    "does not tell of cancellations": tell(cancels=()),
    "cancels what it remembers": over(commits.CancelsWhatItRemembers),
    "asks twice": at("outcome", lambda outcome: replace(outcome, cancels=outcome.cancels * 2)),
    "calls the dead done": one("retire", settlement="done"),
}

DUES = {
    "knows no word but `set`": each("dues", how="set"),
    "changes dues in the wrong order": at("transition", lambda t: replace(t, dues=t.dues[::-1])),
    "brings alarms nearer only": over(lives.AlarmsOnlyComeNearer),
    "tells of the latest alarm": over(lives.LatestAlarm),
    "claims a millisecond early": at("request", lambda request: replace(request, at=request.at + 1)),
    "claims by name": over(lives.ClaimsByName),
    "uses up the dues with a claim": over(lives.ClaimsUseUpTheDues),
    "arms nothing": unarmed(lambda t: t.append),
    "arms for the last item": due("items", lambda t, record: t.append, lambda t: max(t.at, t.append[-1].due)),
    "arms nothing after a retry": unarmed(lambda t: t.reschedule or t.release == "yes"),
    "arms nothing after a release": unarmed(lambda t: t.release != "no"),
    "arms nothing for what is let go": due("items", lambda t, record: t.cancel, lambda t: 500),
    "retries at once": each("reschedule", due=0),
    "releases what is not idle": at("transition", lambda t: replace(t, release="yes" if t.release == "idle" else "no")),
    "keeps what is held out of sight": after(lambda t: t.put and t.put.held, dues=lambda t, record: {}),
    "strands an abandoned lease": over(lives.AlarmsWithoutLeases),
    "forgets in a pause what is ready": doors.keeps(
        lambda t, record: t.release == "idle" and record.held and record.dues.pop("items", None)
    ),
    "rechecks nothing": each("dues", name="run"),
    "clears the dues of namesakes": over(lives.ClearsTheDuesOfNamesakes),
}

LEASES = {
    "lets anybody in": over(lives.LeasesKeepNobodyOut),
    "mixes up commits in flight": backends.MixesUpCommitsInFlight,
    "starts tokens anew": after(lambda t: t.erase, token=0),
    "counts claims for tokens": over(lives.CountsClaimsForTokens),
    "strands an abandoned lease": over(lives.AlarmsWithoutLeases),
    "knows no fence": unguarded("token"),
    "never releases": forget("release"),
    "fences by the clock": over(lives.FencesByTheClock),
    "renews nothing": method(renew=backends.renew_nothing),
    "renews whatever it is asked": over(lives.RenewsWhateverItIsAsked),
    "names no suspects": claim(suspects=()),
    "forgets progress": forget("progress"),
    "marks nothing": forget("mark"),
    "claims no items": ask(take=0),
    "claims old records": at("claim", lambda claim: replace(claim, record=replace(claim.record, data=b""))),
    "claims everything": ask(limit=1_000),
    "starts what is held": over(lives.StartsWhatIsHeld),
    "forgets cancellations with their owner": over(lives.ForgetsCancelRequests),
    "takes the lease from an owner": after(lambda t: t.append, owner=None),
}

GENERATIONS = {
    "has a bound of its own": at("transition", doors.bounded),
    "opens no window": one("batching", window_ms=None),
    "always opens a window": one("batching", window_ms=100),
    "knows no full batch": one("batching", max_items=None),
    "seals nothing": forget("seal"),
    "knows no guard on the batch": unguarded("segment"),
    "adds to a sealed batch": after(lambda t: True, segment=1),
    "hastens a retry": due(FLUSH_DUE, lambda t, r: FLUSH_DUE in r.dues and (t.batching or t.seal), lambda t: t.at),
    "has one due for both": doors.keeps(lambda t, record: WINDOW_DUE in record.dues and record.dues.pop(FLUSH_DUE, 0)),
    "looks up nothing": each("append", fresh=True),
    "seals for a duplicate": over(commits.SealsForADuplicate),
    "retires the first batch only": one("retire", segment=1),
    "forgets retired ids at once": one("retire", expires_at=0),
    "clears sealed batches": one("clear", segment=0),
    "leaves a window open": due(WINDOW_DUE, lambda t, record: t.clear and not t.dues, lambda t: t.at),
    "clears what is in hand": over(commits.ClearsWhatIsInHand),
    "gives single events": each("append", due=0),
}

LIFETIMES = {
    "erases nothing": forget("erase"),
    "keeps letters of the dead": over(lives.KeepsLettersOfTheDead),
    "keeps ids of the dead": over(lives.KeepsIdsOfTheDead),
    "ends with its tombstone": over(lives.EndsWithItsTombstone),
    "ends a tombstone": over(lives.EndsATombstone),
    "lets the dead be written": over(lives.LetsTheDeadBeWritten),
    "stays in its generation": after(lambda t: t.erase, generation=1),
    "starts versions anew": after(lambda t: t.erase, version=0),
    "starts sequences anew": after(lambda t: t.erase, sequence=0),
    "creates unseen": tell(created=False),
    "erases what it has just created": at("transition", lambda t: replace(t, create=None) if t.erase else t),
    "erases the erased": over(lives.ErasesTheErased),
    "keeps a tombstone for a moment": after(lambda t: t.erase, purge_at=lambda t, record: t.at + 1),
}

LETTERS = {
    "keeps them for ever": each("bury", expires_at=NEVER),
    "forgets why": each("bury", error=""),
    "buries no batches": at("transition", lambda t: replace(t, bury=tuple(b for b in t.bury if b.item is not None))),
    "lists every page from the start": method(letters=backends.first_letters),
    "redrives nothing": forget("redrive"),
    "arms no redrive": unarmed(lambda t: t.redrive),
    "forgets redriven ids": commits.forgets_ids(lambda t, receipt: bool(t.redrive)),
    "redrives again and again": over(lives.RedrivesAgainAndAgain),
    "discards nothing": forget("discard"),
    "counts no redrives": at("outcome", lambda outcome: replace(outcome, cleared=0)),
    "counts the dead for the finished": after(lambda t: t.bury or t.remove, finished=lambda t, r: len(t.bury)),
    "forgets discarded ids": commits.forgets_ids(lambda t, receipt: bool(t.discard)),
    "calls the dead finished": after(lambda t: t.bury, finished=lambda t, record: record.finished + 1),
}

SCAN = {
    "tallies what is not there": shows(tally=Tally(0, 0, 0, 0, 0)),
    "takes a prefix for a pattern": method(scan=backends.scan_by_pattern),
    "scans without a limit": method(scan=backends.scan_without_limit),
    "scans past tombstones": method(scan=backends.scan_the_living),
    "loses bytes": one("put", data=b""),
    "lists every page from the start": method(items=backends.first_items),
    "uses up the alarm it tells of": over(lives.NextDueUsesUp),
}

SWEEP = {
    "sweeps nothing": shows(sweep=0),
    "sweeps the living": over(lives.SweepsTheLiving),
    "sweeps everything at once": over(lives.SweepsAllAtOnce),
    "sweeps so much of each": over(lives.SweepsSoMuchOfEach),
    "sweeps no letters": over(lives.SweepsNoLetters),
    "keeps any number of letters": over(lives.KeepsAnyNumberOfLetters),
    "sweeps the newest of too many letters": over(lives.SweepsTheNewestLetters),
    "sweeps too many letters by name": over(lives.SweepsLettersByName),
    "counts the letters of all instances": over(lives.CountsLettersOfAll),
    "sweeps letters with their instance": over(lives.SweepsLettersEarly),
    "lingers for ever": after(lambda t: True, purge_at=None),
    "lingers from the start": after(lambda t: True, purge_at=lambda t, record: 100),
    "lingers anew with every look": after(lambda t: t.cancel, purge_at=lambda t, record: t.at + 100),
    "lingers under a lease": lingers(lambda record: record.owner is not None),
    "lingers with an open batch": lingers(lambda record: record.count > 0 and not record.dues),
    "lingers as first said": over(lives.FirstRetentionCounts),
    "remembers swept ids": over(lives.SweptIdsLiveOn),
}

RECOVERY = {
    "loses dead letters": opens(lambda rows: rows.letters.clear()),
    "loses due times": opens(lambda rows: rows.record.dues.clear()),
    "loses leases": opens(lambda rows: setattr(rows.record, "owner", None)),
    "loses ids": opens(lambda rows: rows.receipts.clear()),
    "revives what was done": opens(backends.revive_the_done),
    "loses the last commit": method(close=backends.lose_the_newest),
    "closes once": backends.ClosesOnce,
    "closes what was opened only": backends.ClosesWhatWasOpened,
}

WAKEUPS = {
    "forgets changes before the wait": method(wait=backends.wait_from_now_on),
    "forgets changes during the wait": method(wait=backends.wait_without_listening),
    "rings once": method(wait=backends.wait_once),
    "wakes one": method(wait=backends.wait_alone),
    "waits for ever": method(wait=backends.wait_for_a_change),
    "oversleeps": method(wait=backends.oversleep),
    "is deaf after a cancelled wait": method(wait=backends.wait_until_cancelled),
    "learns nothing from a claim": backends.LearnsNothingFromAClaim,
    "rings its own bell only": backends.RingsOnlyItsOwnBell,
}

NAMESPACES = {
    "has one namespace": method(open=backends.open_the_only_namespace),
    "folds case": method(open=backends.open_folded),
    "keeps processes apart": method(open=backends.open_a_copy),
    "wipes what it does not know": method(open=backends.open_wiping_others),
    "has one store": backends.OneForAll,
}

# A few that show only after some steps, in one kind of instance or in the other.
MODEL = {
    "knows no rank": each("append", rank=0),
    "redrives again and again": over(lives.RedrivesAgainAndAgain),
    "loses leases": opens(lambda rows: setattr(rows.record, "owner", None)),
    "seals nothing": forget("seal"),
    "retires the first batch only": one("retire", segment=1),
    "has one due for both": GENERATIONS["has one due for both"],
}

DEFECTS: dict[str, Mapping[str, Broken]] = {
    "atomicity": ATOMICITY,
    "guards": GUARDS,
    "ordering": ORDERING,
    "idempotency": IDEMPOTENCY,
    "dues": DUES,
    "leases": LEASES,
    "generations": GENERATIONS,
    "lifetimes": LIFETIMES,
    "letters": LETTERS,
    "scan": SCAN,
    "sweep": SWEEP,
    "recovery": RECOVERY,
    "wakeups": WAKEUPS,
    "namespaces": NAMESPACES,
    "model": MODEL,
}
