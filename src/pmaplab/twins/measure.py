"""Searching twins, and comparing what comes out with what must."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pmaplab.errors import UsageError, did_you_mean
from pmaplab.kept_begun import begun
from pmaplab.machine.modes import TSO
from pmaplab.native.choose import Engine, search_with
from pmaplab.search.result import Limits, Progress, Result, Violation
from pmaplab.search.sharing import Begun
from pmaplab.spec import RunSpec
from pmaplab.trace.record import Trace, record
from pmaplab.twins.data import SOUND, STORE_BUFFER, Twin

KERNELS = Path(__file__).with_name("kernels")

Agreement = Literal["agrees", "differs", "undecided"]


def find_twins(names: Sequence[str], twins: Sequence[Twin]) -> tuple[Twin, ...]:
    """Those of ``twins`` called ``names``, in their own order; all for no names.

    Raises UsageError, with a close match, for any other name.
    """
    known = [twin.id for twin in twins]
    for name in names:
        if name not in known:
            raise UsageError(
                f"there is no twin {name!r}",
                advice=did_you_mean(name, known) or f"the twins are {', '.join(known)}",
            )
    return tuple(twin for twin in twins if not names or twin.id in names)


@dataclass(frozen=True, slots=True)
class Cell:
    """A twin in a mode under a memory model."""

    twin: Twin
    mode: str
    memory: str
    without: tuple[str, ...] = ()

    @property
    def expected(self) -> str | None:
        """The property that must be violated, or None."""
        return self.twin.expected(self.mode, self.memory)

    def spec(self) -> RunSpec:
        """What is searched."""
        bounds = replace(
            self.twin.bounds, store_buffer=STORE_BUFFER if self.memory == TSO else None
        )
        return RunSpec(
            scenario=self.twin.scenario,
            mode=self.mode,
            bounds=bounds,
            proposal=SOUND,
            kernel=str(KERNELS / self.twin.file),
            without=self.without,
        )

    def __str__(self) -> str:
        return f"{self.twin.id} {self.mode} {self.memory}"


@dataclass(frozen=True)
class Found:
    """What came out for a cell.

    ``violations`` are all that were met.  ``property`` is the one that counts,
    None where none is violated; ``steps`` those of its counterexample, of which
    the first ``before`` are the bring-up.  ``states`` were visited until the
    search was over, or had seen enough.
    """

    cell: Cell
    verdict: str
    property: str | None
    steps: int | None
    before: int
    states: int
    complete: bool
    stopped: str | None
    unreached: tuple[str, ...]
    violations: dict[str, Violation]

    @builtins.property  # the field of that name hides it here
    def agreement(self) -> Agreement:
        """A search that was not finished has not refuted what it has not met."""
        expected = self.cell.expected
        if self.property == expected and self.verdict in ("violated", "holds"):
            return "agrees"
        if expected is None:
            return "differs" if self.verdict == "violated" else "undecided"
        return "differs" if self.complete else "undecided"


# --- jobs ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class BeginJob:
    """Put the system of a cell together, and run its bring-up."""

    cell: Cell

    def run(self, _: Progress | None = None) -> Begun:
        spec = self.cell.spec()
        return begun(spec, spec.build)


@dataclass(frozen=True)
class Searched:
    """What a search found, without what fails in the bring-up."""

    before: int
    states: int
    complete: bool
    stopped: str | None
    unreached: tuple[str, ...]
    violations: dict[str, Violation]


@dataclass(frozen=True, slots=True)
class SearchJob:
    """The search for a cell: to its end, or only until ``wanted`` is violated."""

    cell: Cell
    wanted: str | None
    limits: Limits
    engine: Engine

    def run(self, progress: Progress | None = None) -> Searched:
        system = self.cell.spec().build()

        def searched(stop_at_first: bool) -> Result:
            return search_with(
                self.engine,
                system,
                limits=self.limits,
                stop_at_first=stop_at_first,
                judge_bring_up=False,
                progress=progress,
            )

        result = searched(self.wanted is not None)
        if self.wanted is not None and result.violations and self.wanted not in result.violations:
            # Another property is violated in fewer steps.
            result = searched(False)
        return Searched(
            len(result.bring_up),
            result.states,
            result.complete,
            result.stopped,
            result.unreached,
            result.violations,
        )


@dataclass(frozen=True, slots=True)
class TraceJob:
    """The counterexample to what counts in a cell, with its source lines."""

    cell: Cell
    violation: Violation

    def run(self, _: Progress | None = None) -> Trace:
        spec = self.cell.spec()
        return record(spec, spec.build(), self.violation)


AnyJob = BeginJob | SearchJob | TraceJob
# Runs jobs, in any order, and gives their answers in the order of the jobs; the
# text says what they are.
RunJobs = Callable[[Sequence[AnyJob], str], list[Any]]


# --- the matrix --------------------------------------------------------------


def measure(
    twins: Sequence[Twin],
    modes: Sequence[str],
    memories: Sequence[str],
    run_jobs: RunJobs,
    *,
    limits: Limits | None = None,
    engine: Callable[[int], Engine],
    without: tuple[str, ...] = (),
) -> list[Found]:
    """Judge every twin in every mode under every memory model, in this order.

    ``engine`` is told how many searches there are; programs are made ``without`` some
    reductions.  Each system is searched
    once, however many cells it stands for.
    """
    cells = [Cell(t, mode, memory, without) for t in twins for memory in memories for mode in modes]
    begun: list[Begun] = run_jobs([BeginJob(cell) for cell in cells], "systems")
    first: dict[str, Cell] = {}
    wanted: dict[str, set[str | None]] = {}
    for cell, system in zip(cells, begun, strict=True):
        first.setdefault(system.digest, cell)
        wanted.setdefault(system.digest, set()).add(cell.expected)
    chosen = engine(len(first))
    jobs = {
        digest: SearchJob(
            cell,
            next(iter(wanted[digest])) if len(wanted[digest]) == 1 else None,
            limits or Limits(),
            chosen,
        )
        for digest, cell in first.items()
    }
    # The longest searches first, so that no core idles at the end.
    order = sorted(jobs, key=lambda digest: (jobs[digest].wanted or "") not in ("", "progress"))
    answers = run_jobs([jobs[digest] for digest in order], "searches")
    searched: dict[str, Searched] = dict(zip(order, answers, strict=True))
    return [
        _found(cell, system, searched[system.digest])
        for cell, system in zip(cells, begun, strict=True)
    ]


def traces(found: Sequence[Found], run_jobs: RunJobs) -> list[Trace]:
    """A shortest counterexample to each twin that is violated somewhere."""
    best: dict[str, Found] = {}
    for each in found:
        if each.steps is not None:
            known = best.setdefault(each.cell.twin.id, each)
            if known.steps is not None and each.steps < known.steps:
                best[each.cell.twin.id] = each
    jobs = [TraceJob(each.cell, each.violations[each.property or ""]) for each in best.values()]
    return run_jobs(jobs, "traces")


def _found(cell: Cell, system: Begun, searched: Searched) -> Found:
    """The search, made perhaps for another cell, behind the own bring-up.  What
    fails in the bring-up too is shown where it fails behind it."""
    violations = system.violations | {
        name: replace(violation, moves=system.bring_up + violation.moves[searched.before :])
        for name, violation in searched.violations.items()
    }
    if cell.expected in violations:
        counts: Violation | None = violations[cell.expected]
    else:
        counts = min(violations.values(), key=lambda v: v.steps, default=None)
    if counts is not None:
        verdict = "violated"
    elif not searched.complete:
        verdict = "incomplete"
    else:
        verdict = "vacuous" if searched.unreached else "holds"
    return Found(
        cell,
        verdict,
        None if counts is None else counts.property,
        None if counts is None else counts.steps,
        len(system.bring_up),
        searched.states,
        searched.complete,
        searched.stopped,
        searched.unreached,
        violations,
    )
