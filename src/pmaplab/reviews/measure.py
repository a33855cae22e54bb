"""Running a review: every proposal in every mode, and each claim measured."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pmaplab.frontends.kernel_python.source import load_modules
from pmaplab.ir.printer import print_program
from pmaplab.machine.modes import MODES, find_mode
from pmaplab.reviews.model import (
    Claim,
    Figure,
    Measure,
    Proposal,
    Reached,
    Review,
    SameAtRest,
    SameResults,
    Verdict,
)
from pmaplab.reviews.registry import find_proposal, proposal_files
from pmaplab.search.bfs import AtRest, Violation, search
from pmaplab.search.run import Runner
from pmaplab.search.simulate import simulate
from pmaplab.spec import RunSpec
from pmaplab.system import Bounds, System, build_system
from pmaplab.trace.record import Trace, record

SYSCTL = "debug.count"
# The searches of a review: scenario, bounds.  One operation a CPU after all
# interleavings of boot, two on a machine that is up.
SEARCHES: dict[str, Bounds] = {
    "boot": Bounds(cpus=2, maxcpu=2, operations=1),
    "switch": Bounds(cpus=2, maxcpu=2, operations=2),
}
# A boot after which every CPU has switched threads a few times.
BOOT_SCENARIO = "multiuser"
BOOT_OPERATIONS = 4

Value = int | bool | str | None


@dataclass(frozen=True)
class Searched:
    """What one search found, as far as a review shows it."""

    scenario: str
    verdict: str
    verdicts: dict[str, str]
    violations: dict[str, Violation]
    states: int
    reached: frozenset[str]
    unreached: tuple[str, ...]
    at_rest: AtRest | None


@dataclass
class ModeResult:
    """One proposal in one mode: its searches and its boot."""

    mode: str
    searches: dict[str, Searched] = field(default_factory=dict)
    sysctl: dict[str, int | None] = field(default_factory=dict)

    @property
    def properties(self) -> dict[str, tuple[str, int | None]]:
        """The verdict on each property over all scenarios, and its fewest steps."""
        result: dict[str, tuple[str, int | None]] = {}
        for searched in self.searches.values():
            for name, verdict in searched.verdicts.items():
                steps = searched.violations[name].steps if name in searched.violations else None
                known = result.get(name)
                result[name] = (verdict, steps) if known is None else _worse(known, (verdict, steps))
        return result

    @property
    def verdict(self) -> str:
        found = [searched.verdict for searched in self.searches.values()]
        return next((v for v in ("violated", "incomplete", "vacuous") if v in found), "holds")

    @property
    def first(self) -> tuple[str, Violation] | None:
        """The shortest counterexample with its scenario."""
        found = [
            (searched.scenario, violation)
            for searched in self.searches.values()
            for violation in searched.violations.values()
        ]
        return min(found, key=lambda item: item[1].steps, default=None)

    @property
    def reached(self) -> frozenset[str]:
        return frozenset().union(*(s.reached for s in self.searches.values()))


def _worse(
    left: tuple[str, int | None], right: tuple[str, int | None]
) -> tuple[str, int | None]:
    order = ("violated", "incomplete", "vacuous", "holds")
    if left[0] == right[0] and left[1] is not None and right[1] is not None:
        return (left[0], min(left[1], right[1]))
    return min(left, right, key=lambda item: order.index(item[0]))


@dataclass(frozen=True)
class Measured:
    """A claim beside what came out."""

    claim: Claim
    expected: dict[str, Value]
    measured: dict[str, Value]

    @property
    def agrees(self) -> bool:
        return self.expected == self.measured


@dataclass
class Outcome:
    """A whole review, measured.

    ``results`` are by proposal and mode; ``traces`` holds the shortest
    counterexample to each proposal that is violated in some mode.
    """

    review: Review
    cpus: int
    maxcpu: int
    results: dict[str, dict[str, ModeResult]]
    claims: dict[str, list[Measured]] = field(default_factory=dict)
    traces: dict[str, Trace] = field(default_factory=dict)

    @property
    def proposals(self) -> list[Proposal]:
        return [p for p in self.review.proposals if not p.hidden]

    @property
    def agrees(self) -> bool:
        """Whether every claim came out as expected."""
        return all(m.agrees for claims in self.claims.values() for m in claims)


# --- jobs ------------------------------------------------------------------


def boot_bounds(cpus: int, maxcpu: int) -> Bounds:
    """A machine with more user processes than CPUs, and real PCIDs."""
    return Bounds(
        cpus=cpus,
        maxcpu=maxcpu,
        processes=cpus + 1,
        kernel_processes=1,
        pcids=None,
        operations=BOOT_OPERATIONS,
    )


@dataclass(frozen=True, slots=True)
class Job:
    """One piece of work for one proposal in one mode."""

    proposal: str
    mode: str


@dataclass(frozen=True, slots=True)
class BuildJob(Job):
    """What the system of a scenario is; the answer is equal for systems that
    differ in source locations only: the same code from the same memory."""

    scenario: str

    def run(self) -> str:
        system = self.build()
        text = print_program(system.program, locations=False)
        if system.bring_up is not None:
            runner = Runner(system)
            failure = None
            while runner.in_bring_up and failure is None:
                failure = runner.bring_up_step()
            # What fails on the way is part of the result, so all of it counts.
            text += print_program(system.bring_up, locations=False) + repr(runner.state)
        return hashlib.sha256(text.encode()).hexdigest()

    def build(self) -> System:
        review, _ = find_proposal(self.proposal)
        observers = load_modules([review.observers])[:1]
        return build_system(
            self.scenario,
            (*proposal_files(self.proposal), *observers),
            find_mode(self.mode),
            SEARCHES[self.scenario],
        )


@dataclass(frozen=True, slots=True)
class SearchJob(BuildJob):
    """The search of a scenario."""

    def run(self) -> Searched:  # type: ignore[override]
        result = search(self.build())
        return Searched(
            self.scenario,
            result.verdict(),
            {name: result.verdict(name) for name in result.properties},
            result.violations,
            result.states,
            result.reached,
            result.unreached,
            result.at_rest,
        )


@dataclass(frozen=True, slots=True)
class BootJob(Job):
    """debug.count after a boot; None when the kernel panics."""

    cpus: int
    maxcpu: int

    def run(self) -> int | None:
        system = build_system(
            BOOT_SCENARIO,
            proposal_files(self.proposal),
            find_mode(self.mode),
            boot_bounds(self.cpus, self.maxcpu),
        )
        run = simulate(system)
        return None if run.failure is not None else run.sysctl(SYSCTL)


@dataclass(frozen=True, slots=True)
class TraceJob(Job):
    """A counterexample with its source lines."""

    scenario: str
    violation: Violation

    def run(self) -> Trace:
        spec = RunSpec(
            scenario=self.scenario,
            mode=self.mode,
            bounds=SEARCHES[self.scenario],
            proposal=self.proposal,
        )
        return record(spec, spec.build(), self.violation)


AnyJob = BuildJob | SearchJob | BootJob | TraceJob
# Runs jobs, in any order, and gives their answers in the order of the jobs; the
# text says what they are.
RunJobs = Callable[[Sequence[AnyJob], str], list[Any]]


# --- the whole review ------------------------------------------------------


def measure_review(review: Review, cpus: int, maxcpu: int, run_jobs: RunJobs) -> Outcome:
    """Run every proposal of ``review`` in every mode, and measure its claims.

    ``cpus`` and ``maxcpu`` size the boots that the figures come from.  Raises
    UsageError for sizes that make no machine.
    """
    boot_bounds(cpus, maxcpu).check()
    pairs = [(p.id, mode.name) for p in review.proposals for mode in MODES]
    outcome = Outcome(
        review,
        cpus,
        maxcpu,
        {p.id: {mode.name: ModeResult(mode.name) for mode in MODES} for p in review.proposals},
    )
    boots = [BootJob(*pair, cpus, maxcpu) for pair in pairs]
    for boot, count in zip(boots, run_jobs(boots, "boots"), strict=True):
        outcome.results[boot.proposal][boot.mode].sysctl[SYSCTL] = count
    _search(outcome, pairs, run_jobs)
    for proposal in outcome.proposals:
        outcome.claims[proposal.id] = [
            Measured(claim, *_measure(claim.measure, claim.of or proposal.id, outcome))
            for claim in proposal.claims
        ]
    traced = [job for p in outcome.proposals if (job := _shortest(outcome, p)) is not None]
    for job, trace in zip(traced, run_jobs(traced, "traces"), strict=True):
        outcome.traces[job.proposal] = trace
    return outcome


def _search(outcome: Outcome, pairs: Sequence[tuple[str, str]], run_jobs: RunJobs) -> None:
    """Search each system once, however many proposals it stands for."""
    jobs = [SearchJob(*pair, scenario) for pair in pairs for scenario in SEARCHES]
    digests = run_jobs([BuildJob(j.proposal, j.mode, j.scenario) for j in jobs], "systems")
    first: dict[str, SearchJob] = {}
    for job, digest in zip(jobs, digests, strict=True):
        first.setdefault(digest, job)
    # The longest searches first, so that no core idles at the end.
    order = sorted(first, key=lambda digest: first[digest].scenario != "switch")
    answers = run_jobs([first[digest] for digest in order], "searches")
    found = dict(zip(order, answers, strict=True))
    for job, digest in zip(jobs, digests, strict=True):
        outcome.results[job.proposal][job.mode].searches[job.scenario] = found[digest]


def _shortest(outcome: Outcome, proposal: Proposal) -> TraceJob | None:
    """The shortest counterexample over all modes, the first of equal ones."""
    best: TraceJob | None = None
    for mode, result in outcome.results[proposal.id].items():
        if (first := result.first) is not None:
            scenario, violation = first
            if best is None or violation.steps < best.violation.steps:
                best = TraceJob(proposal.id, mode, scenario, violation)
    return best


# --- claims ----------------------------------------------------------------


def _measure(
    measure: Measure, proposal_id: str, outcome: Outcome
) -> tuple[dict[str, Value], dict[str, Value]]:
    """What is expected and what came out, by mode."""
    expected: dict[str, Value] = {}
    measured: dict[str, Value] = {}
    for mode in measure.modes:
        result = outcome.results[proposal_id][mode]
        match measure:
            case Figure(sysctl=sysctl, law=law):
                expected[mode] = law(outcome.cpus, outcome.maxcpu)
                measured[mode] = result.sysctl[sysctl]
            case Verdict(property=name, expected=verdict):
                expected[mode] = verdict
                measured[mode] = result.verdict if name is None else result.properties[name][0]
            case Reached(label=label, expected=reached):
                expected[mode] = reached
                measured[mode] = label in result.reached
            case SameAtRest(other=other):
                theirs = outcome.results[other][mode].searches["boot"].at_rest
                ours = result.searches["boot"].at_rest
                expected[mode] = "the same states"
                same = ours is not None and ours == theirs
                measured[mode] = "the same states" if same else "other states"
            case SameResults(other=other, sysctl=sysctl):
                theirs_too = outcome.results[other][mode]
                same = _verdicts(result) == _verdicts(theirs_too)
                same = same and result.sysctl[sysctl] == theirs_too.sysctl[sysctl]
                expected[mode] = "the same results"
                measured[mode] = "the same results" if same else "other results"
    return expected, measured


def _verdicts(result: ModeResult) -> dict[str, str]:
    return {name: verdict for name, (verdict, _) in result.properties.items()}
