"""Running a review: every proposal in every mode, and each claim measured."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field

from pmaplab.frontends.kernel_python.source import load_modules
from pmaplab.ir.printer import print_program
from pmaplab.machine.modes import MODES, Mode, find_mode
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
from pmaplab.system import Bounds, System, build_system

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
    """A whole review, measured."""

    review: Review
    cpus: int
    maxcpu: int
    results: dict[str, dict[str, ModeResult]]
    claims: dict[str, list[Measured]]

    @property
    def proposals(self) -> list[Proposal]:
        return [p for p in self.review.proposals if not p.hidden]


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


def _build(proposal_id: str, mode: Mode, scenario: str) -> System:
    review, _ = find_proposal(proposal_id)
    files = proposal_files(proposal_id)
    observers = load_modules([review.observers])[:1]
    return build_system(scenario, (*files, *observers), mode, SEARCHES[scenario])


def digest(proposal_id: str, mode_name: str, scenario: str) -> str:
    """Equal for systems that cannot differ in anything but source locations:
    the same code from the same memory."""
    system = _build(proposal_id, find_mode(mode_name), scenario)
    text = print_program(system.program, locations=False)
    if system.bring_up is not None:
        runner = Runner(system)
        failure = None
        while runner.in_bring_up and failure is None:
            failure = runner.bring_up_step()
        # What fails on the way is part of the result, so all of the way counts.
        text += print_program(system.bring_up, locations=False) + repr(runner.state)
    return hashlib.sha256(text.encode()).hexdigest()


def run_search(proposal_id: str, mode_name: str, scenario: str) -> Searched:
    system = _build(proposal_id, find_mode(mode_name), scenario)
    result = search(system)
    return Searched(
        scenario,
        result.verdict(),
        {name: result.verdict(name) for name in result.properties},
        result.violations,
        result.states,
        result.reached,
        result.unreached,
        result.at_rest,
    )


def run_boot(proposal_id: str, mode_name: str, cpus: int, maxcpu: int) -> int | None:
    """debug.count after a boot; None when the kernel panics."""
    system = build_system(
        BOOT_SCENARIO,
        proposal_files(proposal_id),
        find_mode(mode_name),
        boot_bounds(cpus, maxcpu),
    )
    run = simulate(system)
    return None if run.failure is not None else run.sysctl(SYSCTL)


# --- the whole review ------------------------------------------------------

Progress = Callable[[int, int], None]


def measure_review(
    review: Review, cpus: int, maxcpu: int, *, workers: int, progress: Progress = lambda *_: None
) -> Outcome:
    """Run every proposal of ``review`` in every mode, side by side.

    ``cpus`` and ``maxcpu`` size the boots that the figures come from.
    ``progress`` is told how many jobs are done, and of how many.  Raises
    UsageError for sizes that make no machine.
    """
    boot_bounds(cpus, maxcpu).check()
    results: dict[str, dict[str, ModeResult]] = {
        p.id: {mode.name: ModeResult(mode.name) for mode in MODES} for p in review.proposals
    }
    with ProcessPoolExecutor(max_workers=workers) as pool:
        try:
            _run_jobs(review, cpus, maxcpu, pool, results, progress)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    outcome = Outcome(review, cpus, maxcpu, results, {})
    for proposal in outcome.proposals:
        outcome.claims[proposal.id] = [
            Measured(claim, *_measure(claim.measure, claim.of or proposal.id, outcome))
            for claim in proposal.claims
        ]
    return outcome


def _run_jobs(
    review: Review,
    cpus: int,
    maxcpu: int,
    pool: ProcessPoolExecutor,
    results: dict[str, dict[str, ModeResult]],
    progress: Progress,
) -> None:
    pairs = [(p.id, mode.name) for p in review.proposals for mode in MODES]
    searches = [(*pair, scenario) for pair in pairs for scenario in SEARCHES]
    total = 2 * len(searches) + len(pairs)
    done = 0
    digests: dict[Future[str], tuple[str, str, str]] = {
        pool.submit(digest, *job): job for job in searches
    }
    boots = {pool.submit(run_boot, *pair, cpus, maxcpu): pair for pair in pairs}
    running: dict[str, Future[Searched]] = {}
    waiting: dict[str, list[tuple[str, str, str]]] = {}
    for future in as_completed(digests):
        job, key = digests[future], future.result()
        waiting.setdefault(key, []).append(job)
        if key not in running:
            running[key] = pool.submit(run_search, *job)
        done += 1
        progress(done, total)
    for boot in as_completed(boots):
        proposal_id, mode = boots[boot]
        results[proposal_id][mode].sysctl[SYSCTL] = boot.result()
        done += 1
        progress(done, total)
    keys = {future: key for key, future in running.items()}
    for found in as_completed(keys):
        for proposal_id, mode, scenario in waiting[keys[found]]:
            results[proposal_id][mode].searches[scenario] = found.result()
            done += 1
        progress(done, total)
    for modes in results.values():
        for result in modes.values():
            result.searches = {name: result.searches[name] for name in SEARCHES}


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
