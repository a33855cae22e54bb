"""Searching natively: the same results as search/bfs, from generated C."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, combinations
from pathlib import Path
from typing import Any, Generic, NoReturn

from pmaplab.ir.nodes import THREAD
from pmaplab.native import checkpoint as checkpoints
from pmaplab.native.build import worker
from pmaplab.native.codegen import generate
from pmaplab.native.groups import components
from pmaplab.native.protocol import NOTHING_AT_REST, WORD, Question, RestQuestion, ask
from pmaplab.native.symmetry import closed, symmetry_numbers
from pmaplab.search.bfs import (
    ASSERTIONS,
    PROGRESS,
    BegunSearch,
    Limits,
    Progress,
    Rest,
    Result,
    Seen,
    Violation,
    states_reached,
    stuck_failure,
)
from pmaplab.search.independence import MOST_PASSED, independence
from pmaplab.search.interpreter import State
from pmaplab.search.projection import Members, Projected, marks_at_rest, projection_of
from pmaplab.search.reduced import FailureKnownError, at_first, left, look_around, went_back
from pmaplab.search.reductions import NO_REDUCTIONS, PARTIAL_ORDER, SYMMETRY, Reductions
from pmaplab.search.run import Move
from pmaplab.search.symmetry import Kind, Symmetry, ToldApart, symmetry_of
from pmaplab.search.translate import DONE
from pmaplab.system import System

NATIVE = "native"
STOPPED_FIRST = "the first counterexample ends the search"
# Of a lane, as the runtime has it: with fewer, components are coarser.
LANE_BITS = 63


class NativeError(Exception):
    """The worker and the interpreter disagree: a mistake of pmaplab, and no
    verdict."""


class NotNative(Exception):
    """What this search does is beyond the native engine."""


def cores() -> int:
    """The processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def search_natively(
    system: System,
    *,
    limits: Limits | None = None,
    stop_at_first: bool = False,
    judge_bring_up: bool = True,
    progress: Progress | None = None,
    threads: int | None = None,
    fingerprints: bool = False,
    checkpoint: Path | None = None,
    rest: RestCells[Any] | None = None,
    projected: bool = False,
    once: bool = False,
    reductions: Reductions = NO_REDUCTIONS,
) -> Result:
    """As :func:`pmaplab.search.reduced.search_reduced`, on ``threads`` threads (all
    cores); ``rest`` asks about the states at rest, of which a reduction leaves some out.

    With ``fingerprints`` states are told apart by 64 bits only.  In the folder
    ``checkpoint`` the search is kept now and then, and when it is stopped; it goes on
    from there.  ``once`` says that nobody asks again.

    Raises NoCompiler and Unsupported where it cannot be done, and WorkerDied.
    """
    run = _NativeSearch(system, judge_bring_up)
    run.rest = rest
    threads = threads or cores()
    limits = limits or Limits()
    if rest is not None or projected:
        assert not reductions.names, "a reduction leaves out states"
    return run.run(
        limits,
        stop_at_first,
        progress,
        threads,
        fingerprints,
        checkpoint,
        reductions,
        projected,
        once,
    )


@dataclass(frozen=True)
class _Asking:
    """How a worker is asked: for the C text of its model, where it is and whether it
    is kept apart, whom it tells of its progress, and where its checkpoint goes."""

    model: str
    executable: Path
    once: bool
    progress: Progress | None
    checkpoint: Path | None


@dataclass(frozen=True)
class RestCells(Generic[Seen]):
    """What is asked of the memory of states at rest: cells with masks, and what their
    values together stand for; ``wanted`` are the values of the state to go to."""

    cells: tuple[tuple[int, int], ...]
    shown: Callable[[Sequence[int]], Seen]
    wanted: tuple[int, ...] | None = None


