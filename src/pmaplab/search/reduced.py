"""Searching fewer states: the partial-order reduction, alone or with symmetries, and
going back on reductions.

A step of an agent is run on at once, and the state before it not kept, where
nothing that others can do before the agent moves meets it (``independence``).  The
states that are kept are those in which no such step is left; each is expanded in
full.  Verdicts, and what is reached, are those of the unreduced search; lengths
are not, so what finds any failure is searched again without the reduction.
docs/reductions.md has the argument.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, replace
from typing import NoReturn

from pmaplab.errors import ModelError
from pmaplab.ir.effects import bits
from pmaplab.search.begun import BegunSearch
from pmaplab.search.bfs import search, unpaused
from pmaplab.search.closure import facts_not_kept
from pmaplab.search.independence import MOST_PASSED, alone, independence
from pmaplab.search.interpreter import Interpreter, State
from pmaplab.search.ownership import Broken, Rules
from pmaplab.search.reductions import (
    NO_REDUCTIONS,
    PARTIAL_ORDER,
    SYMMETRY,
    FailureFoundError,
    FailureKnownError,
    Reductions,
)
from pmaplab.search.result import Limits, Progress, Result, states_reached
from pmaplab.search.symmetric import Outcomes, Symmetric, Taken, ToldApartError
from pmaplab.search.symmetry import ToldApart
from pmaplab.search.translate import DONE
from pmaplab.system import System

# Steps of all random walks before a search, and of each.
LOOK_AROUND = 4000
WALK = 400


class FactBrokenError(Exception):
    """An ownership fact does not hold: its name, and what is wrong."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(text)
        self.name = name
        self.text = text


class DisagreementError(Exception):
    """Two searches of one system disagree: a mistake of pmaplab, and no verdict."""


def search_reduced(
    system: System,
    *,
    limits: Limits | None = None,
    stop_at_first: bool = False,
    judge_bring_up: bool = True,
    progress: Progress | None = None,
    projected: bool = False,
    reductions: Reductions = NO_REDUCTIONS,
) -> Result:
    """As :func:`pmaplab.search.bfs.search`, with some reductions."""
    assert not (projected and reductions.names), "a reduction leaves out states"
    limits = limits or Limits()
    started = time.monotonic()

    def unreduced(limits: Limits) -> Result:
        return search(
            system,
            limits=limits,
            stop_at_first=stop_at_first,
            judge_bring_up=judge_bring_up,
            progress=progress,
            projected=projected,
        )

    if not reductions.names:
        return unreduced(limits)
    if reductions.beyond:
        result = unreduced(at_first(limits, reductions))
        cut_short = result.stopped == states_reached(reductions.beyond)
        if not (cut_short and goes_beyond(limits, reductions)):
            return result
        if result.violations:
            return unreduced(limits.left(started))
    found = _reduced(system, limits.left(started), judge_bring_up, progress, reductions)
    result = found.result or unreduced(limits.left(started))
    result.told_apart = found.told_apart
    result.broken_facts = found.broken_facts
    if found.fails:
        went_back(result, found.error)
    result.seconds = time.monotonic() - started
    return result


@dataclass(frozen=True, slots=True)
class _Found:
    """The result; or None where nothing is to be reduced, or where something fails, as it
    says if that was not known before."""

    result: Result | None
    told_apart: tuple[ToldApart, ...]
    broken_facts: tuple[str, ...]
    fails: bool = False
    error: ModelError | None = None


def _reduced(
    system: System,
    limits: Limits,
    judge_bring_up: bool,
    progress: Progress | None,
    reductions: Reductions,
) -> _Found:
    """Search with those of the symmetries, and of the ownership facts, that hold."""
    started = time.monotonic()
    told: list[ToldApart] = []
    broken: dict[str, str] = {}
    error: ModelError | None
    kind = _Reduced if PARTIAL_ORDER in reductions.names else Symmetric
    while True:
        run = kind(system, limits.left(started), judge_bring_up, progress)
        if SYMMETRY in reductions.names:
            run.kinds = [k for k in system.symmetries if k.name not in {t.kind for t in told}]
        if isinstance(run, _Reduced):
            run.dropped = frozenset(broken)
        try:
            with unpaused():
                result = run.run()
        except FactBrokenError as fact:
            broken[fact.name] = fact.text
            continue
        except ToldApartError as apart:
            told += [*run.told, apart.told]
            continue
        except FailureFoundError as failed:
            error, known = None, run.known_to_fail or isinstance(failed, FailureKnownError)
        except ModelError as met:
            # The unreduced search gives the account.
            error, known = met, False
        else:
            less = result if result.reductions else None
            return _Found(less, (*told, *run.told), tuple(broken.values()))
        return _Found(None, (*told, *run.told), tuple(broken.values()), not known, error)


