"""Searching fewer states: the partial-order reduction, and going back on it.

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
from pmaplab.search.bfs import Search, search, unpaused
from pmaplab.search.independence import MOST_PASSED, alone, independence
from pmaplab.search.interpreter import Attempt, Interpreter, State
from pmaplab.search.ownership import Broken, Rules
from pmaplab.search.reductions import (
    NO_REDUCTIONS,
    PARTIAL_ORDER,
    FailureFoundError,
    Reductions,
)
from pmaplab.search.result import Limits, Progress, Result, states_reached
from pmaplab.search.symmetric import Found, search_symmetric
from pmaplab.search.translate import DONE
from pmaplab.system import System

# Steps of all random walks before a search, and of each.
LOOK_AROUND = 4000
WALK = 400


class FailureKnownError(FailureFoundError):
    """Something fails, as is known before a search."""


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
    if PARTIAL_ORDER not in reductions.names:
        found = _without_images(system, limits.left(started), judge_bring_up, progress)
        result = found.result or unreduced(limits.left(started))
        result.told_apart = found.told_apart
        if found.fails:
            went_back(result, found.error)
        result.seconds = time.monotonic() - started
        return result
    broken: dict[str, str] = {}
    why: Exception | None = None
    while why is None:
        with unpaused():
            try:
                run = _Reduced(system, limits.left(started), False, judge_bring_up, progress)
                run.dropped = frozenset(broken)
                result = run.run()
                result.seconds = time.monotonic() - started
                result.broken_facts = tuple(broken.values())
                return result
            except FactBrokenError as error:
                broken[error.name] = error.text
            except (FailureFoundError, ModelError) as error:
                # Of an error, the unreduced search gives the account.
                why = error
    result = unreduced(limits.left(started))
    result.broken_facts = tuple(broken.values())
    if not isinstance(why, FailureKnownError):
        went_back(result, why)
    result.seconds = time.monotonic() - started
    return result


def _without_images(
    system: System,
    limits: Limits,
    judge_bring_up: bool,
    progress: Progress | None,
) -> Found:
    try:
        return search_symmetric(system, limits, judge_bring_up, progress)
    except ModelError as error:
        return Found(None, fails=True, error=error)


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

    outcomes: tuple[tuple[int, int, tuple[int, ...]], ...]
    conflicts: int
    waits: int
    done: bool


class _Reduced(Search):
    dropped: frozenset[str] = frozenset()

    def _explore(self, started: float) -> None:
        result, level, depth, transitions = self.result, [0], 0, 0
        result.reductions = (PARTIAL_ORDER,)
        if result.violations:
            raise FailureKnownError
        count = len(self.agents)
        interpreter = self.interpreter
        program, layout = self.system.program, interpreter.layout
        self.rules = Rules(program, layout, self.dropped)
        self.tables = independence(program, layout, result.start, self.rules)
        wrong = self.rules.broken_at_first(self.memory[0])
        if wrong:
            self._broken(min(wrong))
        self.everyone = (1 << count) - 1
        self.known: dict[tuple[int, int, int], _Step] = {}
        self.used = look_around(self)
        while level:
            following: list[int] = []
            for number in level:
                memory, parts = self._unpacked(self.states[number])
                moved = 0
                for agent in self.agents:
                    for after, part, choices in self._step(memory, parts[agent], agent).outcomes:
                        transitions += 1
                        to = parts.copy()
                        to[agent] = part
                        end, others = self._run_on(after, to)
                        moved |= 1 << agent | others
                        state = self._packed(end, to)
                        target = self.index.get(state)
                        if target is None:
                            target = self._add(state, end, number, (agent, choices))
                            following.append(target)
                        self.edges.append(target)
                self.starts.append(len(self.edges))
                self.can_move.append(moved)
                if self._stops(number, started, transitions, depth):
                    return
            result.transitions, result.depth = transitions, depth
            if following and self._exhausted(started):
                return
            level, depth = following, depth + 1
        result.complete = True

    def _run_on(self, memory: int, parts: list[int]) -> tuple[int, int]:
        """Take steps that are alone as long as there are any: the memory then, and
        who has moved.  ``parts`` is changed."""
        moved, last = 0, 0
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
                break
        return memory, moved

    def _step(self, memory: int, part: int, agent: int) -> _Step:
        key = (memory, part, agent)
        step = self.known.get(key)
        if step is None:
            step = self.known[key] = self._find_step(memory, part, agent)
        return step

    def _find_step(self, memory: int, part: int, agent: int) -> _Step:
        cells, own, size = self.memory[memory], self.parts[part], self.interpreter.layout.agents[0]
        tried = self.interpreter.attempt(cells, own, agent)
        may = self.tables.may[agent]
        if _set(tried.reads) & ~may.reads or _set(tried.writes) & ~may.writes:
            raise DisagreementError("an agent does what it cannot do")
        afters = [after for after, _, failure in tried.outcomes if failure is None]
        broken = self.rules.broken(agent, own[0], cells, tried.reads, tried.writes, afters)
        if broken:
            self._broken(min(broken))
        outcomes = []
        for after, choices, failure in tried.outcomes:
            if failure is not None:
                raise FailureFoundError
            outcomes.append((self._memory(after[:size]), self._part(after[size:]), tuple(choices)))
        waits = 0 if outcomes else self.tables.waits_for(list(tried.reads))
        conflicts = self.everyone
        if len(outcomes) == 1 and self.parts[outcomes[0][1]][0] != DONE:
            conflicts = self._conflicts(cells, agent, tried)
        return _Step(tuple(outcomes), conflicts, waits, own[0] == DONE)

    def _conflicts(self, memory: list[int], agent: int, tried: Attempt) -> int:
        """Who may ever do what a step conflicts with, or change what a unit says to
        which the step makes a difference."""
        tables, rules, interpreter = self.tables, self.rules, self.interpreter
        after, first = tried.outcomes[0][0], interpreter.layout.regions
        changed = rules.changed(agent, memory, after, tried.writes)
        result, units = rules.disturbed(changed), 0
        for cell in tried.writes:
            result |= rules.touchers(agent, cell, True, memory, changed, tables.touch[cell])
            seen = tables.seen[cell]
            if cell >= first:
                marks = memory[cell] ^ after[cell]
                seen = sum(1 << n for n in bits(seen) if tables.differs(n, cell - first, marks))
            units |= seen
        for cell in tried.reads:
            writers = 0 if cell == tables.guard[agent] else tables.write[cell]
            result |= rules.touchers(agent, cell, False, memory, changed, writers)
        for number in bits(units):
            unit = tables.units[number]
            inside = memory[interpreter.layout.regions + unit.cpu]
            others = tables.exempts(number, inside, self.used)
            if others is None:
                others = 0
                for cell in interpreter.looks_at(unit.invariant, unit.cpu, memory):
                    if cell >= first:
                        others |= tables.markers(number, cell - first)
                    else:
                        others |= rules.narrowed(
                            agent, cell, False, memory, changed, tables.write[cell]
                        )
            result |= others
        return result & ~(1 << agent)

    def _broken(self, broken: Broken) -> NoReturn:
        text = self.rules.text(self.system.program, self.interpreter.code, broken)
        raise FactBrokenError(self.rules.names[broken.name], text)

    # --- what fails ------------------------------------------------------------

    def _memory(self, cells: list[int]) -> int:
        number = super()._memory(cells)
        if self.judged[number]:
            raise FailureFoundError
        return number

    def _stuck(self, number: int, agent: int, part: list[int]) -> None:
        raise FailureFoundError


def _set(cells: frozenset[int]) -> int:
    return sum(1 << cell for cell in cells)
