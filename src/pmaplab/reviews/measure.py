"""Running a review: every proposal in every mode, and each claim measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pmaplab.frontends.kernel_python.source import load_modules
from pmaplab.kept_begun import begun
from pmaplab.machine.modes import find_mode
from pmaplab.native.choose import Engine, search_with
from pmaplab.native.readback import NativeError
from pmaplab.reviews.model import (
    ALL,
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
from pmaplab.search.bfs import search
from pmaplab.search.projection import Projected
from pmaplab.search.result import Violation
from pmaplab.search.sharing import Begun
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
# Whose states at rest are compared.
AT_REST_SCENARIO = "boot"
# A boot after which every CPU has switched threads a few times.
BOOT_SCENARIO = "multiuser"
BOOT_OPERATIONS = 4

Value = int | bool | str | None


@dataclass(frozen=True)
class Searched:
    """What one search found, as far as a review shows it.

    ``before`` is the number of steps of the bring-up, ``projected`` what its states hold
    in memory, of searches whose states at rest are compared; ``note`` says why another
    engine did it than the one asked for.
    """

    scenario: str
    names: tuple[str, ...]
    verdict: str
    complete: bool
    violations: dict[str, Violation]
    before: int
    states: int
    reached: frozenset[str]
    projected: Projected | None
    note: str | None

    def judged(self, name: str) -> tuple[str, int | None]:
        """The verdict on a property, and the steps of its counterexample.

        Beside a violation of another property nothing is vacuous.
        """
        if name in self.violations:
            return "violated", self.violations[name].steps
        if not self.complete:
            return "incomplete", None
        return ("holds" if self.verdict == "violated" else self.verdict), None


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
            for name in searched.names:
                found = searched.judged(name)
                result[name] = _worse(result[name], found) if name in result else found
        return result

    @property
    def verdict(self) -> str:
        found = [searched.verdict for searched in self.searches.values()]
        return next((v for v in ("violated", "incomplete", "vacuous") if v in found), "holds")

    @property
    def first(self) -> tuple[str, Violation] | None:
        """The shortest counterexample with its scenario, the first of equal ones."""
        found = [
            (searched.scenario, searched.violations[name])
            for searched in self.searches.values()
            for name in searched.names
            if name in searched.violations
        ]
        return min(found, key=lambda item: item[1].steps, default=None)

    @property
    def reached(self) -> frozenset[str]:
        return frozenset().union(*(s.reached for s in self.searches.values()))


def _worse(left: tuple[str, int | None], right: tuple[str, int | None]) -> tuple[str, int | None]:
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
    def notes(self) -> tuple[str, ...]:
        """Why another engine did searches than the one asked for."""
        results = (mode for by_mode in self.results.values() for mode in by_mode.values())
        notes = (s.note for result in results for s in result.searches.values())
        return tuple(dict.fromkeys(note for note in notes if note is not None))

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
class SystemJob(Job):
    """Work on the system of one scenario."""

    scenario: str

    def spec(self) -> RunSpec:
        return RunSpec(
            scenario=self.scenario,
            mode=self.mode,
            bounds=SEARCHES[self.scenario],
            proposal=self.proposal,
        )

    def build(self) -> System:
        """The system, with the observers that claims ask."""
        review, _ = find_proposal(self.proposal)
        observers = load_modules([review.observers])[:1]
        return build_system(
            self.scenario,
            (*proposal_files(self.proposal), *observers),
            find_mode(self.mode),
            SEARCHES[self.scenario],
        )


@dataclass(frozen=True, slots=True)
class BuildJob(SystemJob):
    """Put the system together, and run its bring-up."""

    def run(self) -> Begun:
        review, _ = find_proposal(self.proposal)
        return begun(self.spec(), self.build, review.observers)


@dataclass(frozen=True, slots=True)
class SearchJob(SystemJob):
    """The search, without what fails in the bring-up."""

    engine: Engine

    def run(self) -> Searched:
        result = search_with(
            self.engine,
            self.build(),
            judge_bring_up=False,
            projected=self.scenario == AT_REST_SCENARIO,
        )
        return Searched(
            self.scenario,
            result.properties,
            result.verdict(),
            result.complete,
            result.violations,
            len(result.bring_up),
            result.states,
            result.reached,
            result.projected,
            result.note,
        )


@dataclass(frozen=True, slots=True)
class TraceJob(SystemJob):
    """A counterexample that no other one is shorter than, with its source lines: the
    interpreter's, so that every engine shows the same."""

    violation: Violation

    def run(self) -> Trace:
        spec = self.spec()
        system = spec.build()
        name = self.violation.property
        found = search(system, stop_at_first=True).violations.get(name)
        if found is None:
            # Another property may fail as soon.
            found = search(system).violations.get(name)
        if found is None or found.steps != self.violation.steps:
            raise NativeError(f"the interpreter does not find {name} as soon")
        return record(spec, system, found)


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