def at_first(limits: Limits, reductions: Reductions) -> Limits:
    """The limits of the search that shows whether a reduction is worth it."""
    most = reductions.beyond
    return replace(limits, states=most if limits.states is None else min(most, limits.states))


def goes_beyond(limits: Limits, reductions: Reductions) -> bool:
    """Whether more states are asked for than that search may have."""
    return limits.states is None or limits.states > reductions.beyond


def went_back(result: Result, why: Exception | None = None) -> None:
    """Note that ``result`` is that of a second, unreduced search; raises
    DisagreementError where it does not find any failure."""
    result.searched_again = True
    if not result.complete:
        return
    if isinstance(why, ModelError):
        raise DisagreementError(f"only the reduced search comes to an error: {why}")
    if not result.violations:
        raise DisagreementError("the reduced search finds a failure, the unreduced one none")


def look_around(search: BegunSearch) -> int:
    """Walk about a little: the exemptions that are used, as a set of regions.

    What is known to be used need not be found by the search.  Raises
    FailureKnownError where something fails on the way.
    """
    try:
        _walk(search)
    except ModelError:
        raise FailureKnownError from None
    regions = search.interpreter.regions
    return sum(regions[name] for name in search.result.exemptions_used)


def _walk(search: BegunSearch) -> None:
    interpreter, choose = search.interpreter, random.Random(1)
    agents = range(len(search.system.program.agents))
    memory, parts = _lists(interpreter, search.result.start)
    for step in range(LOOK_AROUND):
        if step % WALK == 0:
            memory, parts = _lists(interpreter, search.result.start)
        if search.judge(tuple(memory)):
            raise FailureKnownError
        for agent in choose.sample(agents, len(agents)):
            ways = list(interpreter.local_steps(memory, parts[agent], agent))
            if ways:
                cells, _, failure = choose.choice(ways)
                if failure is not None:
                    raise FailureKnownError
                memory, parts[agent] = cells[: len(memory)], cells[len(memory) :]
                break
        else:
            memory, parts = _lists(interpreter, search.result.start)


def _lists(interpreter: Interpreter, state: State) -> tuple[list[int], list[list[int]]]:
    memory, parts = interpreter.split(state)
    return list(memory), [list(part) for part in parts]


@dataclass(frozen=True, slots=True)
class _Step:
    """What an agent can do next: the memory and its part after each outcome.

    ``conflicts`` are the agents that must not move before it for the step to be
    alone; ``waits``, where there is no outcome, those that can change that.
    """

    outcomes: Outcomes
    conflicts: int
    waits: int
    done: bool