class _NativeSearch(BegunSearch):
    rest: RestCells[Any] | None = None
    # The permutations of the search that is under way.
    group: Symmetry | None = None
    way_found: tuple[Move, ...] | None = None

    def run(
        self,
        limits: Limits,
        stop_at_first: bool,
        progress: Progress | None,
        threads: int,
        fingerprints: bool,
        checkpoint: Path | None,
        reductions: Reductions,
        projected: bool,
        once: bool,
    ) -> Result:
        result, interpreter = self.result, self.interpreter
        result.engine = NATIVE
        begun = self.begin()
        if stop_at_first and result.violations:
            self.note_labels(frozenset())
            result.stopped = STOPPED_FIRST
            return result
        began = time.monotonic()
        program, layout = self.system.program, interpreter.layout
        model = generate(program, layout, interpreter.code)
        executable = worker(model, once=once)
        started = time.monotonic()
        result.build_seconds = started - began
        if begun:
            question = Question(
                threads=threads,
                states=0 if limits.states is None else max(limits.states, 1),
                seconds=limits.seconds or 0,
                memory=limits.memory or 0,
                stop_at_first=stop_at_first,
                fingerprints=fingerprints,
                bits=LANE_BITS,
                memory_cells=layout.regions + program.cpus,
                start=result.start,
                components=(),
                rest=self._rest_question(),
                agents=[
                    (base, agent.cpu, agent.context == THREAD)
                    for base, agent in zip(layout.agents, program.agents, strict=True)
                ],
                projection=projection_of(layout) if projected else None,
            )
            run = _Asking(model, executable, once, progress, checkpoint)
            answer = self._reduced(run, question, limits, started, reductions)
            if answer is None:
                rest = left(limits, started)
                answer = self._ask(run, replace(question, seconds=rest.seconds or 0))
            result.seconds = time.monotonic() - started
            self._take(answer, limits)
            if result.searched_again:
                went_back(result)
            if self.rest is not None and self.rest.wanted is None:
                result.rest = self._rest(answer["rest"], limits, threads)
            if fingerprints:
                result.odds = odds_of_a_miss(result.states)
        else:
            self.note_labels(frozenset())
        result.seconds = time.monotonic() - started
        return result

    def _ask(self, run: _Asking, question: Question) -> dict[str, Any]:
        """The answer, with components that are fine enough."""
        for parts in self._components():
            asked = replace(question, components=parts)
            if run.checkpoint is not None:
                asked = _with_checkpoint(asked, run.model, run.checkpoint)
            try:
                answer = ask(run.executable, asked, run.progress, run.checkpoint)
            except FileNotFoundError:
                # Another process has just removed it to make room for its own.
                answer = ask(worker(run.model, once=run.once), asked, run.progress, run.checkpoint)
            if answer["stopped"] != "wide":
                return answer
            if run.checkpoint is not None:
                raise NotNative("with other components a checkpoint is of no use")
        raise NotNative("the states are too many for its words")

    def _components(self) -> Iterator[list[list[int]]]:
        parts = components(self.interpreter.layout)
        return parts if self.group is None else closed(self.group, parts)

    def _reduced(
        self,
        run: _Asking,
        question: Question,
        limits: Limits,
        started: float,
        reductions: Reductions,
    ) -> dict[str, Any] | None:
        """The answer of a reduced search, or that of a short one; None where the
        search is to be done without reductions."""
        if not reductions.names or self._resumes(run, question):
            return None
        if reductions.beyond:
            short = at_first(limits, reductions)
            answer = self._ask(
                replace(run, checkpoint=None), replace(question, states=short.states or 0)
            )
            ours = limits.states is None or limits.states > reductions.beyond
            if answer["stopped"] != "states" or not ours:
                return answer
            if answer["violations"]:
                return None
        question = replace(question, stop_at_first=False)
        other = None
        partial_order = PARTIAL_ORDER in reductions.names
        if partial_order and (numbers := self._reduction()) is not None:
            other = replace(question, reduction=numbers)
        if SYMMETRY in reductions.names:
            found = self._symmetric(run, question, limits, started, partial_order, other)
            if found is not None or self.result.searched_again:
                return found
        if other is None:
            return None
        answer = self._ask(run, replace(other, seconds=left(limits, started).seconds or 0))
        if answer["stopped"] == "found":
            self.result.searched_again = True
            return None
        self.result.reductions, self.result.passed = (PARTIAL_ORDER,), answer["passed"]
        return answer

    def _symmetric(
        self,
        run: _Asking,
        question: Question,
        limits: Limits,
        started: float,
        only_alike: bool,
        other: Question | None,
    ) -> dict[str, Any] | None:
        """The answer of a search with those symmetries that are some; None where there
        are none, or something fails; with ``only_alike`` also where agents are not alike
        in the first state.  Then ``other`` may be asked."""
        result, interpreter = self.result, self.interpreter
        told: tuple[ToldApart, ...] = ()
        while not result.violations:
            named = {each.kind for each in told}
            kinds = [kind for kind in self.system.symmetries if kind.name not in named]
            self.group, used, constant = symmetry_of(
                interpreter.layout, interpreter.code.numbers, result.start, kinds
            )
            result.told_apart = told = (*told, *constant)
            start = interpreter.split(result.start)
            if only_alike and self.group is not None and not self.group.begins_alike(*start):
                self.group = None
            if self.group is None:
                break
            asked = replace(
                question,
                symmetry=symmetry_numbers(self.group),
                seconds=left(limits, started).seconds or 0,
            )
            later = self._resumes_later(run, question, used, other)
            answer = self._ask(replace(run, checkpoint=None) if later else run, asked)
            if answer["stopped"] == "apart":
                told = (*told, *self._told_apart(self.group, used, answer["told"]))
                continue
            group, self.group = self.group, None
            if answer["stopped"] == "found":
                result.searched_again = True
                return None
            result.reductions, result.symmetries = (SYMMETRY,), tuple(k.name for k in used)
            result.images = answer["images"] + group.orbit(*start) - 1
            return answer
        return None

    def _told_apart(
        self, group: Symmetry, used: Sequence[Kind], told: dict[str, int]
    ) -> tuple[ToldApart, ...]:
        """What the worker says, in words: one kind, or all that were used."""
        program = self.system.program
        if told["invariant"] >= 0:
            name = program.invariants[told["invariant"]].function
            loc = program.functions[name].loc
        else:
            name, item = self.interpreter.code.places[told["point"]]
            loc = item.loc
        names = [kind.name for kind in used]
        if told["by"]:
            names = [group.permutations[told["by"] - 1].kinds[-1]]
        return tuple(ToldApart(kind, name, loc) for kind in names)

    def _resumes_later(
        self, run: _Asking, question: Question, kinds: Sequence[Kind], other: Question | None
    ) -> bool:
        """Whether there is a checkpoint of a search with some of the kinds, or of the
        other one: that with all of them will come to the same end as before."""
        if run.checkpoint is None:
            return False
        if other is not None and self._belongs(run, other, components(self.interpreter.layout)):
            return True
        layout, numbers = self.interpreter.layout, self.interpreter.code.numbers
        for count in range(1, len(kinds)):
            for some in combinations(kinds, count):
                group, _, _ = symmetry_of(layout, numbers, self.result.start, some)
                if group is None:
                    continue
                asked = replace(question, symmetry=symmetry_numbers(group))
                if self._belongs(run, asked, closed(group, components(layout))):
                    return True
        return False

    def _belongs(self, run: _Asking, question: Question, parts: Iterator[list[list[int]]]) -> bool:
        """Whether there is a checkpoint of this search."""
        name = _identity(replace(question, components=next(parts)), run.model)
        return run.checkpoint is not None and checkpoints.belongs(run.checkpoint, name)

    def _reduction(self) -> list[int] | None:
        """The numbers of the partial-order reduction, as runtime/main.c reads them;
        None where there is none, or where a failure is known already."""
        program, layout = self.system.program, self.interpreter.layout
        if self.result.violations or len(program.invariants) * program.cpus > MOST_UNITS:
            return None
        try:
            used = look_around(self)
        except FailureKnownError:
            return None
        finally:
            self.interpreter.forget()
        tables = independence(program, layout, self.result.start)
        return [
            MOST_PASSED,
            used,
            len(program.regions),
            *tables.touch,
            *tables.write,
            *tables.seen,
            *tables.guard,
            *(unit.always for unit in tables.units),
            *chain.from_iterable(tables.leavers),
            *chain.from_iterable(tables.enterers),
        ]

    def _resumes(self, run: _Asking, question: Question) -> bool:
        """Whether there is a checkpoint of the unreduced search."""
        return self._belongs(run, question, components(self.interpreter.layout))

    def _take(self, answer: dict[str, Any], limits: Limits) -> None:
        """Put what the worker found into the result."""
        result, code = self.result, self.interpreter.code
        if "error" in answer:
            self._raise(answer["error"])
        result.complete = answer["complete"]
        result.states = answer["states"]
        result.transitions = answer["transitions"]
        result.depth = answer["depth"]
        result.memory = answer["bytes"]
        if "all" in answer:
            names = projection_of(self.interpreter.layout).names
            sets = Members(*answer["all"]), Members(*answer["at_rest"])
            result.projected = Projected(names, *sets)
        result.stopped = _reason(answer["stopped"], limits)
        if not result.complete and result.stopped is None:
            raise NativeError("the search is incomplete for no reason")
        regions = self.system.program.regions
        result.exemptions_used |= {regions[bit] for bit in answer["exempt"]}
        self.note_labels(frozenset(code.labels[bit] for bit in answer["labels"]))
        for violation in answer["violations"]:
            self._violation(violation["kind"], violation["path"])

    # --- states at rest ----------------------------------------------------------

    def _rest_question(self) -> RestQuestion:
        if self.rest is None:
            return NOTHING_AT_REST
        active, moving = marks_at_rest(self.system.program)
        regions = self.interpreter.layout.regions
        return RestQuestion(self.rest.cells, regions, active, moving, self.rest.wanted)

    def _rest(self, rows: Sequence[Sequence[int]], limits: Limits, threads: int) -> Rest[Any]:
        """The rows in the order of their first states; the way to one is searched anew."""
        asked = self.rest
        assert asked is not None
        first: dict[Any, int] = {}
        for number, row in enumerate(rows):
            first.setdefault(asked.shown(row), number)

        def path(number: int) -> tuple[Move, ...]:
            run = _NativeSearch(self.system, judge_bring_up=False)
            run.rest = replace(asked, wanted=tuple(rows[number]))
            return run.way(limits, threads)

        return Rest(first, path)

    def way(self, limits: Limits, threads: int) -> tuple[Move, ...]:
        """The moves to a state at rest with the values that are wanted."""
        self.run(limits, False, None, threads, False, None, NO_REDUCTIONS, False, False)
        found = self.way_found
        if found is None:
            raise NativeError("a state at rest is not found again")
        return found

    # --- counterexamples, taken again in the interpreter -----------------------

    def _violation(self, kind: str | int, path: dict[str, Any]) -> None:
        moves, state = self._replay(path["states"])
        if kind == "failure":
            self._failure(moves, state, path["agent"])
        elif kind == "rest":
            self.way_found = moves
        elif kind == "stuck":
            self._stuck(moves, state, path["agent"])
        else:
            assert isinstance(kind, int)
            name = self.system.program.invariants[kind].property
            found = [each for each in self.judge(state) if each[0] == name]
            if not found:
                raise NativeError(f"{name} does not fail in the interpreter")
            self._add(Violation(name, moves, found[0][2], found[0][1]))

    def _add(self, violation: Violation) -> None:
        known = self.result.violations.get(violation.property)
        if known is None or violation.steps < known.steps:
            self.result.violations[violation.property] = violation

    def _replay(self, rows: Sequence[Sequence[int]]) -> tuple[tuple[Move, ...], State]:
        state, moves = self.result.start, list(self.prefix)
        if _raw(state) != list(rows[0]):
            raise NativeError("a counterexample does not begin in the first state")
        for number, row in enumerate(rows[1:]):
            for move, after in self._successors(state):
                if _raw(after) == row:
                    moves.append(move)
                    state = after
                    break
            else:
                raise NativeError(f"step {number + 1} of a counterexample is not possible")
        return tuple(moves), state

    def _successors(self, state: State) -> Sequence[tuple[Move, State]]:
        return [
            ((agent, outcome.choices), outcome.state)
            for agent in range(len(self.system.program.agents))
            for outcome in self.interpreter.outcomes(state, agent)
            if outcome.failure is None
        ]

    def _failure(self, moves: tuple[Move, ...], state: State, agent: int) -> None:
        for outcome in self.interpreter.outcomes(state, agent):
            if outcome.failure is not None:
                cpu = self.system.program.agents[agent].cpu
                last = (agent, outcome.choices)
                self._add(Violation(ASSERTIONS, (*moves, last), outcome.failure, cpu))
                return
        raise NativeError("no assertion fails in the interpreter")

    def _stuck(self, moves: tuple[Move, ...], state: State, agent: int) -> None:
        point = state[self.interpreter.layout.agents[agent]]
        if point == DONE or any(self.interpreter.outcomes(state, agent)):
            raise NativeError("the agent can go on in the interpreter")
        cpu = self.system.program.agents[agent].cpu
        failure = stuck_failure(cpu, *self.interpreter.code.places[point])
        self._add(Violation(PROGRESS, moves, failure, cpu))

    def _raise(self, error: dict[str, Any]) -> NoReturn:
        """Let the interpreter meet the same error, which it can explain."""
        _, state = self._replay(error["path"]["states"])
        if error["how"] == NOT_MODELLED:
            raise NotNative("a step makes too many choices, or a pointer leads nowhere")
        if error["agent"] >= 0:
            list(self.interpreter.outcomes(state, error["agent"]))
        else:
            self.interpreter.forget()
            self.interpreter.broken(state)
        raise NativeError("the interpreter does not meet the error of the worker")