AnyJob = BuildJob | SearchJob | BootJob | TraceJob
# Runs jobs, in any order, and gives their answers in the order of the jobs; the
# text says what they are.
RunJobs = Callable[[Sequence[AnyJob], str], list[Any]]


# --- the whole review ------------------------------------------------------


def measure_review(
    review: Review,
    cpus: int,
    maxcpu: int,
    run_jobs: RunJobs,
    *,
    engine: Callable[[int], Engine],
    modes: Sequence[str] = ALL,
    scenarios: Sequence[str] = tuple(SEARCHES),
) -> Outcome:
    """Run every proposal of ``review`` in the given modes, and measure its
    claims about them.

    ``cpus`` and ``maxcpu`` size the boots that the figures come from; ``engine`` is told
    how many searches there are.  Raises UsageError for sizes that make no machine, and
    where the native engine is asked for and cannot search.
    """
    boot_bounds(cpus, maxcpu).check()
    pairs = [(p.id, mode) for p in review.proposals for mode in modes]
    outcome = Outcome(
        review,
        cpus,
        maxcpu,
        {p.id: {mode: ModeResult(mode) for mode in modes} for p in review.proposals},
    )
    boots = [BootJob(*pair, cpus, maxcpu) for pair in pairs]
    for boot, count in zip(boots, run_jobs(boots, "boots"), strict=True):
        outcome.results[boot.proposal][boot.mode].sysctl[SYSCTL] = count
    systems = [BuildJob(*pair, name) for pair in pairs for name in scenarios]
    _search(outcome, systems, run_jobs, engine)
    for proposal in outcome.proposals:
        outcome.claims[proposal.id] = [
            Measured(claim, *_measure(claim.measure, claim.of or proposal.id, outcome))
            for claim in proposal.claims
            if set(claim.measure.modes) & set(modes)
        ]
    traced = [job for p in outcome.proposals if (job := _shortest(outcome, p)) is not None]
    for job, trace in zip(traced, run_jobs(traced, "traces"), strict=True):
        outcome.traces[job.proposal] = trace
    return outcome


def _search(
    outcome: Outcome,
    jobs: Sequence[BuildJob],
    run_jobs: RunJobs,
    engine: Callable[[int], Engine],
) -> None:
    """Search each system once, however many proposals it stands for."""
    built = run_jobs(jobs, "systems")
    first: dict[str, BuildJob] = {}
    for job, system in zip(jobs, built, strict=True):
        first.setdefault(system.digest, job)
    # The longest searches first, so that no core idles at the end.
    order = sorted(first, key=lambda digest: first[digest].scenario != "switch")
    chosen = engine(len(order))
    searches = [
        SearchJob(job.proposal, job.mode, job.scenario, chosen)
        for job in (first[digest] for digest in order)
    ]
    answers = run_jobs(searches, "searches")
    found = dict(zip(order, answers, strict=True))
    for job, system in zip(jobs, built, strict=True):
        result = outcome.results[job.proposal][job.mode]
        result.searches[job.scenario] = _joined(system, found[system.digest])


def _joined(system: Begun, searched: Searched) -> Searched:
    """The search, made perhaps for another proposal, behind the own bring-up."""
    violations = {
        name: replace(violation, moves=system.bring_up + violation.moves[searched.before :])
        for name, violation in searched.violations.items()
    }
    violations |= system.violations
    verdict = "violated" if violations else searched.verdict
    return replace(searched, violations=violations, verdict=verdict, before=len(system.bring_up))


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
    for mode, result in outcome.results[proposal_id].items():
        if mode not in measure.modes:
            continue
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
                theirs = outcome.results[other][mode].searches[AT_REST_SCENARIO].projected
                ours = result.searches[AT_REST_SCENARIO].projected
                expected[mode] = "the same states"
                same = ours is not None and theirs is not None and ours.same_at_rest(theirs)
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
