"""Faults of one line that somebody might make in the engine, and what each of them would break.

The text of each must stand in its file exactly once: a mutant that no longer applies is to be brought up to date.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple


class Mutant(NamedTuple):
    """One fault."""

    name: str
    file: str
    """Below `python/durable_primitives/`."""
    old: str
    new: str
    why: str
    """Which promise it breaks."""

    @property
    def core(self) -> str:
        """Which core runs the code at fault; the Rust one has its own twin of the transitions."""
        is_twin = self.file == "kernel/apply.py" or self.file.startswith("_core/_reference/")
        return "reference" if is_twin else "native"


def _of(file: str, *faults: tuple[str, str, str, str]) -> Iterator[Mutant]:
    for name, old, new, why in faults:
        yield Mutant(name, file, old, new, why)


MUTANTS: tuple[Mutant, ...] = (
    *_of(
        "kernel/apply.py",
        (
            "skip the fence",
            "if guard.token is not None and (record is None or record.owner is None or record.token != guard.token):",
            "if guard.token is not None and (record is None or record.owner is None):",
            "a late commit of an owner that lost its lease is accepted",
        ),
        (
            "skip the check of the version",
            "if guard.version is not None and (record is None or record.version != guard.version):",
            "if guard.version is not None and record is None:",
            "a decision overwrites what was written since it looked",
        ),
        (
            "skip the check of the generation, and of the token with it",
            "        return \"fenced\"\n    if guard.generation is not None",
            "        pass\n    if guard.generation is not None",
            "what was terminated is written to",
        ),
        (
            "take over without a new token",
            "    record.token += 1\n",
            "    record.token += record.token == 0\n",
            "the owner before passes the fence",
        ),
        (
            "forget the event id at its acceptance",
            "                if known is not None:\n                    self.accepted",
            "                if known is not None and known.settlement is not None:\n                    self.accepted",
            "a live event is accepted twice",
        ),
        (
            "forget the event id when its event has ended",
            "                if known is not None:\n                    self.accepted",
            "                if known is not None and known.settlement is None:\n                    self.accepted",
            "an event that was done is accepted again",
        ),
        (
            "a remembered id is no duplicate",
            '        return "duplicate" if known else None',
            "        return None",
            "a folded event is accepted twice",
        ),
        (
            "a receipt never expires",
            "if receipt is None or (receipt.expires_at is not None and receipt.expires_at <= at):",
            "if receipt is None:",
            "an id is taken for known after its window",
        ),
        (
            "drop the due of an item",
            "            if dues.get(ITEMS_DUE, NEVER) > at:\n                dues[ITEMS_DUE] = at",
            "            if dues.get(ITEMS_DUE, NEVER) > at:\n                pass",
            "an accepted event has no due time",
        ),
        (
            "a retry does not arm its due",
            "            self.arm(change.due)\n",
            "",
            "an event that was put back has no due time",
        ),
        (
            "a later due replaces an earlier one",
            "            if dues.get(ITEMS_DUE, NEVER) > at:",
            "            if dues.get(ITEMS_DUE, 0) < at:",
            "an event that is due waits for one that is not",
        ),
        (
            "release although items were left",
            "due = self.shelf.item_due(record, after) if record.count else None",
            "due = None",
            "work is left behind when the lease is given back",
        ),
        (
            "give back the lease with items in hand",
            'if t.release == "yes" or (t.release == "idle" and not record.taken):',
            'if t.release != "no":',
            "another worker runs what is in hand",
        ),
        (
            "an append does not bring its window",
            "                    record.dues[WINDOW_DUE] = t.at + batching.window_ms",
            "                    pass",
            "a batch that does not fill is never flushed",
        ),
        (
            "every event restarts the window",
            "            if record.segment_count == 1:\n",
            "            if record.segment_count >= 1:\n",
            "a batch waits as long as events come in",
        ),
        (
            "a sealed batch has no due",
            "        record.dues.setdefault(FLUSH_DUE, self.t.at)",
            "        pass",
            "a full batch is not flushed",
        ),
        (
            "the window outlives its batch",
            "        record.segment_count = 0\n        record.dues.pop(WINDOW_DUE, None)\n        # A due",
            "        record.segment_count = 0\n        # A due",
            "the next batch is flushed too early",
        ),
        (
            "one too many in a batch",
            "record.segment_count >= batching.max_items:",
            "record.segment_count > batching.max_items:",
            "a batch holds more than max_events",
        ),
        (
            "take while paused",
            "        if record.held:\n            return\n        self.items",
            "        self.items",
            "a paused queue runs",
        ),
        (
            "claim items while paused",
            "wanted = request.take > 0 and record.count and not record.held",
            "wanted = request.take > 0 and record.count",
            "a paused queue runs",
        ),
        (
            "forget what was taken",
            "        record.taken += tuple(item.seq for item in self.items)",
            "        pass",
            "an event is given out twice",
        ),
        (
            "forget what the owner before had in hand",
            "    return Claim(record.copy(), tuple(items), suspects)",
            "    return Claim(record.copy(), tuple(items), ())",
            "an event that kills its process is never found",
        ),
        (
            "count no deliveries",
            "    record.deliveries += 1\n",
            "",
            "a batch that kills its process is never given up",
        ),
        (
            "renew a lease that is lost",
            "if record is None or record.owner is None or record.token != ref.token:",
            "if record is None or record.owner is None:",
            "a worker that lost its lease does not hear of it",
        ),
        (
            "do not renew",
            "    record.lease_until = until\n",
            "",
            "a handler that takes longer than a lease is run twice",
        ),
        (
            "terminate without a new generation",
            "    record.version += 1\n    record.generation += 1\n",
            "    record.version += 1\n",
            "a late write of an erased life is accepted",
        ),
        (
            "terminate leaves the due times",
            "    record.dues, record.owner, record.taken, record.cancels = {}, None, (), ()",
            "    record.owner, record.taken, record.cancels = None, (), ()",
            "a terminated instance is due for ever",
        ),
        (
            "bury without a dead letter",
            "            shelf.keep_letter(record, _letter(burial, t.at))",
            "            pass",
            "failure deletes",
        ),
        (
            "a redriven letter stays",
            "        shelf.drop_letter(record, id)\n",
            "",
            "a dead letter can be redriven twice",
        ),
        (
            "refuse nobody at a full queue",
            "            if new and new + (0 if record is None else record.count) > guard.room:",
            "            if new and new > guard.room:",
            "max_pending does not hold",
        ),
        (
            "a cancelled event keeps its receipt alive",
            '        self.settle(item, "cancelled", self.t.at + (record.linger_ms or TOMBSTONE_MS))',
            '        self.settle(item, "done", self.t.at + (record.linger_ms or TOMBSTONE_MS))',
            "what was cancelled counts as done",
        ),
        (
            "purge what is not idle",
            "    if not idle or record.dues or record.count:",
            "    if not idle:",
            "the record of an instance with work is deleted",
        ),
        (
            "a priority breaks the order of a lane",
            "            rank = rank if before is None else max(rank, before)",
            "            pass",
            "a later event of a key overtakes an earlier one",
        ),
    ),
    *_of(
        "_core/_reference/memory_store.py",
        (
            "run what is not due yet",
            "        first_later = bisect_right(rows.order, (now, NEVER, NEVER))",
            "        first_later = bisect_right(rows.order, (now + 1000, NEVER, NEVER))",
            "a delayed event starts early",
        ),
        (
            "a lane holds nobody back",
            "        if seq not in taken and (item.due or waits):\n            return True",
            "        if seq not in taken and (item.due or waits):\n            return False",
            "the successor of an event in backoff starts before it",
        ),
        (
            "clear what is in hand",
            '_expire(rows, lambda part: part.segment >= segment and part.seq not in taken, "cleared", expires_at)',
            '_expire(rows, lambda part: part.segment >= segment, "cleared", expires_at)',
            "an event that runs is called cleared",
        ),
        (
            "retire one batch too many",
            "        return _drop_items(rows, lambda part: part.segment <= segment)",
            "        return _drop_items(rows, lambda part: part.segment <= segment + 1)",
            "events of the next batch are lost",
        ),
        (
            "leave the alarm of a released instance",
            "        elif self._alarms.get(instance) != alarm:",
            "        elif self._alarms.get(instance) is None:",
            "an instance is looked at when its old alarm said so",
        ),
    ),
    *_of(
        "_core/_reference/ready_queue.py",
        (
            "the wrong order of a lane",
            "        seq, rank = first\n        return rank, seq",
            "        seq, rank = max(self.waiting)\n        return rank, seq",
            "events of one key start in another order",
        ),
        (
            "a busy lane starts another event",
            "        if self.busy or first is None:",
            "        if first is None:",
            "two events of one key overlap",
        ),
    ),
    *_of(
        "kernel/record.py",
        (
            "an abandoned lease is no due time",
            "        if self.owner is not None:\n            return self.lease_until",
            "        if self.owner is not None:\n            return None",
            "what a killed worker owned is stranded",
        ),
        (
            "the latest due time is the alarm",
            "        return min(self.dues.values()) if self.dues else None",
            "        return max(self.dues.values()) if self.dues else None",
            "a due time waits for another one",
        ),
    ),
    *_of(
        "engine/engine.py",
        (
            "answer before the commit",
            "            if not isinstance(outcome, Outcome):\n                outcome = await outcome\n            return self._finish",
            '            outcome = outcome if isinstance(outcome, Outcome) else Outcome(verdict="applied")\n            return self._finish',
            "acknowledged is not durable",
        ),
        (
            "a conflict counts as done",
            '            if outcome.verdict != "conflict" and outcome.verdict != "fenced":',
            "            if outcome.verdict:",
            "a call is answered that changed nothing",
        ),
        (
            "an instance stays owned after its run",
            "                del self.owned[ownership.instance]",
            "                pass",
            "the engine remembers what it does not own",
        ),
    ),
    *_of(
        "engine/worker.py",
        (
            "do not renew leases",
            "        answers = self._engine.backend.renew(refs, sent_at + self._lease_ms) if refs else ()",
            "        answers = self._engine.backend.renew(refs, sent_at) if refs else ()",
            "a handler that takes longer than a lease is run twice",
        ),
        (
            "a lost lease is not told",
            "            heard = ownership.notice if answer.held else partial(self._lost, ownership)",
            "            heard = ownership.notice",
            "a run that lost its lease goes on",
        ),
        (
            "accept a claim that came too late",
            "            if claim.record.lease_until <= self._engine.runtime.now():",
            "            if claim.record.lease_until < 0:",
            "two workers run one instance",
        ),
        (
            "claim after a long sleep as if nothing was",
            "        return self._engine.runtime.now() - self._renewed_at >= self._lease_ms",
            "        return False",
            "a worker takes its own work for abandoned and runs it twice",
        ),
        (
            "claim for a minute ahead",
            "            at=self._engine.runtime.now(),",
            "            at=self._engine.runtime.now() + 60_000,",
            "an early alarm runs",
        ),
        (
            "sleep as long as it likes",
            "                    await self._engine.backend.wait(min(seconds, self._sweeper.seconds_left(), wait))",
            "                    await self._engine.backend.wait(3_600.0 * 48)",
            "a doorbell that fails strands what is due",
        ),
        (
            "a store that fails ends the worker",
            "                await asyncio.sleep(LOOK_AGAIN_SECONDS)\n            except Exception",
            "                return\n            except Exception",
            "nobody works after a failure of the store",
        ),
    ),
    *_of(
        "engine/group_commit.py",
        (
            "the answers of a joined append are shifted",
            "            start += count",
            "            start += 0",
            "a caller is told what became of another's event",
        ),
        (
            "an append overtakes what was asked before it",
            "            self._appends.pop(transition.instance, None)\n",
            "",
            "a call takes effect before one that was made earlier",
        ),
        (
            "a failed batch counts as not applied",
            "        except Exception as error:\n            _fail(batch, claimers, error)",
            "        except Exception as error:\n"
            '            _fail(batch, claimers, StorageError("failed", outcome="not_applied"))',
            "unknown is called failed, and an owner repeats what may be stored",
        ),
    ),
    *_of(
        "services/ownership.py",
        (
            "an owner commits without its fence",
            "        self._fence = Guard(token=self.token, generation=self.record.generation)",
            "        self._fence = Guard(generation=self.record.generation)",
            "an owner that lost its lease commits",
        ),
        (
            "an owner decides without its fence",
            "        return Guard(token=self.token, generation=self.record.generation, version=self.record.version)",
            "        return Guard(generation=self.record.generation, version=self.record.version)",
            "an owner that lost its lease commits",
        ),
        (
            "an owner overwrites what callers wrote",
            "        return Guard(token=self.token, generation=self.record.generation, version=self.record.version)",
            "        return Guard(token=self.token, generation=self.record.generation)",
            "a pause or a stop is undone by the end of a run",
        ),
        (
            "a fenced commit counts as done",
            '        if outcome.verdict == "fenced":\n            self.lose()\n            raise LeaseLostError(self.instance)\n        return outcome',
            "        return outcome",
            "an owner that lost its lease goes on",
        ),
        (
            "give up after one more delivery than was promised",
            "MAX_DELIVERIES = 5\n",
            "MAX_DELIVERIES = 6\n",
            "a crash loop goes on",
        ),
        (
            "repeat a commit that may be stored",
            '                if error.outcome != "not_applied" or self.lost:',
            "                if self.lost:",
            "unknown is taken for failed",
        ),
    ),
    *_of(
        "services/metadata.py",
        (
            "park without looking again",
            '    due = Due(RECHECK_DUE, "set", at + RECHECK_MS) if recheck else Due(RECHECK_DUE, "clear")',
            '    due = Due(RECHECK_DUE, "clear")',
            "a later deploy does not resume an orphan",
        ),
        (
            "park without the bytes",
            "            put=Put(status=status, data=record.data, held=True, linger_ms=record.linger_ms),",
            '            put=Put(status=status, data=b"", held=True, linger_ms=record.linger_ms),',
            "a missing definition deletes",
        ),
    ),
    *_of(
        "retry.py",
        (
            "one attempt too many",
            "        if attempt >= self.max_attempts or isinstance(error, self.give_up_on):",
            "        if attempt > self.max_attempts or isinstance(error, self.give_up_on):",
            "more executions than max_attempts",
        ),
    ),
    *_of(
        "primitives/queue/orchestrator.py",
        (
            "a queue's last attempt is followed by another",
            "        last = attempt >= self._retry.max_attempts\n        ended",
            "        last = attempt > self._retry.max_attempts\n        ended",
            "more executions than max_attempts",
        ),
        (
            "a queue's retry is counted twice",
            '        return self._later(item, attempt, wait_ms, info, "retry", now)',
            '        return self._later(item, attempt + 1, wait_ms, info, "retry", now)',
            "an event has fewer attempts than it was promised",
        ),
        (
            "a snooze uses up an attempt",
            '            return self._later(item, item.attempt, _after_ms(error) or 0, None, "snoozed", now)',
            '            return self._later(item, attempt, _after_ms(error) or 0, None, "snoozed", now)',
            "a snooze is no failure",
        ),
        (
            "a retry does not wait",
            "        return Verdict(Reschedule(item, max(now + wait_ms, 1), attempt, 0, text, blocks), ended, None, error)",
            "        return Verdict(Reschedule(item, max(now, 1), attempt, 0, text, blocks), ended, None, error)",
            "the backoff is bypassed",
        ),
        (
            "a retry never blocks its lane",
            '        blocks = self._definition.ordering == "strict"\n        # A due',
            "        blocks = False\n        # A due",
            "a successor overtakes under strict ordering",
        ),
        (
            "a pause is not guarded",
            "        guard = Guard(version=live.version) if live is not None else Guard(exists=False)",
            "        guard = Guard(exists=live is not None)",
            "a pause and a park undo each other",
        ),
    ),
    *_of(
        "primitives/queue/stream.py",
        (
            "free a lane before the commit",
            "        if item.lane is None:\n            self._ready.done(seq)",
            "        if True:\n            self._ready.done(seq)",
            "the successor of an event starts before its outcome is stored",
        ),
        (
            "commit an outcome before the handler has ended",
            "            verdict = await self._attempt(item)\n        finally:",
            "            verdict = self._orchestrator.completed(item, runtime.now())\n"
            "            self._settle(item, verdict)\n"
            "            await self._attempt(item)\n            return\n        finally:",
            "ack before commit: an event is done whose handler has not returned",
        ),
        (
            "an event is ended twice",
            "        verdicts, self._verdicts = self._verdicts, []\n        returned, self._returned",
            "        verdicts = list(self._verdicts)\n        returned, self._returned",
            "double ack",
        ),
        (
            "start while paused",
            "        return owned.held or owned.lost or owned.draining",
            "        return owned.lost or owned.draining",
            "a pause that was acknowledged does not hold",
        ),
        (
            "a suspect is not marked",
            "            if seq in self._suspects:",
            "            if False:",
            "an event that kills its process is never given up",
        ),
        (
            "an outcome of unknown fate is committed again",
            '        if isinstance(error, StorageError) and error.outcome == "not_applied":',
            "        if isinstance(error, StorageError):",
            "unknown is taken for failed",
        ),
        (
            "an outcome is lost when the store is busy",
            "        self._verdicts, self._returned = verdicts + self._verdicts, returned + self._returned",
            "        self._returned = returned + self._returned",
            "an event is neither done nor given back",
        ),
        (
            "successors of a failed event stay in hand",
            "        returned += self._return_waiting() if gives_back else self._return_held_back(verdicts)",
            "        returned += self._return_waiting() if gives_back else []",
            "a successor starts before its predecessor's retry",
        ),
    ),
    *_of(
        "primitives/buffer/flushing.py",
        (
            "flush before the window is over",
            "        expired = record.dues.get(WINDOW_DUE, NEVER) <= now",
            "        expired = WINDOW_DUE in record.dues",
            "an open batch is flushed early",
        ),
        (
            "the newest batch goes first",
            "    segment = stored.ended + 1\n    return",
            "    segment = max(stored.ended + 1, last_sealed)\n    return",
            "batches are flushed out of order",
        ),
        (
            "a buffer's retry is counted twice",
            '        tried = flush.attempt + (ending.on == "raised")',
            '        tried = flush.attempt + 2 * (ending.on == "raised")',
            "a batch has fewer attempts than it was promised",
        ),
        (
            "a buffer's retry does not wait",
            "        starts = flush is not None and (flush.retry_at is None or flush.retry_at <= now)",
            "        starts = flush is not None",
            "new arrivals hasten a retry",
        ),
        (
            "forget ids at the flush",
            "            else Retire(flush.segment, SETTLEMENTS[to], now + self._definition.dedupe_ms),",
            "            else Retire(flush.segment, SETTLEMENTS[to], now),",
            "an event that was flushed is accepted again",
        ),
        (
            "a buffer's last attempt is followed by another",
            "        if attempt >= retry.max_attempts:",
            "        if attempt > retry.max_attempts:",
            "more executions than max_attempts",
        ),
        (
            "drop the due of those that wait",
            '            dues=(Due(FLUSH_DUE, "earlier", now),) if waiting else (),',
            "            dues=(),",
            "a batch that waits behind another is not flushed",
        ),
    ),
    *_of(
        "primitives/buffer/executor.py",
        (
            "flush after the batch was recorded as done",
            "            await self._execute(owned, flush, batch)\n        except",
            "            pass\n        except",
            "a batch is done that no handler has seen",
        ),
        (
            "a batch may kill its process for ever",
            "        if owned.record.deliveries > MAX_DELIVERIES:",
            "        if owned.record.deliveries > 10 * MAX_DELIVERIES:",
            "a crash loop goes on",
        ),
    ),
    *_of(
        "primitives/buffer/adding.py",
        (
            "fold without a guard",
            "            guard=Guard(exists=False) if record is None else Guard(version=record.version),\n            create",
            "            guard=None,\n            create",
            "a folded event overwrites another",
        ),
        (
            "fold a duplicate",
            "            duplicate = item.id in known\n",
            "            duplicate = False\n",
            "a duplicate changes the state",
        ),
        (
            "a folded batch has no timer",
            '            dues = (Due(WINDOW_DUE, "set", window),)',
            "            dues = ()",
            "a folded batch is never flushed",
        ),
    ),
    *_of(
        "primitives/buffer/orchestrator.py",
        (
            "clear a batch that was sealed meanwhile",
            "            guard=Guard(version=record.version, segment=record.segment),\n"
            "            put=put(self.definition, record, structs.replace(stored, folded=None)),",
            "            put=put(self.definition, record, structs.replace(stored, folded=None)),",
            "a clear overwrites what the owner wrote",
        ),
    ),
    *_of(
        "primitives/continuous/lifecycle.py",
        (
            "the next tick is not stored at the claim",
            "                next_tick=slot.following,\n                override_at=None if",
            "                next_tick=None,\n                override_at=None if",
            "the schedule ends with its first run",
        ),
        (
            "a run is not counted",
            "                run_count=before.run_count + 1,",
            "                run_count=before.run_count,",
            "runs share a number",
        ),
        (
            "run before it is due",
            "        if before.run_at is None or before.run_at > now:\n            return None",
            "        if before.run_at is None:\n            return None",
            "an early alarm runs",
        ),
        (
            "run while paused",
            '        if before.mode != "live":\n            return None',
            '        if before.mode == "stopped":\n            return None',
            "a paused job runs",
        ),
        (
            "a failed run counts its attempt twice",
            "attempt=before.run.attempt + 1, retry_at=retry_at)",
            "attempt=before.run.attempt + 2, retry_at=retry_at)",
            "a run has fewer attempts than it was promised",
        ),
        (
            "a trigger forgets the retry's number",
            '        run = before.run if before.status == "running" else None',
            "        run = None",
            "a run that is triggered while it runs is forgotten",
        ),
        (
            "a restart keeps the life of before",
            "        fresh = Stored(state=state, epoch=max(before.epoch + 1, now))",
            "        fresh = Stored(state=state, epoch=before.epoch)",
            "a run of the life before writes into the new one",
        ),
    ),
    *_of(
        "primitives/continuous/runs.py",
        (
            "arm after user code",
            "        if after.run is not None:\n            return after, self._commit(after, record, guard, now)",
            "        if after.run is not None:\n            return after, self._commit(before, record, guard, now)",
            "a run begins before its begin is stored",
        ),
        (
            "a failed run saves its state",
            "            after = self._lifecycle.fail(before, ErrorInfo.of(error), retry_at)",
            '            after = self._lifecycle.fail(self._lifecycle.save(before, b"\\x00\\x01\\x01\\x00\\x91\\x63"), '
            "ErrorInfo.of(error), retry_at)",
            "a failure changes the state",
        ),
        (
            "a job's last attempt is followed by another",
            "        if attempt >= self._retry.max_attempts:",
            "        if attempt > self._retry.max_attempts:",
            "more executions than max_attempts",
        ),
        (
            "a run of another life is settled",
            "        if before.epoch != ended.run.epoch:\n            return self._commit",
            "        if False:\n            return self._commit",
            "a late schedule comes into force",
        ),
    ),
    *_of(
        "primitives/continuous/stored.py",
        (
            "a tick bypasses the backoff",
            "        run_at = self.run_at if retry_at is None else None",
            "        run_at = self.run_at",
            "a worker looks at an instance in vain",
        ),
        (
            "a paused job is not held",
            '            held=stored.mode == "paused",',
            "            held=False,",
            "a paused job is claimed",
        ),
        (
            "a live job is purged",
            '            linger_ms=retention_ms if stored.mode == "stopped" else None,',
            "            linger_ms=retention_ms,",
            "a job that waits for its schedule may be deleted",
        ),
    ),
    *_of(
        "services/idempotency.py",
        (
            "a send has another id in each run",
            '    return f"{idempotency_key}/{call}"',
            '    return f"{idempotency_key}/{call}/{object()!r}"',
            "a handler that runs again sends twice",
        ),
    ),
)