class _Reduced(Symmetric):
    """With symmetries, if there are any: what is known of a step is then known of all of
    its images, and of states that have been run on the representatives are kept."""

    watched = True
    dropped: frozenset[str] = frozenset()

    def _prepare(self) -> bool:
        result, interpreter = self.result, self.interpreter
        result.reductions = (PARTIAL_ORDER,)
        if result.violations:
            raise FailureKnownError
        if self.kinds:
            self._find_symmetry()
        program, layout, symmetry = self.system.program, interpreter.layout, self.symmetry
        dropped = self.dropped
        if symmetry is not None:
            result.reductions = (PARTIAL_ORDER, SYMMETRY)
            dropped |= facts_not_kept(Rules(program, layout), symmetry)
        self.rules = Rules(program, layout, dropped)
        self.tables = independence(program, layout, result.start, self.rules, symmetry)
        wrong = self.rules.broken_at_first(self.memory[0])
        if wrong:
            self._broken(min(wrong))
        self.everyone = (1 << len(self.agents)) - 1
        self.steps: dict[tuple[int, int, int], _Step] = {}
        self.used = look_around(self)
        return True

    def _run_on(self, memory: int, parts: list[int]) -> tuple[int, int]:
        """Take steps that are alone as long as there are any; where there is no end of
        them, none."""
        moved, last, before, first = 0, 0, memory, parts.copy()
        for _ in range(MOST_PASSED):
            steps = [self._step(memory, parts[agent], agent) for agent in self.agents]
            done = sum(1 << agent for agent, step in enumerate(steps) if step.done)
            off = sum(1 << agent for agent, step in enumerate(steps) if not step.outcomes) & ~done
            waits = [step.waits for step in steps]
            # Whoever moved last is the likeliest to go on.
            for agent in (*self.agents[last:], *self.agents[:last]):
                step = steps[agent]
                if not step.outcomes or step.conflicts == self.everyone:
                    continue
                if alone(step.conflicts, agent, waits, off, done):
                    memory, parts[agent], _ = step.outcomes[0]
                    moved |= 1 << agent
                    last = agent
                    self.result.passed += 1
                    break
            else:
                return memory, moved
        parts[:] = first
        return before, moved

    def _outcomes(self, memory: int, part: int, agent: int) -> Outcomes:
        return self._step(memory, part, agent).outcomes

    def _step(self, memory: int, part: int, agent: int) -> _Step:
        key = (memory, part, agent)
        step = self.steps.get(key)
        if step is None:
            step = self.steps[key] = self._find_step(memory, part, agent)
        return step

    def _find_step(self, memory: int, part: int, agent: int) -> _Step:
        taken = self._take_alike(memory, part, agent)
        cells, point = self.memory[memory], self.parts[part][0]
        if taken.error is None:
            self._check(cells, part, agent, taken)
        self._go_on(taken)
        waits = 0 if taken.outcomes else self.tables.waits_for(list(taken.reads))
        conflicts = self.everyone
        if len(taken.outcomes) == 1 and self.parts[taken.outcomes[0][1]][0] != DONE:
            conflicts = self._conflicts(memory, agent, taken)
        return _Step(taken.outcomes, conflicts, waits, point == DONE)

    def _check(self, memory: list[int], part: int, agent: int, taken: Taken) -> None:
        """Whether a step does what the tables say, and keeps to the facts."""
        may = self.tables.may[agent]
        if _set(taken.reads) & ~may.reads or _set(taken.writes) & ~may.writes:
            if self.permutations:
                # An image of a state need not be reachable, and the tables are of states
                # that are.
                raise ToldApartError(ToldApart(self.permutations[-1].kinds[-1], *self._place(part)))
            raise DisagreementError("an agent does what it cannot do")
        broken = self.rules.broken(
            agent,
            self.parts[part][0],
            memory,
            taken.reads,
            taken.writes,
            [self.memory[after] for after, _, _ in taken.outcomes],
        )
        if broken:
            self._broken(min(broken))

    def _conflicts(self, number: int, agent: int, taken: Taken) -> int:
        """Who may ever do what a step conflicts with, or change what a unit says to
        which the step makes a difference."""
        tables, rules, first = self.tables, self.rules, self.interpreter.layout.regions
        memory, after = self.memory[number], self.memory[taken.outcomes[0][0]]
        changed = rules.changed(agent, memory, after, taken.writes)
        result, units = rules.disturbed(changed), 0
        for cell in taken.writes:
            result |= rules.touchers(agent, cell, True, memory, changed, tables.touch[cell])
            seen = tables.seen[cell]
            if cell >= first:
                marks = memory[cell] ^ after[cell]
                seen = sum(1 << n for n in bits(seen) if tables.differs(n, cell - first, marks))
            units |= seen
        for cell in taken.reads:
            writers = 0 if cell == tables.guard[agent] else tables.write[cell]
            result |= rules.touchers(agent, cell, False, memory, changed, writers)
        for unit in bits(units):
            inside = memory[first + tables.units[unit].cpu]
            others = tables.exempts(unit, inside, self.used)
            if others is None:
                others = 0
                for cell in self._looks_at(unit, number):
                    if cell >= first:
                        others |= tables.markers(unit, cell - first)
                    else:
                        others |= rules.narrowed(
                            agent, cell, False, memory, changed, tables.write[cell]
                        )
            result |= others
        return result & ~(1 << agent)

    def _looks_at(self, unit: int, number: int) -> set[int]:
        """The cells that a unit, or an image of it, looks at, in images."""
        looks_at, of = self.interpreter.looks_at, self.tables.units[unit]
        result = looks_at(of.invariant, of.cpu, self.memory[number])
        for at, p in enumerate(self.permutations):
            image = self.memory[self._memory_image(at, number)]
            cells = looks_at(of.invariant, p.cpus[of.cpu], image)
            result |= {self.back[at][cell] for cell in cells}
        return result

    def _broken(self, broken: Broken) -> NoReturn:
        text = self.rules.text(self.system.program, self.interpreter.code, broken)
        raise FactBrokenError(self.rules.names[broken.name], text)


def _set(cells: frozenset[int]) -> int:
    return sum(1 << cell for cell in cells)
