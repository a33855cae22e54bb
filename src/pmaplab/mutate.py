"""Whether the checks would notice: a tree's statements broken one at a time."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

from pmaplab.errors import ModelError, PmaplabError
from pmaplab.frontends.kernel_c.mutate import Mutation, mutations
from pmaplab.ir.printer import print_program
from pmaplab.machine.modes import Mode
from pmaplab.search.bfs import Limits, search
from pmaplab.spec import RunSpec
from pmaplab.system import Bounds, pcid_limits
from pmaplab.tree import TreeSpec, load_program, missing_features

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
    """One mutation, in all modes and scenarios until it is caught."""

    tree: TreeSpec
    mutation: Mutation
    scenarios: tuple[str, ...]
    modes: tuple[str, ...]
    bounds: Bounds
    limits: Limits


def all_mutations(
    tree: TreeSpec, scenarios: tuple[str, ...], modes: tuple[Mode, ...], bounds: Bounds
) -> list[Mutation]:
    """Every mutation of what the scenarios reach in the modes.

    Raises a PmaplabError for whatever is wrong with the tree.
    """
    reached: set[str] = set()
    for scenario in scenarios:
        for mode in modes:
            system = RunSpec(scenario, mode.name, bounds, tree=tree).build()
            assert system.tree is not None
            reached |= set(system.tree.functions)
    program = load_program(tree, bounds.maxcpu, pcid_limits(bounds))
    assert all(not missing_features(program, mode) for mode in modes)
    return mutations(program.parsed, program.api, reached)


def try_out(job: MutationJob) -> Outcome:
    """Check one mutation."""
    mutation = job.mutation
    tree = replace(job.tree, mutation=mutation)
    same = unchanged = 0
    held: list[str] = []
    undecided: list[str] = []
    for scenario in job.scenarios:
        for mode in job.modes:
            spec = RunSpec(scenario, mode, job.bounds, tree=tree)
            try:
                system = spec.build()
            except PmaplabError as error:
                return Outcome(mutation, INVALID, error.message)
            text, digest = _baseline(replace(spec, tree=job.tree), job.limits)
            if print_program(system.program, locations=False) == text:
                bring_up = system.bring_up
                if bring_up is None or print_program(bring_up, locations=False) == _bring_up(
                    replace(spec, tree=job.tree)
                ):
                    same += 1
                    continue
            where = f"{scenario}, {mode}"
            try:
                result = search(system, limits=job.limits, at_rest=True)
            except ModelError as error:
                undecided.append(f"{where}: {error.message}")
                continue
            first = result.first
            if first is not None:
                message = first.failure.message if first.failure else ""
                return Outcome(
                    mutation, CAUGHT, f"{first.property}: {message}", scenario, mode, first.steps
                )
            if not result.complete:
                undecided.append(f"{where}: {result.stopped}")
                continue
            if result.unreached:
                reason = f'never reached: "{result.unreached[0]}"'
                return Outcome(mutation, CAUGHT, reason, scenario, mode)
            held.append(where)
            unchanged += result.at_rest is not None and result.at_rest.digest == digest
    if undecided:
        return Outcome(mutation, UNDECIDED, undecided[0])
    if not held:
        return Outcome(mutation, NO_EFFECT, "the program is the same: what it does is left out")
    if unchanged == len(held):
        reason = "the same states at rest are reached"
    else:
        reason = "other states at rest are reached, which no property excludes"
    return Outcome(mutation, SURVIVED, f"{reason} ({len(held)} searches)")


@functools.lru_cache(maxsize=64)
def _baseline(spec: RunSpec, limits: Limits) -> tuple[str, str]:
    """The text of the unbroken program, and the digest of its states at rest."""
    system = spec.build()
    result = search(system, limits=limits, at_rest=True)
    digest = "" if result.at_rest is None else result.at_rest.digest
    return print_program(system.program, locations=False), digest


@functools.lru_cache(maxsize=64)
def _bring_up(spec: RunSpec) -> str:
    bring_up = spec.build().bring_up
    return "" if bring_up is None else print_program(bring_up, locations=False)
