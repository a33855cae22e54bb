"""Breadth-first search over every interleaving.

Levels are explored in the order of the agents and their choices, so the first
counterexample found is a shortest one, and always the same.  One search finds
a shortest counterexample for each property: a state in which one property
fails is explored further for the sake of the others.  Only a failed assertion
ends the run that it happens in, as a panic does.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field

from pmaplab.errors import ModelError
from pmaplab.search.interpreter import Choices, Failure, Interpreter, State
from pmaplab.system import System

ASSERTIONS = "assertions"
PROGRESS = "progress"
# A prefix that has not parked all CPUs by then never will.
LONGEST_PREFIX = 1_000_000

Move = tuple[int, Choices]


@dataclass(frozen=True, slots=True)
class Limits:
    """What ends a search early: it is then `incomplete`."""

    states: int | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Violation:
    """A property that fails after ``moves`` (the prefix included)."""

    property: str
    moves: tuple[Move, ...]
    failure: Failure | None
    cpu: int

    @property
    def steps(self) -> int:
        return len(self.moves)


@dataclass
class Result:
    """What a search found.

    ``complete`` says that every reachable state was visited; ``stopped`` says
    why not.  ``violations`` holds a shortest counterexample by property.
    """

    properties: tuple[str, ...]
    states: int = 0
    transitions: int = 0
    depth: int = 0
    prefix: int = 0
    complete: bool = False
    stopped: str | None = None
    seconds: float = 0.0
    violations: dict[str, Violation] = field(default_factory=dict)
    exemptions_used: set[str] = field(default_factory=set)
    unreached: tuple[str, ...] = ()

    @property
    def first(self) -> Violation | None:
        """The shortest of all counterexamples."""
        return min(self.violations.values(), key=lambda v: v.steps, default=None)

    def verdict(self, name: str | None = None) -> str:
        """``violated``, ``incomplete``, ``vacuous`` or ``holds``, of one
        property or of all."""
        if (self.violations if name is None else name in self.violations):
            return "violated"
        if not self.complete:
            return "incomplete"
        return "vacuous" if self.unreached else "holds"


Progress = Callable[[int, int, int], None]


def search(
    system: System,
    *,
    limits: Limits | None = None,
    stop_at_first: bool = False,
    progress: Progress | None = None,
) -> Result:
    """Explore ``system`` and judge its properties.

    ``stop_at_first`` ends with the level of the first counterexample, and
    leaves the other properties undecided.  ``progress`` is called now and then
    with the numbers of states, transitions and levels.
    """
    return _Search(system, limits or Limits(), stop_at_first, progress).run()


class _Search:
    def __init__(
        self, system: System, limits: Limits, stop_at_first: bool, progress: Progress | None
    ) -> None:
        self.system = system
        self.limits = limits
        self.stop_at_first = stop_at_first
        self.progress = progress
        self.interpreter = Interpreter(system.program)
        self.agents = range(len(system.program.agents))
        names = dict.fromkeys(i.property for i in system.program.invariants)
        self.result = Result((*names, ASSERTIONS, PROGRESS))
        self.index: dict[State, int] = {}
        self.states: list[State] = []
        self.parents = array("q")
        self.moves: list[Move] = []
        # Every edge, for the question who can still move; successors of state
        # n are edges[starts[n]:starts[n + 1]].
        self.edges = array("q")
        self.starts = array("q", [0])
        self.can_move = array("q")
        self.dead: set[int] = set()  # states that a failed assertion ends
        self.levels = array("q")
        self.masks = self._masks()

    def run(self) -> Result:
        started = time.monotonic()
        result, program = self.result, self.system.program
        prefix = run_prefix(self.system, self.interpreter, self._judge_prefix)
        result.prefix = len(prefix.moves)
        self.prefix = tuple(prefix.moves)
        if prefix.ended:
            result.complete = True
        else:
            self._add(prefix.state, -1, (0, ()), 0)
            self._explore(started)
        if result.complete and not prefix.ended:
            self._judge_progress()
        result.states = len(self.states)
        result.seconds = time.monotonic() - started
        marks = self.interpreter.context.marks
        labels = self.interpreter.code.labels
        result.unreached = tuple(
            label for label in program.must_reach if not marks & 1 << labels.index(label)
        )
        return result

    def _explore(self, started: float) -> None:
        result, level, depth = self.result, [0], 0
        limits, transitions = self.limits, 0
        while level:
            following: list[int] = []
            for number in level:
                moved = 0
                state = self.states[number]
                for agent in self.agents:
                    for outcome in self.interpreter.outcomes(state, agent):
                        transitions += 1
                        moved |= 1 << agent
                        if outcome.failure is not None:
                            move = (agent, outcome.choices)
                            self._note(ASSERTIONS, number, move, outcome.failure, agent)
                            self.dead.add(number)
                            continue
                        target = self.index.get(outcome.state)
                        if target is None:
                            target = self._add(
                                outcome.state, number, (agent, outcome.choices), depth + 1
                            )
                            following.append(target)
                        self.edges.append(target)
                self.starts.append(len(self.edges))
                self.can_move.append(moved)
                if number % 4096 == 0:
                    result.transitions = transitions
                    if self._exhausted(started):
                        return
                    if self.progress is not None:
                        self.progress(len(self.states), transitions, depth)
            result.transitions, result.depth = transitions, depth
            if self.stop_at_first and result.violations:
                result.stopped = "the first counterexample ends the search"
                return
            if limits.states is not None and len(self.states) > limits.states and following:
                result.stopped = f"the limit of {limits.states} states is reached"
                return
            level, depth = following, depth + 1
        result.complete = True

    def _exhausted(self, started: float) -> bool:
        limits = self.limits
        if limits.states is not None and len(self.states) > limits.states:
            self.result.stopped = f"the limit of {limits.states} states is reached"
        elif limits.seconds is not None and time.monotonic() - started > limits.seconds:
            self.result.stopped = f"the limit of {limits.seconds:g} seconds is reached"
        return self.result.stopped is not None

    def _add(self, state: State, parent: int, move: Move, level: int) -> int:
        number = len(self.states)
        self.index[state] = number
        self.states.append(state)
        self.parents.append(parent)
        self.moves.append(move)
        self.levels.append(level)
        for name, cpu, failure in self.judge(state):
            if name not in self.result.violations:
                self.result.violations[name] = Violation(name, self._path(number), failure, cpu)
        return number

    # --- properties --------------------------------------------------------

    def _masks(self) -> list[tuple[int, str]]:
        return [
            (self.interpreter.regions[name], name) for name in self.system.program.exempt_when
        ] + [(bit, name) for name, bit in self.interpreter.regions.items()]

    def judge(self, state: State) -> list[tuple[str, int, Failure]]:
        """The properties that fail in ``state``; notes the exemptions used."""
        result: list[tuple[str, int, Failure]] = []
        for number, cpu, failure, inside in self.interpreter.broken(state):
            if inside:
                for name, bit in self.interpreter.regions.items():
                    if inside & bit:
                        self.result.exemptions_used.add(name)
            else:
                result.append((self.system.program.invariants[number].property, cpu, failure))
        return result

    def _judge_prefix(self, state: State, moves: list[Move], failure: Failure | None) -> None:
        if failure is not None:
            self.result.violations.setdefault(
                ASSERTIONS, Violation(ASSERTIONS, tuple(moves), failure, moves[-1][0])
            )
            return
        for name, cpu, broken in self.judge(state):
            self.result.violations.setdefault(name, Violation(name, tuple(moves), broken, cpu))

    def _note(self, name: str, number: int, move: Move, failure: Failure, agent: int) -> None:
        if name not in self.result.violations:
            cpu = self.system.program.agents[agent].cpu
            moves = (*self._path(number), move)
            self.result.violations[name] = Violation(name, moves, failure, cpu)

    def _path(self, number: int) -> tuple[Move, ...]:
        moves: list[Move] = []
        while self.parents[number] >= 0:
            moves.append(self.moves[number])
            number = self.parents[number]
        return (*self.prefix, *reversed(moves))

    def _judge_progress(self) -> None:
        """Find a state from which some CPU with work left never moves again.

        ``reach[s]`` holds the agents that can still move in some future of s.
        Successors mostly have higher numbers, so few rounds are needed.
        """
        reach = array("q", self.can_move)
        changed = True
        while changed:
            changed = False
            for number in range(len(self.states) - 1, -1, -1):
                mask = reach[number]
                for edge in range(self.starts[number], self.starts[number + 1]):
                    mask |= reach[self.edges[edge]]
                if mask != reach[number]:
                    reach[number] = mask
                    changed = True
        for number, state in enumerate(self.states):
            for agent in self.agents:
                if reach[number] >> agent & 1 or self.interpreter.done(state, agent):
                    continue
                cpu = self.system.program.agents[agent].cpu
                function, item = self.interpreter.location(state, agent)
                failure = Failure(
                    "progress", f"CPU {cpu} has work left and can never go on", function, item.loc
                )
                self.result.violations[PROGRESS] = Violation(
                    PROGRESS, self._path(number), failure, cpu
                )
                return


# --- the prefix ------------------------------------------------------------


@dataclass
class Prefix:
    """A run on one schedule up to where the search begins."""

    state: State
    moves: list[Move]
    ended: bool  # by a failed assertion


def run_prefix(
    system: System,
    interpreter: Interpreter,
    visit: Callable[[State, list[Move], Failure | None], None] = lambda *_: None,
) -> Prefix:
    """Run the scenario's bring-up, if it has one: always the first CPU that can
    move and is not parked, and the last of its choices (the idle thread).

    Raises ModelError when the CPUs cannot all be parked.
    """
    state = interpreter.initial()
    moves: list[Move] = []
    visit(state, moves, None)
    if not system.has_prefix:
        return Prefix(state, moves, ended=False)
    agents = system.program.agents
    while len(moves) < LONGEST_PREFIX:
        waiting = [
            number
            for number, agent in enumerate(agents)
            if agent.context == "thread" and not interpreter.evaluate("parked", state, agent.cpu)
        ]
        if not waiting:
            return Prefix(state, moves, ended=False)
        for agent_number in waiting:
            outcomes = list(interpreter.outcomes(state, agent_number))
            if outcomes:
                break
        else:
            break
        outcome = outcomes[-1]
        state = outcome.state
        moves.append((agent_number, outcome.choices))
        visit(state, moves, outcome.failure)
        if outcome.failure is not None:
            return Prefix(state, moves, ended=True)
    raise ModelError(
        f"after {len(moves)} steps the CPUs {', '.join(str(agents[n].cpu) for n in waiting)} "
        "are not parked",
        advice="`parked(cpu)` must come to hold on the one schedule of the bring-up",
    )
