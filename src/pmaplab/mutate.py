"""Whether the checks would notice: a tree's statements broken one at a time."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pmaplab.errors import ModelError, PmaplabError
from pmaplab.frontends.kernel_c.mutate import Mutation, mutations
from pmaplab.ir.printer import print_program
from pmaplab.native.choose import AUTO, Engine, search_with
from pmaplab.search.bfs import Limits, search
from pmaplab.spec import RunSpec
from pmaplab.system import System, pcid_limits
from pmaplab.tree import load_program

CAUGHT, SURVIVED, NO_EFFECT = "caught", "survived", "no effect"
INVALID, UNDECIDED = "invalid", "undecided"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a mutation; where it was caught, with how many steps."""

    mutation: Mutation
    outcome: str
    reason: str
    scenario: str | None = None
    mode: str | None = None
    steps: int | None = None


@dataclass(frozen=True)
class MutationJob:
    """One mutation, in each of ``runs`` until it is caught.

    In scenarios with pages, where searches are large, the engine is the one that
    is the fastest here, and a search ends with its first counterexample.
    """

    mutation: Mutation
    runs: tuple[RunSpec, ...]
    limits: Limits

    def broken(self, run: RunSpec) -> RunSpec:
        """The run with the mutation."""
        assert run.tree is not None
        return replace(run, tree=replace(run.tree, mutation=self.mutation))


def all_mutations(runs: Sequence[RunSpec]) -> list[Mutation]:
    """Every mutation of what the runs, of one tree, reach.

    Raises a PmaplabError for whatever is wrong with the tree.
    """
    reached: set[str] = set()
    for run in runs:
        system = run.build()
        assert system.tree is not None
        reached |= set(system.tree.functions)
    first = runs[0]
    assert first.tree is not None
    program = load_program(first.tree, first.bounds.maxcpu, pcid_limits(first.bounds))
    return mutations(program.parsed, program.api, reached)


def programs(job: MutationJob) -> tuple[str, ...] | Outcome:
    """What the mutation makes of each run's program, by digest, "" where it is
    the same; or why it is no program."""
    result = []
    for run in job.runs:
        try:
            text = _text(job.broken(run).build())
        except PmaplabError as error:
            return Outcome(job.mutation, INVALID, error.message)
        result.append("" if text == _baseline(run) else hashlib.sha256(text.encode()).hexdigest())
    return tuple(result)


def try_out(job: MutationJob) -> Outcome:
    """Check one mutation."""
    mutation = job.mutation
    unchanged = compared = 0
    held: list[str] = []
    undecided: list[str] = []
    for run in job.runs:
        try:
            system = job.broken(run).build()
        except PmaplabError as error:
            return Outcome(mutation, INVALID, error.message)
        if _text(system) == _baseline(run):
            continue
        where = f"{run.scenario}, {run.mode}"
        try:
            if run.bounds.pages:
                result = search_with(Engine(AUTO, 1), system, limits=job.limits, stop_at_first=True)
            else:
                result = search(system, limits=job.limits, at_rest=True)
        except ModelError as error:
            undecided.append(f"{where}: {error.message}")
            continue
        first = result.first
        if first is not None:
            message = first.failure.message if first.failure else ""
            reason = f"{first.property}: {message}"
            return Outcome(mutation, CAUGHT, reason, run.scenario, run.mode, first.steps)
        if not result.complete:
            undecided.append(f"{where}: {result.stopped}")
            continue
        if result.unreached:
            reason = f'never reached: "{result.unreached[0]}"'
            return Outcome(mutation, CAUGHT, reason, run.scenario, run.mode)
        held.append(where)
        if result.at_rest is not None:
            compared += 1
            unchanged += result.at_rest.digest == _at_rest(run, job.limits)
    if undecided:
        return Outcome(mutation, UNDECIDED, undecided[0])
    if not held:
        return Outcome(mutation, NO_EFFECT, "the program is the same: what it does is left out")
    if unchanged < compared:
        reason = "other states at rest are reached, which no property excludes"
    elif compared == len(held):
        reason = "the same states at rest are reached"
    else:
        reason = "no property is violated"
    return Outcome(mutation, SURVIVED, f"{reason} ({len(held)} searches)")


def _text(system: System) -> str:
    """The program and its bring-up."""
    parts = (system.program, system.bring_up)
    return "\n".join(print_program(p, locations=False) for p in parts if p is not None)


@functools.lru_cache(maxsize=64)
def _baseline(run: RunSpec) -> str:
    """The unbroken program."""
    return _text(run.build())


@functools.lru_cache(maxsize=64)
def _at_rest(run: RunSpec, limits: Limits) -> str:
    """The digest of the unbroken program's states at rest."""
    result = search(run.build(), limits=limits, at_rest=True)
    return "" if result.at_rest is None else result.at_rest.digest
