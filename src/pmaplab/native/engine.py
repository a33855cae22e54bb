"""Searching natively: the same results as search/bfs, from generated C."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, combinations
from pathlib import Path
from typing import Any, Generic, NoReturn

from pmaplab.native import checkpoint as checkpoints
from pmaplab.native.build import worker
from pmaplab.native.prepared import Prepared
from pmaplab.native.protocol import NOTHING_AT_REST, WORD, Question, RestQuestion, ask
from pmaplab.native.symmetry import closed, symmetry_numbers
from pmaplab.search.bfs import (
    ASSERTIONS,
    PROGRESS,
    STOPPED_FIRST,
    BegunSearch,
    Limits,
    Progress,
    Rest,
    Result,
    Seen,
    Violation,
    seconds_reached,
    states_reached,
    stuck_failure,
)
from pmaplab.search.independence import MOST_PASSED, independence
from pmaplab.search.interpreter import Interpreter, State
from pmaplab.search.ownership import Broken, Rules
from pmaplab.search.projection import Members, Projected, RestMarks, projection_of
from pmaplab.search.reduced import (
    FailureKnownError,
    at_first,
    goes_beyond,
    look_around,
    went_back,
)
from pmaplab.search.reductions import NO_REDUCTIONS, PARTIAL_ORDER, SYMMETRY, Reductions
from pmaplab.search.run import Move
from pmaplab.search.symmetry import Kind, Symmetry, ToldApart, symmetry_of
from pmaplab.search.translate import DONE
from pmaplab.system import System

NATIVE = "native"
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
    keep: Callable[[Prepared], None] | None = None,
    reductions: Reductions = NO_REDUCTIONS,
) -> Result:
    """As :func:`pmaplab.search.reduced.search_reduced`, on ``threads`` threads (all
    cores); ``rest`` asks about the states at rest, of which a reduction leaves some out.

    With ``fingerprints`` states are told apart by 64 bits only.  In the folder
    ``checkpoint`` the search is kept now and then, and when it is stopped; it goes on
    from there.  ``once`` says that nobody asks again.  ``keep`` is told what was prepared,
    where nothing fails in the bring-up.

    Raises NoCompiler and Unsupported where it cannot be done, and WorkerDied.
    """
    run = _NativeSearch(system, judge_bring_up)
    run.rest = rest
    if rest is not None or projected:
        assert not reductions.names, "a reduction leaves out states"
    return run.run(
        limits or Limits(),
        threads or cores(),
        stop_at_first=stop_at_first,
        progress=progress,
        fingerprints=fingerprints,
        checkpoint=checkpoint,
        reductions=reductions,
        projected=projected,
        once=once,
        keep=keep,
    )


def search_prepared(
    prepared: Prepared,
    build: Callable[[], System],
    *,
    limits: Limits | None = None,
    progress: Progress | None = None,
    threads: int | None = None,
    fingerprints: bool = False,
    checkpoint: Path | None = None,
    reductions: Reductions = NO_REDUCTIONS,
) -> Result:
    """As :func:`search_natively`, of a system that was prepared before, without a failure
    in its bring-up.  ``build`` gives the system, where its program is needed after all: for
    counterexamples and reductions."""
    return _PreparedSearch(prepared, build).run(
        limits or Limits(),
        threads or cores(),
        progress=progress,
        fingerprints=fingerprints,
        checkpoint=checkpoint,
        reductions=reductions,
    )


@dataclass(frozen=True)
class _Asking:
    """How a worker is asked: for what is prepared, where it is and whether it
    is kept apart, whom it tells of its progress, and where its checkpoint goes."""

    prepared: Prepared
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

    def __init__(self, system: System, judge_bring_up: bool) -> None:
        super().__init__(system, judge_bring_up)
        # What is wrong with ownership facts, by name.
        self.broken_facts: dict[str, str] = {}

    def run(
        self,
        limits: Limits,
        threads: int,
        *,
        stop_at_first: bool = False,
        progress: Progress | None = None,
        fingerprints: bool = False,
        checkpoint: Path | None = None,
        reductions: Reductions = NO_REDUCTIONS,
        projected: bool = False,
        once: bool = False,
        keep: Callable[[Prepared], None] | None = None,
    ) -> Result:
        result = self.result
        result.engine = NATIVE
        begun = self.begin()
        if stop_at_first and result.violations:
            self.note_labels(frozenset())
            result.stopped = STOPPED_FIRST
            return result
        began = time.monotonic()
        prepared = self.prepare()
        if keep is not None and begun and not result.violations:
            keep(prepared)
        executable = worker(prepared.model, once=once)
        started = time.monotonic()
        result.build_seconds = started - began
        if begun:
            for numbers in prepared.broken_facts:
                self._note_fact(Broken(*numbers))
            question = Question(
                threads=threads,
                states=0 if limits.states is None else max(limits.states, 1),
                seconds=limits.seconds or 0,
                memory=limits.memory or 0,
                stop_at_first=stop_at_first,
                fingerprints=fingerprints,
                bits=LANE_BITS,
                memory_cells=prepared.memory_cells,
                start=result.start,
                components=(),
                rest=self._rest_question(),
                agents=prepared.agents,
                marks=RestMarks(*prepared.marks),
                projection=projection_of(self.interpreter.layout) if projected else None,
                ownership=prepared.ownership,
            )
            run = _Asking(prepared, executable, once, progress, checkpoint)
            answer = self._reduced(run, question, limits, started, reductions)
            if answer is None:
                rest = limits.left(started)
                answer = self._ask(run, replace(question, seconds=rest.seconds or 0))
            result.seconds = time.monotonic() - started
            self._take(prepared, answer, limits)
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

    def prepare(self) -> Prepared:
        """What is needed of the system.  Raises Unsupported."""
        return Prepared.of(self)

    def _ask(self, run: _Asking, question: Question) -> dict[str, Any]:
        """The answer, with components that are fine enough."""
        model = run.prepared.model
        for parts in self._components(run.prepared):
            asked = replace(question, components=parts)
            if run.checkpoint is not None:
                asked = _with_checkpoint(asked, model, run.checkpoint)
            try:
                answer = ask(run.executable, asked, run.progress, run.checkpoint)
            except FileNotFoundError:
                # Another process has just removed it to make room for its own.
                answer = ask(worker(model, once=run.once), asked, run.progress, run.checkpoint)
            if answer["stopped"] != "wide":
                return answer
            if run.checkpoint is not None:
                raise NotNative("with other components a checkpoint is of no use")
        raise NotNative("the states are too many for its words")

    def _components(self, prepared: Prepared) -> Iterator[Sequence[Sequence[int]]]:
        parts = iter(prepared.components)
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
            if not (answer["stopped"] == "states" and goes_beyond(limits, reductions)):
                return answer
            if answer["violations"]:
                return None
            self._note_facts(answer)
        question = replace(question, stop_at_first=False)
        if PARTIAL_ORDER in reductions.names:
            return self._partial_order(run, question, limits, started)
        return self._symmetric(run, question, limits, started)

    def _partial_order(
        self, run: _Asking, question: Question, limits: Limits, started: float
    ) -> dict[str, Any] | None:
        """The answer of a search with those ownership facts that hold; None where something
        fails."""
        while True:
            numbers = self._reduction()
            if numbers is None:
                return None
            asked = replace(question, reduction=numbers[0], ownership=numbers[1])
            answer = self._ask(run, replace(asked, seconds=limits.left(started).seconds or 0))
            if answer["stopped"] == "beyond":
                raise NativeError("an agent does what it cannot do")
            if answer["stopped"] == "found":
                self.result.searched_again = True
                return None
            if not self._note_facts(answer):
                break
            if run.checkpoint is not None:
                # It would be that of another search.
                return None
        self.result.reductions, self.result.passed = (PARTIAL_ORDER,), answer["passed"]
        return answer

    def _symmetric(
        self,
        run: _Asking,
        question: Question,
        limits: Limits,
        started: float,
    ) -> dict[str, Any] | None:
        """The answer of a search with those symmetries that are some; None where there
        are none, or something fails."""
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
            if self.group is None:
                break
            asked = replace(
                question,
                symmetry=symmetry_numbers(self.group),
                # Of images nobody asks whether they keep to the facts.
                ownership=(0,),
                seconds=limits.left(started).seconds or 0,
            )
            later = self._resumes_later(run, question, used)
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

    def _resumes_later(self, run: _Asking, question: Question, kinds: Sequence[Kind]) -> bool:
        """Whether there is a checkpoint of a search with some of the kinds: that with all
        of them will come to the same end as before."""
        if run.checkpoint is None:
            return False
        layout, numbers = self.interpreter.layout, self.interpreter.code.numbers
        for count in range(1, len(kinds)):
            for some in combinations(kinds, count):
                group, _, _ = symmetry_of(layout, numbers, self.result.start, some)
                if group is None:
                    continue
                asked = replace(question, symmetry=symmetry_numbers(group), ownership=(0,))
                if self._belongs(run, asked, closed(group, iter(run.prepared.components))):
                    return True
        return False

    def _belongs(
        self, run: _Asking, question: Question, parts: Iterator[Sequence[Sequence[int]]]
    ) -> bool:
        """Whether there is a checkpoint of this search."""
        if run.checkpoint is None:
            return False
        name = _identity(replace(question, components=next(parts)), run.prepared.model)
        return checkpoints.belongs(run.checkpoint, name)

    def _note_facts(self, answer: dict[str, Any]) -> bool:
        """Whether an ownership fact does not hold, which is noted: it is used no more."""
        for found in (Broken(*numbers) for numbers in answer["wrong"]):
            self._note_fact(found)
        return bool(answer["wrong"])

    def _note_fact(self, broken: Broken) -> None:
        program, interpreter = self.system.program, self.interpreter
        rules = Rules(program, interpreter.layout)
        text = rules.text(program, interpreter.code, broken)
        self.broken_facts.setdefault(rules.names[broken.name], text)
        self.result.broken_facts = tuple(self.broken_facts.values())

    def _reduction(self) -> tuple[list[int], list[int]] | None:
        """The numbers of the partial-order reduction and of ownership, as runtime/main.c
        reads them; None where there is none, or where a failure is known already."""
        program, layout = self.system.program, self.interpreter.layout
        if self.result.violations or len(program.invariants) * program.cpus > MOST_UNITS:
            return None
        try:
            used = look_around(self)
        except FailureKnownError:
            return None
        finally:
            self.interpreter.forget()
        rules = Rules(program, layout, frozenset(self.broken_facts))
        tables = independence(program, layout, self.result.start, rules)
        reduction = [
            MOST_PASSED,
            used,
            len(program.regions),
            *tables.touch,
            *tables.write,
            *tables.seen,
            *tables.guard,
            *(unit.always for unit in tables.units),
            *(asks for unit in tables.units for asks in unit.asks),
            *chain.from_iterable(tables.leavers),
            *chain.from_iterable(tables.enterers),
        ]
        return reduction, rules.numbers(layout.regions + program.cpus)

    def _resumes(self, run: _Asking, question: Question) -> bool:
        """Whether there is a checkpoint of the unreduced search."""
        return self._belongs(run, question, iter(run.prepared.components))

    def _take(self, prepared: Prepared, answer: dict[str, Any], limits: Limits) -> None:
        """Put what the worker found into the result."""
        result = self.result
        if "error" in answer:
            self._raise(answer["error"])
        result.complete = answer["complete"]
        result.states = answer["states"]
        result.transitions = answer["transitions"]
        result.depth = answer["depth"]
        result.memory = answer["bytes"]
        self._note_facts(answer)
        if "all" in answer:
            names = projection_of(self.interpreter.layout).names
            sets = Members(*answer["all"]), Members(*answer["at_rest"])
            result.projected = Projected(names, *sets)
        result.stopped = _reason(answer["stopped"], limits)
        if not result.complete and result.stopped is None:
            raise NativeError("the search is incomplete for no reason")
        result.exemptions_used |= {prepared.regions[bit] for bit in answer["exempt"]}
        self.note_labels(frozenset(prepared.labels[bit] for bit in answer["labels"]))
        for violation in answer["violations"]:
            self._violation(violation["kind"], violation["path"])

    # --- states at rest ----------------------------------------------------------

    def _rest_question(self) -> RestQuestion:
        if self.rest is None:
            return NOTHING_AT_REST
        return RestQuestion(self.rest.cells, self.rest.wanted)

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
        self.run(limits, threads)
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


class _PreparedSearch(_NativeSearch):
    """Its system is built when it is asked for."""

    def __init__(self, prepared: Prepared, build: Callable[[], System]) -> None:
        self.judge_bring_up = True
        self.broken_facts = {}
        self.prepared = prepared
        self.build = build
        self.result = Result(
            prepared.properties,
            bring_up=prepared.bring_up,
            start=prepared.start,
            exemptions_used=set(prepared.exemptions_used),
        )
        self.prefix = prepared.bring_up

    def begin(self) -> bool:
        return True

    def prepare(self) -> Prepared:
        return self.prepared

    def must_reach(self) -> Sequence[str]:
        return self.prepared.must_reach

    @functools.cached_property
    def _begun(self) -> BegunSearch:
        """The same from the start."""
        search = BegunSearch(self.build(), self.judge_bring_up)
        if not search.begin() or search.result.violations or Prepared.of(search) != self.prepared:
            raise NativeError("what was prepared is of another system")
        return search

    @functools.cached_property
    def system(self) -> System:  # type: ignore[override]
        return self._begun.system

    @functools.cached_property
    def interpreter(self) -> Interpreter:  # type: ignore[override]
        return self._begun.interpreter


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
        case "time" if limits.seconds is not None:
            return seconds_reached(limits.seconds)
        case "memory" if limits.memory:
            return f"the limit of {limits.memory} bytes of memory is reached"
        case "memory":
            return "there is no more memory"
        case "signal":
            return "the search is interrupted"
        case "first":
            return STOPPED_FIRST
    raise NativeError(f"the worker stopped for {stopped!r}")
