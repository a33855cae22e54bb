"""The meaning of the IR: every other engine and export is held to this one.

Each function is translated, once, to small Python functions that work on the
state as a list of integers.  There are two translations: a fast one for
searching, and a traced one that also records every instruction it executes,
prints to the console and counts statistics.

A step of an agent starts at its program counter and runs until a ``Step`` is
reached.  It is *disabled* when an ``Assume`` on its way does not hold.  A
``Choose`` makes several successors: the step is run again for every choice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from operator import itemgetter
from typing import Any, Literal, NoReturn

from pmaplab.errors import Location, ModelError
from pmaplab.ir.footprint import cells_by_key, may_read
from pmaplab.ir.layout import Layout
from pmaplab.ir.nodes import Instruction, Program, Terminator
from pmaplab.search.translate import DONE, Code, translate

# A step that runs longer than this has a loop without any visible access.
LONGEST_STEP = 200_000

State = tuple[int, ...]
Choices = tuple[int, ...]


class Disabled(Exception):
    """An Assume inside an atomic function does not hold."""


class Fault(Exception):
    """The code did what no kernel survives: a NULL dereference, an index
    outside of its array, a failed assertion.  ``site`` names the instruction."""

    def __init__(self, site: int, kind: str, message: str) -> None:
        super().__init__(message)
        self.site = site
        self.kind = kind
        self.message = message


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed assertion or a fault, with its place."""

    kind: str
    message: str
    function: str
    loc: Location


@dataclass(frozen=True, slots=True)
class Executed:
    """An instruction that a traced step executed."""

    function: str
    item: Instruction | Terminator


@dataclass(frozen=True, slots=True)
class Outcome:
    """One way in which a step can end; ``failure`` stops the machine."""

    state: State
    choices: Choices
    failure: Failure | None = None


@dataclass
class Effects:
    """What a traced run does besides changing the state."""

    console: list[str] = field(default_factory=list)
    counters: dict[tuple[str, int], int] = field(default_factory=dict)
    executed: list[Executed] = field(default_factory=list)


class Context:
    """Handed to the translated code: choices, marks, effects."""

    __slots__ = ("_at", "_given", "cpu", "effects", "labels", "limits", "marks", "sites", "taken")

    def __init__(self, labels: list[str], sites: list[tuple[str, Instruction | Terminator]]):
        self.labels = labels
        self.sites = sites
        self.marks = 0
        self.effects = Effects()
        self.cpu = 0
        self._given: list[int] = []
        self._at = 0
        self.taken: list[int] = []
        self.limits: list[int] = []

    def start(self, given: list[int]) -> None:
        self._given = given
        self._at = 0
        self.taken = []
        self.limits = []

    def choose(self, lo: int, hi: int) -> int:
        if hi < lo:
            raise Disabled
        value = lo
        if self._at < len(self._given):
            value = self._given[self._at]
            if not lo <= value <= hi:
                raise Disabled
        self._at += 1
        self.taken.append(value)
        self.limits.append(hi)
        return value

    def next_choices(self) -> list[int] | None:
        """The choices to try after those just taken, in order; None at the end."""
        taken = self.taken
        for index in range(len(taken) - 1, -1, -1):
            if taken[index] < self.limits[index]:
                return [*taken[:index], taken[index] + 1]
        return None

    def log(self, site: int) -> None:
        self.effects.executed.append(Executed(*self.sites[site]))

    def print(self, text: str) -> None:
        self.effects.console.append(text)

    def count(self, counter: str) -> None:
        key = (counter, self.cpu)
        self.effects.counters[key] = self.effects.counters.get(key, 0) + 1


