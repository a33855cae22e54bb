"""Breadth-first search over every interleaving.

Levels are explored in the order of the agents and their choices, so the first
counterexample found is a shortest one, and always the same.  One search finds
a shortest counterexample for each property: a state in which one property
fails is explored further for the sake of the others.  Only a failed assertion
ends the run that it happens in, as a panic does.
"""

from __future__ import annotations

import gc
import time
from array import array
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from contextlib import contextmanager

from pmaplab.errors import ModelError
from pmaplab.ir.nodes import THREAD
from pmaplab.search.begun import BegunSearch
from pmaplab.search.interpreter import Failure, State
from pmaplab.search.projection import Projected, project, projection_of, rest_marks, rests
from pmaplab.search.result import (
    ASSERTIONS,
    PROGRESS,
    STOPPED_FIRST,
    Limits,
    Progress,
    Rest,
    Result,
    Violation,
    seconds_reached,
    states_reached,
    stuck_failure,
)
from pmaplab.search.run import Move
from pmaplab.search.translate import DONE
from pmaplab.system import System

# Room for the number of an agent's part in a packed state.
PART_BITS = 24
PART_MASK = (1 << PART_BITS) - 1

# States between two looks at the limits, and reports of progress.
LOOK_EVERY = 8192


def search(
    system: System,
    *,
    limits: Limits | None = None,
    stop_at_first: bool = False,
    judge_bring_up: bool = True,
    progress: Progress | None = None,
    finals: bool = False,
    rest: Callable[[State], Hashable] | None = None,
    accepted: Mapping[str, frozenset[tuple[str, str]]] | None = None,
    projected: bool = False,
) -> Result:
    """Explore ``system`` and judge its properties.

    ``stop_at_first`` ends with the level of the first counterexample, and
    leaves the other properties undecided.  ``judge_bring_up`` False leaves out
    what fails before the search begins.  ``progress`` is called now and then
    with the numbers of states, transitions and levels.  ``finals`` asks for
    the final memories; ``rest`` is asked about each in which every CPU is at rest.  ``accepted``
    has for properties the places (function and file) at which steps may begin that
    make them fail: of these, only what makes them fail elsewhere is a violation.
    ``projected`` asks what the states of a complete search hold in memory.
    """
    with unpaused():
        run = Search(system, limits or Limits(), stop_at_first, judge_bring_up, progress)
        run.accepted = accepted or {}
        result = run.run()
        if finals:
            result.finals = run.finals()
        if rest is not None:
            result.rest = run.rest(rest)
        if projected and result.complete:
            result.projected = run.projected()
        return result


