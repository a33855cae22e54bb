"""Whether the checks would notice: a tree's statements broken one at a time."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

from pmaplab.errors import ModelError, PmaplabError
from pmaplab.frontends.kernel_c.mutate import Mutation, mutations
from pmaplab.ir.nodes import Program, Sometimes
from pmaplab.ir.walk import instructions
from pmaplab.kept_searches import Found, KeptSearches, Texts
from pmaplab.native.choose import AUTO, Engine, search_with
from pmaplab.search.result import ASSERTIONS, Limits
from pmaplab.search.sharing import Begun, begin
from pmaplab.spec import RunSpec
from pmaplab.system import System, pcid_limits
from pmaplab.tree import load_program

CAUGHT, SURVIVED, EQUIVALENT, NO_EFFECT = "caught", "survived", "equivalent", "no effect"
INVALID, UNDECIDED = "invalid", "undecided"
OUTCOMES = (CAUGHT, SURVIVED, UNDECIDED, EQUIVALENT, NO_EFFECT, INVALID)

# What functions are for, by patterns of their names; the first that fits.
GROUPS = {
    "activation": ("pmap_activate*",),
    "PCID allocation": ("pmap_pcid_alloc*",),
    "handlers": ("inv*_handler",),
    "invalidation": ("pmap_invalidate_*", "invltlb*"),
    "shootdown": ("smp_*",),
    "bring-up": ("*",),
}


def group_of(function: str) -> str:
    """The group of a function of the tree."""
    return next(
        group
        for group, patterns in GROUPS.items()
        if any(fnmatchcase(function, pattern) for pattern in patterns)
    )


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a mutation.

    Where it was caught: the run, the property (or None where something is never reached
    any more) and the steps.  ``searches`` is the number of searches that say so: those
    in which its program is another one.  ``same_at_rest``: it survived, and the states at
    rest are the same.
    """

    mutation: Mutation
    outcome: str
    reason: str
    run: RunSpec | None = None
    property: str | None = None
    steps: int | None = None
    searches: int = 0
    same_at_rest: bool = False


@dataclass(frozen=True, slots=True)
class Baseline:
    """The unbroken kernel in one run.

    ``functions`` are those in its program and its bring-up, ``violated`` the
    properties that fail without any mutation: they do not count in this run, and
    ``texts`` and ``found`` are without them.
    """

    run: RunSpec
    functions: frozenset[str]
    violated: frozenset[str]
    texts: Texts
    begun: Begun
    found: Found


@dataclass(frozen=True)
class FunctionJob:
    """The mutations of one function, each in the runs in which the function is, until it
    is caught.  ``left_out`` says that other runs cannot be used, ``kept`` is the file of
    results."""

    mutations: tuple[Mutation, ...]
    baselines: tuple[Baseline, ...]
    limits: Limits
    kept: Path | None = None
    left_out: bool = False


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


def measure(run: RunSpec, limits: Limits, kept: Path | None = None) -> Baseline | str:
    """Search the unbroken kernel; a text says why the run cannot be used."""
    searches = _kept(kept)
    system = run.build()
    violated: frozenset[str] = frozenset()
    texts = Texts.of(system)
    found = _searched(system, texts, searches, limits, stop_at_first=False)
    if found.violations:
        violated = frozenset(found.violations)
        if ASSERTIONS in violated:
            return f"without a mutation already: {found.violations[ASSERTIONS][1]}"
        system = _without(system, violated)
        texts = Texts.of(system)
        found = _searched(system, texts, searches, limits, stop_at_first=False)
    if not found.complete:
        return f"without a mutation already: {found.stopped}"
    programs = [p for p in (system.program, system.bring_up) if p is not None]
    functions = frozenset(name for program in programs for name in program.functions)
    return Baseline(run, functions, violated, texts, begin(system), found)


def try_out(job: FunctionJob, report: Callable[[str], None]) -> list[Outcome]:
    """Check the mutations of one function; ``report`` is told where it is."""
    searches = _kept(job.kept)
    # Where a mistake in this function was caught, the next one may be as well.
    caught: Counter[RunSpec] = Counter()
    result = []
    for mutation in job.mutations:
        report(f"{mutation.function}:{mutation.loc.line}")
        present = [each for each in job.baselines if mutation.function in each.functions]
        present.sort(key=lambda each: (-caught[each.run], each.found.states))
        if job.left_out and not present:
            result.append(Outcome(mutation, UNDECIDED, "every run that has it is left out"))
            continue
        outcome = _Trial(mutation, searches, job.limits).run(present)
        if outcome.run is not None:
            caught[outcome.run] += 1
        result.append(outcome)
    return result


@functools.lru_cache(maxsize=1)
def _kept(path: Path | None) -> KeptSearches:
    return KeptSearches(path)


