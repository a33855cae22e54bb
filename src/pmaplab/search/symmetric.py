"""Searching one state of each orbit: the symmetry reduction.

Of states that differ by a permutation of interchangeable objects (``symmetry``) one
is kept.  That the system behaves alike in all of them is asked whenever a step is
taken: it is taken in every image of the state as well, and must come to the images of
what it came to; and every memory and its images are judged alike.  Where that is not
so, the kind is no symmetry, and the search is done again without it.
``reduced`` adds the partial-order reduction to it.  docs/reductions.md has the argument.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pmaplab.errors import Location, ModelError
from pmaplab.search.bfs import PART_BITS, Search
from pmaplab.search.closure import inverse, moved
from pmaplab.search.interpreter import Failure, Interpreter, State
from pmaplab.search.reductions import SYMMETRY, FailureFoundError, FailureKnownError
from pmaplab.search.result import Limits, Progress
from pmaplab.search.symmetry import Kind, Permutation, Symmetry, ToldApart, symmetry_of
from pmaplab.system import System

# The memory and the agent's part after each outcome, with the choices.
Outcomes = list[tuple[int, int, tuple[int, ...]]]


class ToldApartError(Exception):
    """A step or an invariant tells objects apart that were declared to be alike."""

    def __init__(self, told: ToldApart) -> None:
        super().__init__(told.kind)
        self.told = told


class Symmetric(Search):
    """Where a system has no symmetries, there is no search of it, and no result."""

    # What steps read and write is noted.
    watched = False

    def __init__(
        self, system: System, limits: Limits, judge_bring_up: bool, progress: Progress | None
    ) -> None:
        super().__init__(system, limits, False, judge_bring_up, progress)
        self.kinds: Sequence[Kind] = ()
        self.known_to_fail = False
        self.told: tuple[ToldApart, ...] = ()
        self.symmetry: Symmetry | None = None
        self.permutations: tuple[Permutation, ...] = ()
        # By permutation: where cells come from, and the images of memories and parts, by
        # number.
        self.back: list[tuple[int, ...]] = []
        self.images: list[tuple[dict[int, int], dict[int, int]]] = []
        self.known: dict[tuple[int, int, int], Outcomes] = {}
        self.judged_alike: set[int] = set()
        # By which permutation the target of an edge is its representative, plus one.
        self.by = array("b")
        self.invariants = _Invariants(self.interpreter)

    def begin(self) -> bool:
        begun = super().begin()
        self.known_to_fail = bool(self.result.violations)
        return begun

    def _explore(self, started: float) -> None:
        if not self._prepare():
            return
        result, depth, transitions = self.result, 0, 0
        count = len(self.agents)
        first = self._unpacked(self.states[0])
        self.index = {}
        self.states[0], _, result.images = self._representative(*first)
        self.index[self.states[0]] = 0
        level = [0]
        while level:
            following: list[int] = []
            for number in level:
                memory, parts = self._unpacked(self.states[number])
                moved = 0
                for agent in self.agents:
                    for after, part, choices in self._outcomes(memory, parts[agent], agent):
                        transitions += 1
                        to = parts.copy()
                        to[agent] = part
                        end, others = self._run_on(after, to)
                        moved |= 1 << agent | others
                        state, by, images = self._representative(end, to)
                        target = self.index.get(state)
                        if target is None:
                            target = self._add(
                                state, state >> PART_BITS * count, number, (agent, choices)
                            )
                            following.append(target)
                            result.images += images
                        self.edges.append(target)
                        self.by.append(by)
                self.starts.append(len(self.edges))
                self.can_move.append(moved)
                if self._stops(number, started, transitions, depth):
                    return
            result.transitions, result.depth = transitions, depth
            if following and self._exhausted(started):
                return
            level, depth = following, depth + 1
        result.complete = True

    def _prepare(self) -> bool:
        """Find what is symmetric; whether something is."""
        self._find_symmetry()
        return self.symmetry is not None

    def _find_symmetry(self) -> None:
        result, interpreter = self.result, self.interpreter
        self.symmetry, used, self.told = symmetry_of(
            interpreter.layout, interpreter.code.numbers, result.start, self.kinds
        )
        if self.symmetry is None:
            return
        if result.violations:
            raise FailureKnownError
        result.reductions, result.symmetries = (SYMMETRY,), tuple(kind.name for kind in used)
        self.permutations = self.symmetry.permutations
        self.back = [inverse(p.cells) for p in self.permutations]
        self.images = [({}, {}) for _ in self.permutations]
        # It was judged by itself only.
        self.judged_alike.clear()
        self._memory(self.memory[0])

    def _run_on(self, memory: int, parts: list[int]) -> tuple[int, int]:
        """From where a step leads, where the search goes on: the memory there, and who
        has moved.  ``parts`` is changed."""
        return memory, 0

    # --- representatives -----------------------------------------------------------

    def _image(self, number: int, memory: int, parts: list[int]) -> int:
        """The image of a state under a permutation."""
        p = self.permutations[number]
        result = self._memory_image(number, memory) << PART_BITS * len(parts)
        for agent, part in enumerate(parts):
            image = self._part_image(number, part)
            result |= image << PART_BITS * (len(parts) - 1 - p.agents[agent])
        return result

    def _memory_image(self, number: int, memory: int) -> int:
        assert self.symmetry is not None
        known, p = self.images[number][0], self.permutations[number]
        if memory not in known:
            known[memory] = self._kept(self.symmetry.memory(p, self.memory[memory]))
        return known[memory]

    def _part_image(self, number: int, part: int) -> int:
        assert self.symmetry is not None
        known, p = self.images[number][1], self.permutations[number]
        if part not in known:
            known[part] = self._part(self.symmetry.part(p, self.parts[part]))
        return known[part]

    def _representative(self, memory: int, parts: list[int]) -> tuple[int, int, int]:
        """The least of the images of a state, the number of the permutation that makes
        it, plus one, and how many other images there are."""
        images = [self._packed(memory, parts)]
        images += [self._image(n, memory, parts) for n in range(len(self.images))]
        least = min(images)
        return least, images.index(least), len(set(images)) - 1

    # --- whether the system behaves alike ----------------------------------------------

    def _outcomes(self, memory: int, part: int, agent: int) -> Outcomes:
        """What the agent can do next, which is the same in all images."""
        key = (memory, part, agent)
        if key not in self.known:
            taken = self._take_alike(*key)
            self._go_on(taken)
            self.known[key] = taken.outcomes
        return self.known[key]

    def _take_alike(self, memory: int, part: int, agent: int) -> Taken:
        """The same, with what the agent's images touch, in images.  Raises ToldApartError."""
        ours = self._take(memory, part, agent)
        reads, writes = ours.reads, ours.writes
        for number, p in enumerate(self.permutations):
            theirs = self._take(
                self._memory_image(number, memory),
                self._part_image(number, part),
                p.agents[agent],
            )
            images = Counter(
                (self._memory_image(number, after), self._part_image(number, own))
                for after, own, _ in ours.outcomes
            )
            if ours.rest != theirs.rest or images != Counter(o[:2] for o in theirs.outcomes):
                raise ToldApartError(ToldApart(p.kinds[-1], *self._place(part)))
            back = self.back[number]
            reads = reads.union(back[cell] for cell in theirs.reads)
            writes = writes.union(back[cell] for cell in theirs.writes)
        return Taken(ours.outcomes, ours.failures, ours.labels, ours.error, reads, writes)

    def _place(self, part: int) -> tuple[str, Location]:
        """The function and place of an agent's next step."""
        function, item = self.interpreter.code.places[self.parts[part][0]]
        return function, item.loc

    def _go_on(self, taken: Taken) -> None:
        """Judge where a step leads, which is nowhere if it fails."""
        if taken.error is not None:
            raise taken.error
        if taken.failures:
            raise FailureFoundError
        for after, _, _ in taken.outcomes:
            self._memory(self.memory[after])

    def _take(self, memory: int, part: int, agent: int) -> Taken:
        """A step in all its ways."""
        cells, own, size = self.memory[memory], self.parts[part], len(self.memory[memory])
        context, failures, error = self.interpreter.context, 0, None
        outcomes: Outcomes = []
        reads = writes = frozenset[int]()
        before, context.marks = context.marks, 0
        try:
            ways: Iterable[tuple[list[int], list[int], Failure | None]]
            if self.watched:
                tried = self.interpreter.attempt(cells, own, agent)
                ways, reads, writes = tried.outcomes, tried.reads, tried.writes
            else:
                ways = self.interpreter.local_steps(cells, own, agent)
            for after, choices, failure in ways:
                if failure is not None:
                    failures += 1
                    continue
                changed = after[:size]
                to = memory if changed == cells else self._kept(changed)
                outcomes.append((to, self._part(after[size:]), tuple(choices)))
        except ModelError as found:
            error = found
        labels, context.marks = context.marks, before | context.marks
        return Taken(outcomes, failures, labels, error, reads, writes)

    def _memory(self, cells: list[int]) -> int:
        """The number of a memory; it, and its images, are judged."""
        number = self._kept(cells)
        if number not in self.judged_alike:
            self.judged_alike.add(number)
            self._judge_alike(number)
            if self.judged[number]:
                raise FailureFoundError
        return number

    def _kept(self, cells: list[int]) -> int:
        """The same, not judged."""
        memory = tuple(cells)
        number = self.memories.get(memory)
        if number is None:
            number = self.memories[memory] = len(self.memory)
            self.memory.append(cells)
            self.judged.append([])
        return number

    def _judge_alike(self, number: int) -> None:
        memory = self.memory[number]
        # Before it is known what is symmetric, there are no permutations.
        ours = self.invariants.answers(memory) if self.permutations else []
        for at, p in enumerate(self.permutations):
            theirs = self.invariants.answers(self.memory[self._memory_image(at, number)])
            for which, (mine, other) in enumerate(zip(ours, theirs, strict=True)):
                images = frozenset((p.cpus[cpu], inside) for cpu, inside in mine.failing)
                if mine.error != other.error or (images, mine.labels) != (
                    other.failing,
                    other.labels,
                ):
                    name = self.system.program.invariants[which].function
                    loc = self.system.program.functions[name].loc
                    raise ToldApartError(ToldApart(p.kinds[-1], name, loc))
        self.judged[number] = self.judge(tuple(memory))

    # --- what fails ------------------------------------------------------------

    def _reach(self) -> list[int]:
        """Whoever can still move behind an edge is another agent where agents change
        places."""
        back = [inverse(p.agents) for p in self.permutations]
        reach, changed = list(self.can_move), True
        while changed:
            changed = False
            for number in range(len(reach) - 1, -1, -1):
                mask = reach[number]
                for edge in range(self.starts[number], self.starts[number + 1]):
                    behind, by = reach[self.edges[edge]], self.by[edge]
                    mask |= moved(behind, back[by - 1]) if by else behind
                if mask != reach[number]:
                    reach[number], changed = mask, True
        return reach

    def _stuck(self, number: int, agent: int, part: list[int]) -> None:
        raise FailureFoundError


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of a step: how many of its ways fail, the labels passed, or the error; and
    the cells of the memory that were read and written, if that was noted."""

    outcomes: Outcomes
    failures: int
    labels: int
    error: ModelError | None
    reads: frozenset[int]
    writes: frozenset[int]

    @property
    def rest(self) -> tuple[int, int, bool]:
        return self.failures, self.labels, self.error is None


@dataclass(frozen=True, slots=True)
class _Answer:
    """What an invariant says: the CPUs for which it fails, each with the regions that
    excuse it, and the labels passed on the way; or that there is no answer."""

    failing: frozenset[tuple[int, int]]
    labels: int
    error: bool


class _Invariants:
    """What invariants say, kept by the cells that they may read."""

    def __init__(self, interpreter: Interpreter) -> None:
        self.interpreter = interpreter
        self.known: list[dict[object, _Answer]] = [{} for _ in interpreter.program.invariants]

    def answers(self, memory: list[int]) -> list[_Answer]:
        state = tuple(memory)
        result = []
        for number, known in enumerate(self.known):
            seen = self.interpreter.seen(number, state)
            if seen not in known:
                known[seen] = self._ask(number, state)
            result.append(known[seen])
        return result

    def _ask(self, number: int, state: State) -> _Answer:
        context = self.interpreter.context
        before, context.marks, error = context.marks, 0, False
        failing: list[tuple[int, int, Failure, int]] = []
        try:
            failing = self.interpreter.ask(number, state)
        except ModelError:
            error = True
        labels, context.marks = context.marks, before | context.marks
        return _Answer(frozenset((cpu, inside) for _, cpu, _, inside in failing), labels, error)
