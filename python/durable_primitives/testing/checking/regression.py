"""A finding as a test that can be pasted, and as a message that can be read."""

from __future__ import annotations

from typing import Any

from durable_primitives.durations import format_ms
from durable_primitives.testing.checking.hints import hint
from durable_primitives.testing.checking.playing import Finding, Played
from durable_primitives.testing.checking.programs import DEATHS, OF_THE_TEST, Step
from durable_primitives.testing.checking.sources import Sources, lambda_source, named
from durable_primitives.testing.checking.subject import Subject, user_functions

MAX_LINES = 25
_WIDTH = 150


class Telling:
    """Puts one finding into words and code."""

    def __init__(self, subject: Subject, finding: Finding, played: Played, resources: Any = None) -> None:
        self._resources = resources
        self._subject = subject
        self._finding = finding
        self._played = played
        self._sources = Sources()
        self._variables: dict[int, str] = {}

    # The test.

    def regression(self) -> str:
        """The test."""
        subject, finding = self._subject, self._finding
        self._sources = Sources()
        self._sources.need("asyncio", "run")
        self._sources.need("durable_primitives.testing", "create_test_primitives")
        names = [self._name(definition, definition.name) for definition in subject.definitions]
        arguments = [", ".join(names), f"laws=[{finding.law!r}]"]
        if subject.effects is not None:
            arguments.append(f"effects={self._name(subject.effects, 'effects')}")
        if subject.invariants:
            listed = ", ".join(self._invariant(one) for one in subject.invariants)
            arguments.append(f"invariants=[{listed}]")
        if self._resources is not None:
            arguments.append(f"resources={self._name(self._resources, 'resources')}")
        if finding.case.workers > 1:
            arguments.append(f"workers={finding.case.workers}")
        if finding.case.seed:
            arguments.append(f"seed={finding.case.seed}")
        schedule = [f'"{deviation}"' for deviation in finding.case.schedule]
        if len(schedule) == 1:
            arguments.append(f"schedule=[{schedule[0]}]")
        elif schedule:
            arguments.append("schedule=[" + ", ".join(schedule) + "]")
        body = [self._call(step) for step in finding.case.program]
        body += self._expectation()
        opening = f"async with create_test_primitives({', '.join(arguments)}) as t:"
        if len(opening) > 112:
            first = [", ".join(arguments[:-1]) + ","] if schedule else []
            rest = arguments[-1:] if schedule else [", ".join(arguments)]
            lines = ["async with create_test_primitives(", *(f"    {line}" for line in (*first, *rest)), ") as t:"]
        else:
            lines = [opening]
        lines += [f"    {line}" for line in body]
        name = f"test_{subject.definition.name}_{finding.law}".replace("-", "_").replace(".", "_")
        return "\n".join(
            [
                *self._sources.imports(),
                "",
                f"def {name}():",
                "    async def history():",
                *(f"        {line}" for line in lines),
                "",
                "    run(history())",
                "",
            ]
        )

    def _call(self, step: Step) -> str:
        definition = self._subject.definition
        options = [f"{name}={self._sources.value(value)}" for name, value in step.options.items()]
        given = [self._sources.value(one) for one in step.arguments()]
        inside = ", ".join([*given, *options])
        if step.method in OF_THE_TEST:
            return f"{'' if step.method in DEATHS else 'await '}t.{step.method}({inside})"
        return f"await t.client.{definition.kind}({self._variable(definition)}).{step.method}({inside})"

    def _expectation(self) -> list[str]:
        """What a law that compares two histories expects of the one that is played."""
        if self._finding.expects is None:
            return []
        kind, what, expected = self._finding.expects
        rest = ["await t.settle()"]
        effects = self._variable(self._subject.effects) if self._subject.effects is not None else "effects"
        match kind:
            case "effect":
                return [*rest, f"assert [what for _, what in {effects}].count({what!r}) == {expected}"]
            case "no effect":
                return [*rest, f"assert ({expected!r}, {what!r}) in {effects}"]
            case "state":
                job = self._variable(self._subject.definition)
                state = self._sources.value(expected)
                return [*rest, f"assert await t.client.continuous({job}).get_state({what!r}) == {state}"]
            case _:
                return [*rest, *self._sent(kind, what, expected)]

    def _sent(self, kind: str, what: str, expected: Any) -> list[str]:
        place, _, payload = what.partition(" ")
        target, name, *id = place.split(":")
        definition = next(one for one in self._subject.definitions if (one.kind, one.name) == (target, name))
        codec = definition.event if target == "buffer" else definition.codec
        event = self._sources.value(codec.decode(bytes.fromhex(payload)))
        verb = "assert_buffered" if target == "buffer" else "assert_enqueued"
        arguments = [self._variable(definition), *(repr(one) for one in id), event]
        if kind == "send":
            arguments.append(f"count={expected}")
        elif target == "queue":
            arguments.append(f"id={expected!r}")
        return [f"t.{verb}({', '.join(arguments)})"]

    def _name(self, value: Any, fallback: str) -> str:
        """The variable of a definition, imported from where it stands."""
        found = named(value, _home(self._subject.definition))
        name = fallback.replace("-", "_").replace(".", "_")
        if found is not None:
            module, name = found
            if module != "__main__":
                self._sources.need(module, name)
        self._variables[id(value)] = name
        return name

    def _variable(self, value: Any) -> str:
        return self._variables[id(value)]

    def _invariant(self, invariant: Any) -> str:
        name: str = getattr(invariant, "__name__", "invariant")
        return lambda_source(invariant) or "invariant" if name == "<lambda>" else self._name(invariant, name)

    # The message.

    def steps(self) -> tuple[str, ...]:
        """The history: what was called and what went wrong, with its virtual times."""
        self._sources = Sources()
        for definition in self._subject.definitions:
            self._variables.setdefault(id(definition), definition.name)
        lines: list[str] = []
        for step, (at, error) in zip(self._finding.case.program, self._played.narrated, strict=False):
            definition = self._subject.definition
            call = self._call(step).removeprefix("await ").removeprefix("t.client.").removeprefix("t.")
            call = call.removeprefix(f"{definition.kind}({self._variable(definition)}).")
            lines.append(_cut(f"t={format_ms(at // 1000):<8} {call}{f'  -> {error}' if error else ''}"))
        return (*lines, *(f"fault:     {deviation}" for deviation in self._finding.case.schedule))

    def message(self) -> str:
        """At most 25 lines."""
        subject, finding = self._subject, self._finding
        regression = self.regression().splitlines()
        at = f", at t={format_ms(finding.at_us // 1000)}" if finding.at_us else ""
        definition = subject.definition
        head = [
            _cut(f"{definition.kind} {definition.name!r} breaks the law {finding.law}{at}: {finding.why}"),
            f"why: {hint(finding.law)}",
            "the shortest history that shows it:",
        ]
        steps = [f"  {line}" for line in self.steps()]
        room = MAX_LINES - len(head) - len(steps) - 1
        if len(regression) > room:
            steps = steps[: max(MAX_LINES - len(head) - 3, 1)]
            room = MAX_LINES - len(head) - len(steps) - 1
        if len(regression) > room:
            return "\n".join([*head, *steps, "a test that shows it: print(violation.regression)"])
        return "\n".join([*head, *steps, "paste this test, it fails until it is repaired:", *regression])


def _cut(line: str) -> str:
    line = " ".join(line.splitlines())
    return line if len(line) <= _WIDTH else f"{line[:_WIDTH]}…"


def _home(definition: Any) -> str:
    functions = user_functions(definition)
    module: str = getattr(functions[0], "__module__", "") if functions else ""
    return module
