"""Traces: the steps of a counterexample, on source lines.

A trace is made by taking the moves of a violation again, in the traced
interpreter; what it shows is what was executed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from pmaplab.errors import Location
from pmaplab.ir.access import Sharing, key_of
from pmaplab.ir.callgraph import reachable_functions
from pmaplab.ir.layout import Cell, Layout
from pmaplab.ir.nodes import STORE_BUFFER, Instruction, Load, Program, Terminator
from pmaplab.ir.walk import instructions
from pmaplab.search.interpreter import Choices, Executed, Failure, State
from pmaplab.search.result import PROGRESS, Violation, stuck_message
from pmaplab.search.run import Runner
from pmaplab.spec import RunSpec
from pmaplab.system import System
from pmaplab.trace.buffers import BufferedStores
from pmaplab.trace.contexts import RunningOn
from pmaplab.trace.values import Values, field_of

# A function, and what of it a step has executed.
_Place = tuple[str, Instruction | Terminator]

# What a CPU records about itself, for the end of a trace.
_OWN = ("cpus[{cpu}].", "__pcpu[{cpu}].")


@dataclass(frozen=True, slots=True)
class Change:
    """A cell that a step changed, rendered."""

    cell: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class TraceStep:
    """One step.  ``agent`` and ``choices`` are what it takes to repeat it."""

    cpu: int
    context: str
    function: str
    file: str
    line: int
    column: int
    text: str
    changes: tuple[Change, ...]
    agent: int
    choices: Choices


@dataclass(frozen=True, slots=True)
class Failed:
    """What fails at the end: the assertion of a property or of the source.

    ``text`` is the whole source line.
    """

    kind: str
    message: str
    cpu: int
    function: str
    location: Location
    text: str


@dataclass(frozen=True, slots=True)
class Trace:
    """A counterexample to ``property``.

    The first ``prefix`` steps are the scenario's bring-up on one schedule.
    ``state`` shows, after the last step, the per-CPU cells of the failing CPU
    that the property is about.
    """

    spec: RunSpec
    property: str
    failed: Failed
    prefix: int
    steps: tuple[TraceStep, ...]
    state: tuple[tuple[str, str], ...]
    # The cells that the property reads; only for showing, never stored.
    watched: frozenset[str] = frozenset()


class Recorder:
    """Takes steps one by one and describes them.

    A store that waits in a store buffer is remembered with its place in the
    source, and shown there again when it reaches memory.
    """

    def __init__(self, spec: RunSpec, system: System) -> None:
        self.spec = spec
        self.system = system
        self.runner = Runner(system, traced=True)
        self.values = Values(self.runner.interpreter.layout, spec.features.pcid)
        self.buffers = BufferedStores(self.values)
        self.running = RunningOn(Layout(system.program))
        self.waiting: list[list[_Place]] = [[] for _ in range(system.program.cpus)]
        self.sharing = Sharing(system.bring_up) if system.bring_up else self._of_search()
        self.steps: list[TraceStep] = []
        self.prefix = 0

    def take(self, agent: int, choices: Choices) -> bool:
        """Take a step and note it; False when the agent cannot take it."""
        runner, program = self.runner, self.runner.interpreter.program
        if runner.failure is not None or not 0 <= agent < len(program.agents):
            return False
        before, in_bring_up = runner.state, runner.in_bring_up
        stood = runner.interpreter.location(before, agent)
        if not runner.step(agent, choices):
            runner.executed()
            return False
        owner = program.agents[agent]
        place = self._shown(program, runner.executed()) or stood
        cpu = self.running.cpu(owner.cpu, before, runner.state)
        waiting = self.waiting[cpu]
        if owner.context == STORE_BUFFER:
            place = waiting.pop(0)
        added = self.buffers.count(runner.state, cpu) - len(waiting)
        waiting += [place] * added
        function, item = place
        self.steps.append(
            TraceStep(
                cpu,
                owner.context,
                function,
                item.loc.file,
                item.loc.line,
                item.loc.column,
                self.system.line(item.loc.file, item.loc.line),
                self._changes(before, runner.state),
                agent,
                choices,
            )
        )
        if in_bring_up:
            self.prefix = len(self.steps)
            if not runner.in_bring_up:
                self.sharing = self._of_search()
        return True

    def _of_search(self) -> Sharing:
        program = self.system.program
        return Sharing(self.system.plain or program, program)

    def _shown(self, program: Program, executed: list[Executed]) -> _Place | None:
        """The visible access, else the last instruction; what an atomic
        function does is shown where it is called."""
        last = None
        for entry in executed:
            function = program.functions[entry.function]
            if function.atomic or not isinstance(entry.item, Instruction):
                continue
            item = self.running.as_written(entry.item)
            if item is None:
                continue
            last = (entry.function, item)
            if self.sharing.visible(function, item):
                return last
        return last

    def _changes(self, old: State, new: State) -> tuple[Change, ...]:
        values = self.values
        changes = tuple(
            Change(
                values.name(cell),
                values.value(cell, old[cell.index]),
                values.value(cell, new[cell.index]),
            )
            for cell in values.layout.cells
            if old[cell.index] != new[cell.index] and values.shown(cell)
        )
        return changes + tuple(Change(*change) for change in self.buffers.changes(old, new))

    def failing(self) -> dict[str, tuple[int, Failure]]:
        """The invariants' properties that fail in the state, with the CPU."""
        result: dict[str, tuple[int, Failure]] = {}
        for number, cpu, failure, exempt in self.runner.interpreter.broken(self.runner.state):
            if not exempt:
                name = self.system.program.invariants[number].property
                result.setdefault(name, (cpu, failure))
        return result

    def trace(self, name: str, agents: int, failure: Failure) -> Trace:
        """The steps so far as a counterexample to property ``name``, which fails
        for the agents with the number ``agents``."""
        cpu = self.running.cpu(agents, self.runner.state)
        if name == PROGRESS:
            failure = replace(failure, message=stuck_message(cpu))
        loc = failure.loc
        source = self.system.sources.get(loc.file)
        text = source.line(loc.line) if source else ""
        program, bring_up = self.system.program, self.system.bring_up
        if bring_up is not None and failure.function not in program.functions:
            program = bring_up
        fields = watched_fields(program, name, failure.function)
        watched = [cell for cell in self.values.layout.cells if field_of(cell.name) in fields]
        return Trace(
            self.spec,
            name,
            Failed(failure.kind, failure.message, cpu, failure.function, loc, text),
            self.prefix,
            tuple(self.steps),
            self._own(cpu, watched),
            frozenset(self.values.name(cell) for cell in watched),
        )

    def _own(self, cpu: int, watched: list[Cell]) -> tuple[tuple[str, str], ...]:
        prefixes = tuple(prefix.format(cpu=cpu) for prefix in _OWN)
        return tuple(
            (cell.name, self.values.value(cell, self.runner.state[cell.index]))
            for cell in watched
            if cell.name.startswith(prefixes) and self.values.shown(cell)
        )


def watched_fields(program: Program, name: str, failing: str) -> frozenset[str]:
    """The fields that property ``name`` reads; where it is no invariant, those
    that the ``failing`` function itself reads."""
    invariants = [i.function for i in program.invariants if i.property == name]
    functions = reachable_functions(program, invariants) if invariants else {failing}
    return frozenset(_fields_read(program, functions))


def _fields_read(program: Program, functions: Iterable[str]) -> Iterator[str]:
    for function in functions:
        for instruction in instructions(program.functions[function]):
            if isinstance(instruction, Load):
                key = key_of(instruction.address)
                if key is not None:
                    yield key[1]


def record(spec: RunSpec, system: System, violation: Violation) -> Trace:
    """The trace of a violation that a search of ``system`` found.

    ``system`` was built from ``spec``.
    """
    recorder = Recorder(spec, system)
    for agent, choices in violation.moves:
        taken = recorder.take(agent, choices)
        assert taken, "the search and the traced interpreter differ"
    assert violation.failure is not None
    return recorder.trace(violation.property, violation.cpu, violation.failure)