def where_of(run: RunSpec) -> str:
    """A run in words."""
    memory = "" if run.bounds.store_buffer is None else ", tso"
    cpus, processes = run.bounds.cpus, run.bounds.processes
    machine = f"{cpus} CPU{'s' if cpus > 1 else ''}"
    running = f"{processes} user process{'es' if processes > 1 else ''}"
    count = run.bounds.preemptions
    preempted = f", {count} preemption{'s' if count > 1 else ''}" if count else ""
    return f"{run.scenario}, {run.mode}{memory}, {machine}, {running}{preempted}"


class _Trial:
    """One mutation in one run after the other."""

    def __init__(self, mutation: Mutation, searches: KeptSearches, limits: Limits) -> None:
        self.mutation = mutation
        self.searches = searches
        self.limits = limits
        self.undecided: list[str] = []
        # In each run that was searched to its end: whether what is reached is the same,
        # everywhere and at rest.
        self.same: list[tuple[bool, bool]] = []

    def run(self, baselines: Sequence[Baseline]) -> Outcome:
        for baseline in baselines:
            outcome = self._one(baseline)
            if outcome is not None:
                return replace(outcome, searches=len(self.same) + 1)
        return self._survived()

    def _one(self, baseline: Baseline) -> Outcome | None:
        """The outcome, if this run decides it."""
        run, mutation = baseline.run, self.mutation
        assert run.tree is not None
        try:
            system = replace(run, tree=replace(run.tree, mutation=mutation)).build()
        except PmaplabError as error:
            return Outcome(mutation, INVALID, error.message)
        system = _without(system, baseline.violated)
        texts = Texts.of(system)
        if texts == baseline.texts:
            return None
        try:
            if texts.searched == baseline.texts.searched:
                # Only what comes before the search is another one.
                begun = begin(system)
                if not begun.violations and begun.digest == baseline.begun.digest:
                    return None
            found = _searched(system, texts, self.searches, self.limits, stop_at_first=True)
        except ModelError as error:
            self.undecided.append(f"{where_of(run)}: {error.message}")
            return None
        failed = {n: v for n, v in found.violations.items() if n not in baseline.violated}
        if failed:
            name = min(failed, key=lambda each: failed[each][0])
            steps, message = failed[name]
            return Outcome(mutation, CAUGHT, f"{name}: {message}", run, name, steps)
        if not found.complete:
            self.undecided.append(f"{where_of(run)}: {found.stopped}")
            return None
        # A label that went with its statement says nothing.
        lost = [
            label
            for label in found.unreached
            if label not in baseline.found.unreached and label in _labels(system.program)
        ]
        if lost:
            return Outcome(mutation, CAUGHT, f'never reached: "{lost[0]}"', run)
        ours, theirs = found.projected, baseline.found.projected
        assert ours is not None and theirs is not None
        self.same.append((ours == theirs, ours.same_at_rest(theirs)))
        return None

    def _survived(self) -> Outcome:
        count = len(self.same)
        if self.undecided:
            return Outcome(self.mutation, UNDECIDED, self.undecided[0], searches=count)
        if not self.same:
            reason = "the program is the same: what it does is left out"
            return Outcome(self.mutation, NO_EFFECT, reason)
        if all(everywhere for everywhere, _ in self.same):
            reason = "the same states are reached"
            return Outcome(self.mutation, EQUIVALENT, reason, searches=count)
        same = all(at_rest for _, at_rest in self.same)
        reason = (
            "the same states at rest are reached, by way of others"
            if same
            else "other states at rest, which no property excludes"
        )
        return Outcome(self.mutation, SURVIVED, reason, searches=count, same_at_rest=same)


def _searched(
    system: System, texts: Texts, searches: KeptSearches, limits: Limits, *, stop_at_first: bool
) -> Found:
    """What a search comes to; raises ModelError."""
    found = searches.get(texts)
    # One that was stopped by a counterexample does not say what else fails.
    if found is not None and (stop_at_first or found.complete):
        return found
    engine = Engine(AUTO, 1)
    result = search_with(
        engine, system, limits=limits, stop_at_first=stop_at_first, projected=True, once=True
    )
    found = Found.of(result)
    if found.complete or found.violations:
        searches.put(texts, found)
    return found


def _labels(program: Program) -> frozenset[str]:
    """What is worth reaching, and in the program at all."""
    return frozenset(
        item.label
        for function in program.functions.values()
        for item in instructions(function)
        if isinstance(item, Sometimes)
    )


def _without(system: System, properties: frozenset[str]) -> System:
    """The system without the invariants of these properties."""
    if not properties:
        return system

    def left(program: Program) -> Program:
        kept = tuple(i for i in program.invariants if i.property not in properties)
        return replace(program, invariants=kept)

    bring_up = None if system.bring_up is None else left(system.bring_up)
    return replace(system, program=left(system.program), bring_up=bring_up)