def _with_checkpoint(question: Question, model: str, folder: Path) -> Question:
    """The question, with what its checkpoint is called; limits may differ."""
    name = _identity(question, model)
    checkpoints.prepare(folder, name)
    return replace(question, checkpoint=name, checkpoint_seconds=checkpoints.SECONDS)


def _identity(question: Question, model: str) -> str:
    fixed = replace(question, threads=0, states=0, seconds=0, memory=0)
    return checkpoints.identity(model, fixed.text())


NOT_MODELLED = 4
# Bits of a set of units.
MOST_UNITS = 64
FINGERPRINT_BITS = 64


def odds_of_a_miss(states: int) -> float:
    """A bound on the probability that two of so many states had one fingerprint."""
    return min(1.0, states * (states - 1) / float(1 << (FINGERPRINT_BITS + 1)))


def _raw(state: State) -> list[int]:
    return [int(value) & WORD for value in state]


def _reason(stopped: str, limits: Limits) -> str | None:
    match stopped:
        case "":
            return None
        case "states":
            return states_reached(limits.states or 0)
        case "time":
            return f"the limit of {limits.seconds:g} seconds is reached"
        case "memory" if limits.memory:
            return f"the limit of {limits.memory} bytes of memory is reached"
        case "memory":
            return "there is no more memory"
        case "signal":
            return "the search is interrupted"
        case "first":
            return STOPPED_FIRST
    raise NativeError(f"the worker stopped for {stopped!r}")