@contextmanager
def unpaused() -> Iterator[None]:
    """Without the collector: states form no cycles, and it would walk them again and
    again."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


class Search(BegunSearch):
    """States are interned: the memory has a number, each agent's part has one,
    and a state is the tuple of these packed into one integer.  Properties see
    the memory only, so each memory is judged once.
    """

    def __init__(
        self,
        system: System,
        limits: Limits,
        stop_at_first: bool,
        judge_bring_up: bool,
        progress: Progress | None,
    ) -> None:
        super().__init__(system, judge_bring_up)
        self.limits = limits
        self.stop_at_first = stop_at_first
        self.progress = progress
        self.agents = range(len(system.program.agents))
        self.memories: dict[State, int] = {}
        self.memory: list[list[int]] = []
        self.judged: list[list[tuple[str, int, Failure]]] = []
        self.part_numbers: dict[State, int] = {}
        self.parts: list[list[int]] = []
        self.index: dict[int, int] = {}
        self.states: list[int] = []
        self.parents = array("q")
        self.moves: list[Move] = []
        # Every edge, for the question who can still move: the successors of
        # state n are edges[starts[n]:starts[n + 1]].
        self.edges = array("q")
        self.starts = array("q", [0])
        self.can_move = array("q")
        self.accepted: Mapping[str, frozenset[tuple[str, str]]] = {}

    def run(self) -> Result:
        started = time.monotonic()
        result = self.result
        if self.begin():
            memory, parts = self.interpreter.split(result.start)
            number = self._memory(list(memory))
            packed = self._packed(number, (self._part(list(part)) for part in parts))
            self._add(packed, number, -1, (0, ()))
            self._explore(started)
        if result.complete:
            self._judge_progress()
        result.states = len(self.states)
        result.seconds = time.monotonic() - started
        marks = self.interpreter.context.marks
        labels = self.interpreter.code.labels
        self.note_labels(
            frozenset(label for number, label in enumerate(labels) if marks & 1 << number)
        )
        return result

    def rest(self, ask: Callable[[State], Hashable]) -> Rest[Hashable]:
        """What ``ask`` says of each memory at rest, with its first state."""
        answers = {number: ask(tuple(self.memory[number])) for number in self._resting()}
        first: dict[Hashable, int] = {}
        shift = PART_BITS * len(self.agents)
        for number, state in enumerate(self.states):
            memory = state >> shift
            if memory in answers:
                first.setdefault(answers[memory], number)
        return Rest(first, self._path)

    def _resting(self) -> list[int]:
        """The numbers of the memories in which every CPU is at rest."""
        marks = rest_marks(self.interpreter.layout)
        return [number for number, memory in enumerate(self.memory) if rests(marks, memory)]

    def projected(self) -> Projected:
        """What the states hold in memory."""
        return project(projection_of(self.interpreter.layout), self.memory)

    def finals(self) -> tuple[State, ...]:
        """The memories of the final states, each once."""
        threads = self._agents_of(lambda context: context == THREAD)
        found = dict.fromkeys(
            self.states[number] >> PART_BITS * len(self.agents)
            for number, moved in enumerate(self.can_move)
            if not moved and all(self._part_of(number, agent)[0] == DONE for agent in threads)
        )
        return tuple(tuple(self.memory[memory]) for memory in found)

    def _agents_of(self, wanted: Callable[[str], bool]) -> list[int]:
        agents = self.system.program.agents
        return [number for number in self.agents if wanted(agents[number].context)]

    def _part_of(self, number: int, agent: int) -> list[int]:
        """The agent's part of a state."""
        shift = PART_BITS * (len(self.agents) - 1 - agent)
        return self.parts[self.states[number] >> shift & PART_MASK]

    # --- exploring ---------------------------------------------------------

    def _explore(self, started: float) -> None:
        result, level, depth, transitions = self.result, [0], 0, 0
        count, size = len(self.agents), self.interpreter.layout.agents[0]
        all_parts = PART_BITS * count
        shifts = [PART_BITS * (count - 1 - agent) for agent in self.agents]
        everyone = (1 << count) - 1
        steps = self.interpreter.local_steps
        while level:
            following: list[int] = []
            for number in level:
                packed = self.states[number]
                memory_number = packed >> all_parts
                memory, moved = self.memory[memory_number], 0
                for agent in self.agents:
                    shift = shifts[agent]
                    part = packed >> shift & PART_MASK
                    rest = packed & (1 << all_parts) - 1 ^ part << shift
                    for cells, choices, failure in steps(memory, self.parts[part], agent):
                        transitions += 1
                        moved |= 1 << agent
                        if failure is not None:
                            # A panic is nobody's lack of progress.
                            moved = everyone
                            place = failure.function, failure.loc.file
                            if place in self.accepted.get(ASSERTIONS, ()):
                                continue
                            self._note(number, (agent, tuple(choices)), failure)
                            continue
                        changed = cells[:size]
                        after = memory_number if changed == memory else self._memory(changed)
                        if self.accepted and self.judged[after] and after != memory_number:
                            move = (agent, tuple(choices))
                            self._judge_step(number, memory_number, after, part, move)
                        state = after << all_parts | rest | self._part(cells[size:]) << shift
                        target = self.index.get(state)
                        if target is None:
                            target = self._add(state, after, number, (agent, tuple(choices)))
                            following.append(target)
                        self.edges.append(target)
                self.starts.append(len(self.edges))
                self.can_move.append(moved)
                if self._stops(number, started, transitions, depth):
                    return
            result.transitions, result.depth = transitions, depth
            if self.stop_at_first and result.violations:
                result.stopped = STOPPED_FIRST
                return
            if following and self._exhausted(started):
                return
            level, depth = following, depth + 1
        result.complete = True

    def _judge_step(self, number: int, before: int, after: int, part: int, move: Move) -> None:
        """Note what a step makes fail, but for what is accepted."""
        failed = {(name, cpu, failure.loc) for name, cpu, failure in self.judged[before]}
        function, item = self.interpreter.code.places[self.parts[part][0]]
        for name, cpu, failure in self.judged[after]:
            places = self.accepted.get(name)
            if places is None or name in self.result.violations:
                continue
            if (name, cpu, failure.loc) not in failed and (function, item.loc.file) not in places:
                moves = (*self._path(number), move)
                self.result.violations[name] = Violation(name, moves, failure, cpu)

    def _stops(self, number: int, started: float, transitions: int, depth: int) -> bool:
        """Whether a limit ends the search after a state; looks now and then, and tells
        of the progress."""
        if number % LOOK_EVERY:
            return False
        self.result.transitions = transitions
        if self._exhausted(started):
            return True
        if self.progress is not None:
            self.progress(len(self.states), transitions, depth)
        return False

    def _exhausted(self, started: float) -> bool:
        limits = self.limits
        if limits.states is not None and len(self.states) > limits.states:
            self.result.stopped = states_reached(limits.states)
        elif limits.seconds is not None and time.monotonic() - started > limits.seconds:
            self.result.stopped = seconds_reached(limits.seconds)
        return self.result.stopped is not None

    def _memory(self, cells: list[int]) -> int:
        """The number of a memory; a new one is judged."""
        memory = tuple(cells)
        number = self.memories.get(memory)
        if number is None:
            number = self.memories[memory] = len(self.memory)
            self.memory.append(cells)
            self.judged.append(self.judge(memory))
        return number

    def _part(self, cells: list[int]) -> int:
        part = tuple(cells)
        number = self.part_numbers.get(part)
        if number is None:
            number = self.part_numbers[part] = len(self.parts)
            if number > PART_MASK:
                raise ModelError("the agents have too many local states for the packed store")
            self.parts.append(cells)
        return number

    def _add(self, state: int, memory: int, parent: int, move: Move) -> int:
        number = len(self.states)
        self.index[state] = number
        self.states.append(state)
        self.parents.append(parent)
        self.moves.append(move)
        for name, cpu, failure in self.judged[memory]:
            if name not in self.result.violations and name not in self.accepted:
                self.result.violations[name] = Violation(name, self._path(number), failure, cpu)
        return number

    # --- properties --------------------------------------------------------

    def _note(self, number: int, move: Move, failure: Failure) -> None:
        if ASSERTIONS not in self.result.violations:
            cpu = self.system.program.agents[move[0]].cpu
            moves = (*self._path(number), move)
            self.result.violations[ASSERTIONS] = Violation(ASSERTIONS, moves, failure, cpu)

    def _path(self, number: int) -> tuple[Move, ...]:
        moves: list[Move] = []
        while self.parents[number] >= 0:
            moves.append(self.moves[number])
            number = self.parents[number]
        return (*self.prefix, *reversed(moves))

    def _unpacked(self, state: int) -> tuple[int, list[int]]:
        """The numbers of a state's memory and of the agents' parts."""
        last = len(self.agents) - 1
        parts = [state >> PART_BITS * (last - agent) & PART_MASK for agent in self.agents]
        return state >> PART_BITS * len(parts), parts

    def _packed(self, memory: int, parts: Iterable[int]) -> int:
        for part in parts:
            memory = memory << PART_BITS | part
        return memory

    def _reach(self) -> list[int]:
        """By state the agents that can still move in some future of it.

        Successors mostly have higher numbers, so few rounds are needed.
        """
        reach, starts, edges = list(self.can_move), self.starts, self.edges
        changed = True
        while changed:
            changed = False
            for number in range(len(reach) - 1, -1, -1):
                mask = reach[number]
                for edge in range(starts[number], starts[number + 1]):
                    mask |= reach[edges[edge]]
                if mask != reach[number]:
                    reach[number] = mask
                    changed = True
        return reach

    def _judge_progress(self) -> None:
        """Find a state from which some CPU with work left never moves again."""
        workers = self._agents_of(lambda context: context == THREAD)
        everyone = sum(1 << agent for agent in workers)
        for number, mask in enumerate(self._reach()):
            if mask & everyone == everyone:
                continue
            for agent in workers:
                part = self._part_of(number, agent)
                if not mask >> agent & 1 and part[0] != DONE:
                    self._stuck(number, agent, part)
                    return

    def _stuck(self, number: int, agent: int, part: list[int]) -> None:
        cpu = self.system.program.agents[agent].cpu
        function, item = self.interpreter.code.places[part[0]]
        failure = stuck_failure(cpu, function, item)
        self.result.violations[PROGRESS] = Violation(PROGRESS, self._path(number), failure, cpu)