class WatchedCells(list[int]):
    """Cells that note which of them are read and written."""

    __slots__ = ("reads", "writes")

    def __init__(self, cells: Iterable[int]) -> None:
        super().__init__(cells)
        self.reads: set[int] = set()
        self.writes: set[int] = set()

    def __getitem__(self, at: Any) -> Any:
        self.reads.add(at)
        return super().__getitem__(at)

    def __setitem__(self, at: Any, value: Any) -> None:
        self.writes.add(at)
        super().__setitem__(at, value)


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of trying a step: its outcomes as :meth:`Interpreter.local_steps`
    yields them, and the cells of the memory that it read and wrote."""

    outcomes: list[tuple[list[int], list[int], Failure | None]]
    reads: frozenset[int]
    writes: frozenset[int]


class Interpreter:
    """Runs the steps of one program.

    ``program`` has its steps placed (:func:`pmaplab.ir.cut.cut`) and is
    verified.  ``traced`` selects the translation that records effects.
    Without ``reset_dead_locals`` the parts of agents keep values that nobody
    reads any more: more states, but the same memories.
    """

    def __init__(
        self, program: Program, *, traced: bool = False, reset_dead_locals: bool = True
    ) -> None:
        self.program = program
        self.traced = traced
        self.layout = Layout(program)
        self.code: Code = translate(
            program,
            self.layout,
            traced=traced,
            reset_dead_locals=reset_dead_locals,
            disabled=Disabled,
            fault=Fault,
        )
        self.context = Context(self.code.labels, self.code.sites)
        self._scratch = [0] * self.code.scratch
        self._agents = [
            (base, agent.cpu)
            for base, agent in zip(self.layout.agents, program.agents, strict=True)
        ]
        self.regions = {name: 1 << i for i, name in enumerate(program.regions)}
        self._invariants: list[tuple[Callable[..., Any], int]] = []
        for invariant in program.invariants:
            mask = 0
            for region in invariant.exempt:
                mask |= self.regions[region]
            self._invariants.append((self.code.atomics[invariant.function], mask))
        conditions = list(program.exempt_when.values())
        known = cells_by_key(self.layout)
        self._watched = [
            itemgetter(*may_read(self.layout, known, [invariant.function, *conditions]))
            for invariant in program.invariants
        ]
        self._said: list[dict[Any, list[tuple[int, int, Failure, int]]]] = [
            {} for _ in program.invariants
        ]
        self._when = {
            self.regions[region]: self.code.atomics[function]
            for region, function in program.exempt_when.items()
        }

    # --- steps -------------------------------------------------------------

    def initial(self) -> State:
        """The state at power-on."""
        state = self.layout.initial()
        for base, agent in zip(self.layout.agents, self.program.agents, strict=True):
            state[base] = self.code.starts[agent.entry]
        return tuple(state)

    def done(self, state: State, agent: int) -> bool:
        """Whether the agent has come to the end of its entry function."""
        return state[self._agents[agent][0]] == DONE

    def outcomes(self, state: State, agent: int) -> Iterator[Outcome]:
        """Every way in which ``agent`` can take its next step."""
        if state[self._agents[agent][0]] == DONE:
            return
        given: list[int] | None = []
        while given is not None:
            # Trying out has no effects.
            effects, self.context.effects = self.context.effects, Effects()
            outcome = self._run(state, agent, given)
            self.context.effects = effects
            if outcome is not None:
                yield outcome
            given = self.context.next_choices() if self.context.taken else None

    def step(self, state: State, agent: int, choices: Choices) -> Outcome | None:
        """The one step of ``agent`` with these choices; None when disabled."""
        if state[self._agents[agent][0]] == DONE:
            return None
        outcome = self._run(state, agent, list(choices))
        if outcome is not None and outcome.choices != choices:
            return None
        return outcome

    def advance(
        self, cells: list[int], agent: int, given: list[int]
    ) -> Failure | Literal[False] | None:
        """Take the step in ``cells`` itself, for long single runs.

        False when it is disabled; ``cells`` must then be thrown away.
        """
        base, cpu = self._agents[agent]
        return False if cells[base] == DONE else self._advance(cells, base, cpu, given)

    def _run(self, state: State, agent: int, given: list[int]) -> Outcome | None:
        base, cpu = self._agents[agent]
        cells = list(state)
        failure = self._advance(cells, base, cpu, given)
        if failure is False:
            return None
        return Outcome(tuple(cells), tuple(self.context.taken), failure)

    def _advance(
        self, cells: list[int], base: int, cpu: int, given: list[int]
    ) -> Failure | Literal[False] | None:
        """Run one step in place; False when it is disabled."""
        context = self.context
        context.start(given)
        context.cpu = cpu
        code, scratch = self.code.points, self._scratch
        start = point = cells[base]
        budget, marks = LONGEST_STEP, context.marks
        try:
            while point > 0:
                point = code[point](cells, base, scratch, cpu, context)
                budget -= 1
                if budget < 0:
                    self._endless(start)
        except Disabled:
            context.marks = marks
            return False
        except Fault as fault:
            return self.failure(fault)
        if point == 0:
            context.marks = marks
            return False
        cells[base] = -point
        return None

    def failure(self, fault: Fault) -> Failure:
        """``fault`` with its place; a value outside its cell is no verdict."""
        function, item = self.code.sites[fault.site]
        if fault.kind == "range":
            raise ModelError(fault.message, location=item.loc)
        return Failure(fault.kind, fault.message, function, item.loc)

    def _endless(self, point: int) -> NoReturn:
        function, item = self.code.places[point]
        raise ModelError(
            f"a step in {function} does not end",
            location=item.loc,
            advice="a loop that touches no shared cell must be bounded; "
            "a wait is written `while CONDITION: ia32_pause()`",
        )

    def location(self, state: State, agent: int) -> tuple[str, Instruction | Terminator]:
        """The function and the instruction at which ``agent`` stands."""
        return self.code.places[state[self._agents[agent][0]]]

    def local_steps(
        self, memory: list[int], part: list[int], agent: int
    ) -> Iterator[tuple[list[int], list[int], Failure | None]]:
        """The next step of ``agent`` in all its ways, from the only two things
        that it depends on: the memory and the agent's own part (see
        :meth:`split`).  Yields memory and part together in one list, the
        choices made, and the failure; the caller keeps the first two apart.
        """
        base, cpu = len(memory), self._agents[agent][1]
        if part[0] == DONE:
            return
        given: list[int] | None = []
        while given is not None:
            cells = memory + part
            failure = self._advance(cells, base, cpu, given)
            if failure is not False:
                yield cells, self.context.taken, failure
            given = self.context.next_choices() if self.context.taken else None

    def attempt(self, memory: list[int], part: list[int], agent: int) -> Attempt:
        """The same, with what the step does to the memory, where it is disabled too."""
        base, cpu = len(memory), self._agents[agent][1]
        outcomes: list[tuple[list[int], list[int], Failure | None]] = []
        reads: set[int] = set()
        writes: set[int] = set()
        given: list[int] | None = None if part[0] == DONE else []
        while given is not None:
            cells = WatchedCells(memory + part)
            failure = self._advance(cells, base, cpu, given)
            reads |= cells.reads
            writes |= cells.writes
            if failure is not False:
                outcomes.append((list(cells), self.context.taken, failure))
            given = self.context.next_choices() if self.context.taken else None
        own = range(base, base + len(part))
        return Attempt(
            outcomes, frozenset(reads.difference(own)), frozenset(writes.difference(own))
        )

    def split(self, state: State) -> tuple[State, list[State]]:
        """The memory, with the regions, and each agent's own part."""
        bounds = [*self.layout.agents, self.layout.size]
        parts = [state[a:b] for a, b in pairwise(bounds)]
        return state[: bounds[0]], parts

    # --- properties --------------------------------------------------------

    def broken(self, state: State) -> list[tuple[int, int, Failure, int]]:
        """The invariants that fail in ``state``, exemptions not yet applied:
        (invariant, CPU, failure, the exempt regions that CPU is in).

        What an invariant says is kept by the cells that it may read: most steps
        change none of them.
        """
        result: list[tuple[int, int, Failure, int]] = []
        for number, watched in enumerate(self._watched):
            seen = watched(state)
            known = self._said[number].get(seen)
            if known is None:
                known = self._said[number][seen] = self.ask(number, state)
            result += known
        return result

    def looks_at(self, number: int, cpu: int, memory: list[int]) -> set[int]:
        """The cells that an invariant reads when it is asked for a CPU, and that are
        read to decide whether a failure counts."""
        check, mask = self._invariants[number]
        cells = WatchedCells(memory)
        state: Any = cells
        try:
            check(state, cpu, self.context, cpu)
        except Fault:
            self._active(state, cpu, cells[self.layout.regions + cpu] & mask)
        return cells.reads

    def forget(self) -> None:
        """Forget the labels passed so far, and what passed them."""
        self.context.marks = 0
        for said in self._said:
            said.clear()

    def seen(self, number: int, state: State) -> Any:
        """What an invariant may read of ``state``."""
        return self._watched[number](state)

    def ask(self, number: int, state: State) -> list[tuple[int, int, Failure, int]]:
        """What one invariant says of ``state``, as in :meth:`broken`."""
        result: list[tuple[int, int, Failure, int]] = []
        check, mask = self._invariants[number]
        for cpu in range(self.program.cpus):
            try:
                check(state, cpu, self.context, cpu)
            except Fault as fault:
                inside = self._active(state, cpu, state[self.layout.regions + cpu] & mask)
                result.append((number, cpu, self.failure(fault), inside))
        return result

    def _active(self, state: State, cpu: int, inside: int) -> int:
        """``inside`` without the regions whose extra condition does not hold."""
        for region, when in self._when.items():
            if not inside & region:
                continue
            try:
                if not when(state, cpu, self.context, cpu):
                    inside &= ~region
            except Fault as fault:
                raise self._no_answer(fault) from None
        return inside

    def _no_answer(self, fault: Fault) -> ModelError:
        """The error for a fault where nothing of the kernel runs."""
        failure = self.failure(fault)
        return ModelError(f"{failure.function}: {failure.message}", location=failure.loc)

    def evaluate(self, function: str, state: State, *arguments: int) -> int:
        """Call an atomic function that only reads, in ``state``, on CPU 0.

        Raises ModelError where it faults.
        """
        try:
            return int(self.code.atomics[function](state, 0, self.context, *arguments))
        except Fault as fault:
            raise self._no_answer(fault) from None
