"""The engine's store and scheduler inside a Durable Object: its SQL database and its alarm."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from durable_primitives.errors import BackendUnavailableError, StorageSchemaTooNewError
from durable_primitives.kernel.apply import apply, claim, renew
from durable_primitives.kernel.record import DeadLetter, Item, Record, Snapshot, Tally
from durable_primitives.kernel.transition import Claim, ClaimRequest, LeaseRef, Outcome, Renewal, Transition
from durable_primitives.spi import Bell, Capabilities, Reply
from durable_primitives_cloudflare.object import reading, sweeping
from durable_primitives_cloudflare.object.alarm import Alarm
from durable_primitives_cloudflare.object.life import Life
from durable_primitives_cloudflare.object.rows import record_blob, record_of
from durable_primitives_cloudflare.object.shelf import ObjectShelf
from durable_primitives_cloudflare.object.statements import sql
from durable_primitives_cloudflare.object.storage import MAX_PAYLOAD, ObjectStorage

T = TypeVar("T")

SCHEMA_VERSION = 1

SWEEP_LATER_MS = 60 * 60 * 1000
"""What has outlived its use may lie for an hour, so that one alarm sweeps it all."""

BACKEND = "cloudflare"


class ObjectBackend:
    """One transaction per commit, each a single synchronous turn; its last word is the alarm.

    A Durable Object is the only one that touches its database, so records are kept in memory: what they hold can be
    read from the rows at any time, and is, whenever the object starts or a transaction fails.

    Args:
        storage: The object's storage.
        now: The wall clock, in milliseconds since the epoch.
    """

    capabilities = Capabilities(durable=True, multi_process=False, immediate=True, max_payload=MAX_PAYLOAD)
    url = "cloudflare:"

    def __init__(self, storage: ObjectStorage, now: Callable[[], int]) -> None:
        self.storage = storage
        self.alarm = Alarm(storage)
        self._now = now
        self._prefix: str | None = None
        self._shelf: ObjectShelf | None = None
        self._bell = Bell()

    async def open(self, namespace: str) -> None:
        await self.alarm.look()
        self.storage.transaction(self._make_schema)
        self._prefix = f"{namespace}/"
        self._shelf = None

    async def close(self) -> None:
        self._prefix = self._shelf = None

    def _make_schema(self) -> None:
        run = self.storage.execute
        ((found,),) = run(sql("find_schema"))
        if not found:
            for statement in sql("create_schema").split(";\n"):
                run(statement)
        ((version,),) = run(sql("find_version"))
        if version > SCHEMA_VERSION:
            raise StorageSchemaTooNewError(version, SCHEMA_VERSION, backend=BACKEND)

    @property
    def shelf(self) -> ObjectShelf:
        """The instances, read again if need be."""
        if self._shelf is None:
            self._shelf = self._read_all()
        return self._shelf

    def _read_all(self) -> ObjectShelf:
        if self._prefix is None:
            raise BackendUnavailableError(
                "the object's storage is not open",
                backend=BACKEND,
                outcome="not_applied",
                help="await open(namespace) first",
            )
        run, lives, expiries = self.storage.execute, dict[str, Life](), list[int]()
        ((last_key,),) = run(sql("find_last_key"))
        for ik, blob in run(sql("load_instances"), self._prefix, reading.behind(self._prefix)):
            life = Life.stored(ik, record_of(blob))
            for newer in run(sql("load_newer_events"), ik, life.record.sequence):
                life.replay(*reading.appended(newer))
            assert life.durable is not None
            life.record = life.durable.copy()
            lives[life.record.instance] = life
            expiries += [at for (at,) in run(sql("find_first_expiry"), ik) if at is not None]
        shelf = ObjectShelf(self.storage, lives, last_key)
        shelf.first_expiry = min(expiries, default=None)
        return shelf

    # Changing it.

    def commit_now(self, transitions: Sequence[Transition], request: ClaimRequest | None = None) -> Reply:
        return self._transact(lambda: self._commit(transitions, request))

    async def commit(self, transitions: Sequence[Transition], request: ClaimRequest | None = None) -> Reply:
        return self.commit_now(transitions, request)

    def _commit(self, transitions: Sequence[Transition], request: ClaimRequest | None) -> Reply:
        shelf = self.shelf
        outcomes: list[Outcome] = []
        for transition in transitions:
            outcome = apply(transition, shelf)
            outcomes.append(outcome)
            if outcome.verdict == "applied":
                self._store(transition.instance)
        return outcomes, [] if request is None else self._claim(request)

    def _claim(self, request: ClaimRequest) -> list[Claim]:
        due = [
            (alarm, life.ik, life.record)
            for life in self.shelf.lives.values()
            if (alarm := life.record.alarm) is not None and alarm <= request.at
        ]
        claims: list[Claim] = []
        for _, _, record in sorted(due, key=lambda found: found[:2])[: max(request.limit, 0)]:
            claims.append(claim(record, request, self.shelf))
            self._store(record.instance)
        return claims

    def renew(self, leases: Sequence[LeaseRef], until: int) -> Sequence[Renewal]:
        return self._transact(lambda: [self._renew(ref, until) for ref in leases])

    def _renew(self, ref: LeaseRef, until: int) -> Renewal:
        answer = renew(ref, self.shelf.record(ref.instance), until)
        if answer.held:
            self._store(ref.instance)
        return answer

    async def sweep(self, now: int, budget: int) -> int:
        return self._transact(lambda: sweeping.sweep(self.storage, self.shelf, self._name, now, budget))

    def end_leases(self, now: int) -> None:
        """A new life of the object: whoever had a lease in the last one is gone, and what it held is due.

        Cloudflare runs an object in one place at a time, so nobody has to wait for a lease to run out.
        """
        for life in self.shelf.lives.values():
            if life.record.owner is not None:
                life.record.lease_until = min(life.record.lease_until, now)

    def rearm(self) -> None:
        """See to it that the alarm stands where it must."""
        self._transact(lambda: None)

    def heal(self) -> None:
        """`rearm`, if an alarm that should have fired did not."""
        due = self.wanted()
        if due is not None and due <= self._now():
            self.rearm()

    def _transact(self, body: Callable[[], T]) -> T:
        before = self.next_alarm()

        def change() -> T:
            result = body()
            self.alarm.arm(self.wanted(), self._now())
            return result

        try:
            result = self.storage.transaction(change)
        except BaseException:
            # What is in memory may be ahead of what was rolled back.
            self._shelf = None
            self.alarm.forget()
            raise
        after = self.next_alarm()
        if after is not None and (before is None or after < before):
            self._bell.ring()
        return result

    def _store(self, instance: str) -> None:
        """Write a record, unless its rows say the same already."""
        life = self.shelf.lives[instance]
        if life.durable != life.record:
            name = self._name(instance)
            self.storage.execute(sql("put_instance"), name, life.ik, record_blob(name, life.record))
            life.durable = life.record.copy()

    def _name(self, instance: str) -> str:
        return f"{self._prefix}{instance}"

    # Looking at it.

    async def load(self, instance: str, receipts: Sequence[str] = (), letters: Sequence[str] = ()) -> Snapshot:
        return reading.load(self.shelf, instance, receipts, letters)

    async def items(self, instance: str, segment: int, after: int, limit: int) -> Sequence[Item]:
        return reading.items(self.storage, self.shelf, instance, segment, after, limit)

    async def letters(self, instance: str, after: str, limit: int) -> Sequence[DeadLetter]:
        return reading.letters(self.storage, self.shelf, instance, after, limit)

    async def scan(self, prefix: str, after: str, limit: int) -> Sequence[Record]:
        return reading.scan(self.shelf, prefix, after, limit)

    async def tally(self, instance: str, now: int) -> Tally:
        return reading.tally(self.storage, self.shelf, instance, now)

    # Waking.

    def next_alarm(self) -> int | None:
        """The earliest alarm of the instances."""
        alarms = (life.record.alarm for life in self.shelf.lives.values())
        return min((alarm for alarm in alarms if alarm is not None), default=None)

    def next_sweep(self) -> int | None:
        """When a row has outlived its use for so long that it is worth an alarm."""
        purges = (life.record.purge_at for life in self.shelf.lives.values())
        times = [at for at in (self.shelf.first_expiry, *purges) if at is not None]
        return min(times) + SWEEP_LATER_MS if times else None

    def wanted(self) -> int | None:
        """When the platform must wake the object: the minimum of everything that is stored."""
        return min((at for at in (self.next_alarm(), self.next_sweep()) if at is not None), default=None)

    async def next_due(self) -> int | None:
        return self.next_alarm()

    async def wait(self, seconds: float) -> None:
        await self._bell.wait(seconds)
