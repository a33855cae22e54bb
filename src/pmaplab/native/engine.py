"""Searching natively: the same results as search/bfs, from generated C."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic

from pmaplab.native.asking import Asking, NotNative
from pmaplab.native.prepared import Prepared
from pmaplab.native.protocol import NOTHING_AT_REST, Question, RestQuestion
from pmaplab.native.readback import NativeError, Readback
from pmaplab.native.reduced import ReducedSearch
from pmaplab.search.begun import BegunSearch
from pmaplab.search.interpreter import Interpreter
from pmaplab.search.ownership import Broken
from pmaplab.search.projection import Members, Projected, RestMarks, projection_of
from pmaplab.search.reduced import (
    went_back,
)
from pmaplab.search.reductions import NO_REDUCTIONS, Reductions
from pmaplab.search.result import (
    STOPPED_FIRST,
    Limits,
    Progress,
    Rest,
    Result,
    Seen,
    seconds_reached,
    states_reached,
)
from pmaplab.search.run import Move
from pmaplab.system import System

NATIVE = "native"
# Of a lane, as the runtime has it: with fewer, components are coarser.
LANE_BITS = 63
FINGERPRINT_BITS = 64
# How an error of the worker came about, as the runtime has it.
NOT_MODELLED = 4


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
class RestCells(Generic[Seen]):
    """What is asked of the memory of states at rest: cells with masks, and what their
    values together stand for; ``wanted`` are the values of the state to go to."""

    cells: tuple[tuple[int, int], ...]
    shown: Callable[[Sequence[int]], Seen]
    wanted: tuple[int, ...] | None = None


class _NativeSearch(BegunSearch):
    rest: RestCells[Any] | None = None
    way_found: tuple[Move, ...] | None = None

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
        asking = Asking.build(prepared, once=once, progress=progress, checkpoint=checkpoint)
        started = time.monotonic()
        result.build_seconds = started - began
        if begun:
            back = Readback(self)
            for numbers in prepared.broken_facts:
                back.fact(Broken(*numbers))
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
            reduced = ReducedSearch(self, asking, question, back, limits, started)
            answer = reduced.answer(reductions)
            if answer is None:
                rest = limits.left(started)
                answer = asking.ask(replace(question, seconds=rest.seconds or 0))
            result.seconds = time.monotonic() - started
            self._take(prepared, answer, limits, back)
            self.way_found = back.way
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

    def _take(
        self, prepared: Prepared, answer: dict[str, Any], limits: Limits, back: Readback
    ) -> None:
        """Put what the worker found into the result."""
        result = self.result
        if "error" in answer:
            error = answer["error"]
            _, state = back.replay(error["path"]["states"])
            if error["how"] == NOT_MODELLED:
                raise NotNative("a step makes too many choices, or a pointer leads nowhere")
            back.meet(state, error["agent"])
        result.complete = answer["complete"]
        result.states = answer["states"]
        result.transitions = answer["transitions"]
        result.depth = answer["depth"]
        result.memory = answer["bytes"]
        back.facts(answer)
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
            back.violation(violation["kind"], violation["path"])

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


class _PreparedSearch(_NativeSearch):
    """Its system is built when it is asked for."""

    def __init__(self, prepared: Prepared, build: Callable[[], System]) -> None:
        self.judge_bring_up = True
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


def odds_of_a_miss(states: int) -> float:
    """A bound on the probability that two of so many states had one fingerprint."""
    return min(1.0, states * (states - 1) / float(1 << (FINGERPRINT_BITS + 1)))


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
