"""The honest verdict: what was found, and what it rests on."""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pmaplab.errors import UsageError, did_you_mean
from pmaplab.frontends.kernel_c.program import Used
from pmaplab.frontends.kernel_python.source import Source
from pmaplab.ir.callgraph import reachable_functions
from pmaplab.ir.nodes import PROGRAM_REDUCTIONS, Count
from pmaplab.ir.walk import instructions
from pmaplab.kept_systems import KeptSystem, key_of, load, store
from pmaplab.machine.modes import SC, TSO
from pmaplab.memory import memory_assumptions
from pmaplab.native.asking import NotNative
from pmaplab.native.build import NoCompiler
from pmaplab.native.choose import DEFAULT_ENGINE, PYTHON, Engine, search_with
from pmaplab.native.engine import search_prepared
from pmaplab.native.prepared import Prepared
from pmaplab.pcids import PCIDS, looked_at
from pmaplab.report.accepted import Acceptance, check_properties
from pmaplab.report.otherwise import Accepted, Otherwise, search_otherwise
from pmaplab.report.savings import Saved, savings
from pmaplab.search.result import ASSERTIONS, PROGRESS, Limits, Progress, Result
from pmaplab.search.symmetry import ToldApart
from pmaplab.spec import RunSpec, showing_source
from pmaplab.system import Bounds, System
from pmaplab.trace.record import Trace, record

HOLDS, VIOLATED, INCOMPLETE, VACUOUS = "holds", "violated", "incomplete", "vacuous"
ACCEPTED = "accepted"

# The properties that every system has.
ALWAYS = (ASSERTIONS, PROGRESS)

# The label in fresh_frame (machine/mmu.py).
NO_FRESH_FRAME = "no frame is left that nobody caches"


@dataclass(frozen=True, slots=True)
class UsedExemption:
    """An exemption without which some property would have failed."""

    function: str
    reason: str


@dataclass(frozen=True, slots=True)
class Judged:
    """The verdict on one property; ``trace`` is its shortest counterexample, or where
    that is ``accepted`` the shortest that is not, if there is one."""

    name: str
    verdict: str
    trace: Trace | None
    accepted: Accepted | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a search of one system has shown.

    ``asked`` is the one property that was asked about, None for all of them;
    ``depth`` counts the levels of the search, behind ``prefix`` steps of
    bring-up; ``seconds`` is its time, ``build_seconds`` what compiling took before
    it.  ``engine`` did it; ``note`` says why that is not the one asked for.
    ``reductions`` were used, and ``passed`` states on the way not kept, ``images`` of
    kept states by ``symmetries`` of these names, or it was ``searched_again`` without
    those of searches.  ``told_apart`` are symmetries that are none; ``broken_facts`` says
    why ownership facts were not used, ``looked_at`` why PCIDs were not forgotten.
    ``savings`` are searches without each reduction, where they were asked for.
    """

    spec: RunSpec
    asked: str | None
    verdict: str
    properties: tuple[Judged, ...]
    states: int
    transitions: int
    depth: int
    prefix: int
    seconds: float
    assumptions: tuple[str, ...]
    exemptions: tuple[UsedExemption, ...]
    unreached: tuple[str, ...]
    stopped: str | None
    engine: str
    build_seconds: float
    note: str | None
    reductions: tuple[str, ...] = ()
    passed: int = 0
    images: int = 0
    symmetries: tuple[str, ...] = ()
    told_apart: tuple[ToldApart, ...] = ()
    searched_again: bool = False
    savings: tuple[Saved, ...] = ()
    broken_facts: tuple[str, ...] = ()
    looked_at: str | None = None
    tree: Used | None = None
    # The entries of the user's file that accepted something.
    matched: tuple[Acceptance, ...] = ()

    @property
    def trace(self) -> Trace | None:
        """The shortest of the counterexamples, those that are not accepted first."""
        traces = [
            (judged.verdict == ACCEPTED, len(judged.trace.steps), judged.trace)
            for judged in self.properties
            if judged.trace is not None
        ]
        return min(traces, key=lambda trace: trace[:2], default=(False, 0, None))[2]

    @property
    def covered(self) -> bool:
        """Whether, but for what is accepted, everything was searched and holds."""
        whole = all(j.accepted is None or j.accepted.unchecked is None for j in self.properties)
        return self.verdict == HOLDS or (self.verdict == ACCEPTED and whole)


def exit_status(verdicts: Sequence[Verdict]) -> int:
    """0 when all hold but for what is accepted, 1 when one is violated, else 3."""
    if any(verdict.verdict == VIOLATED for verdict in verdicts):
        return 1
    return 0 if all(verdict.covered for verdict in verdicts) else 3


def stale_entries(
    entries: Sequence[Acceptance], verdicts: Sequence[Verdict]
) -> tuple[Acceptance, ...]:
    """The entries about searches that were made, which accepted nothing there."""
    used = {entry for verdict in verdicts for entry in verdict.matched}
    result = []
    for entry in entries:
        own = [v for v in verdicts if _concerns(entry, v.spec) and v.asked in (None, entry.about)]
        if entry not in used and own and all(verdict.stopped is None for verdict in own):
            result.append(entry)
    return tuple(result)


def _concerns(entry: Acceptance, spec: RunSpec) -> bool:
    memory = SC if spec.bounds.store_buffer is None else TSO
    return entry.concerns(spec.scenario, spec.mode, memory)


def check(
    spec: RunSpec,
    *,
    name: str | None = None,
    limits: Limits | None = None,
    progress: Progress | None = None,
    engine: Engine = DEFAULT_ENGINE,
    accepted: Sequence[Acceptance] = (),
    keep: bool = False,
    compare: bool = False,
) -> Verdict:
    """Build the system of ``spec``, search it, and judge property ``name``, or
    all of them.  ``accepted`` are findings that the user knows; ``keep`` allows to use
    what is kept of the system, and to keep it; ``compare`` measures what each reduction
    saves.

    Raises a PmaplabError for whatever is wrong with the spec, UsageError for a
    property that does not exist, InputError for one of ``accepted``.
    """
    entries = [entry for entry in accepted if _concerns(entry, spec)]
    if entries:
        # What is searched for others has its own way to go on.
        spec = replace(spec, canonical_pcids=False)
    kept = keep and engine.name != PYTHON
    subject = Subject(spec, kept)
    check_properties(entries, subject.properties)
    if name is not None:
        check_property(name, subject.properties)
    with showing_source(subject):
        began = time.monotonic()
        result = subject.search(engine, limits, progress)
        looked = _looked_at(spec, result)
        if looked is not None:
            spec = replace(spec, canonical_pcids=False)
            subject, engine = Subject(spec, kept), _checkpoint_of_its_own(engine)
            limits = (limits or Limits()).left(began)
            result = subject.search(engine, limits, progress)
        otherwise = None
        if any(e.about in result.violations and name in (None, e.about) for e in entries):
            bound = limits or Limits()
            otherwise = search_otherwise(spec, subject.system, result, entries, bound, progress)
        verdict = replace(judge(subject, result, name, otherwise), looked_at=looked)
        if not compare:
            return verdict
        saved = savings(
            spec, result, verdict.reductions, limits=limits, progress=progress, engine=engine
        )
        return replace(verdict, savings=saved)


def _looked_at(spec: RunSpec, result: Result) -> str | None:
    """Why what was found counts only if PCIDs are not forgotten; None where it counts."""
    if not spec.canonical_pcids:
        return None
    failures = [each.failure for each in result.violations.values()]
    return looked_at((*result.reached, *(each.message for each in failures if each is not None)))


def _checkpoint_of_its_own(engine: Engine) -> Engine:
    """For a search of the same run in which PCIDs are not forgotten."""
    if engine.checkpoint is None:
        return engine
    return replace(engine, checkpoint=engine.checkpoint / f"no-{PCIDS}")


class Subject:
    """What a verdict is about: the system of a run, of which enough may be ``kept`` to
    search it and to say what that rests on.  It is built where there is need of more."""

    def __init__(self, spec: RunSpec, keep: bool = False) -> None:
        self.spec = spec
        self.key = key_of(spec) if keep else None
        self.kept = None if self.key is None else load(self.key)

    @functools.cached_property
    def system(self) -> System:
        """The system; raises a PmaplabError."""
        return self.spec.build()

    @property
    def sources(self) -> Mapping[str, Source]:
        """The texts into which places point."""
        return self.system.sources

    @property
    def properties(self) -> Sequence[str]:
        """The names of all properties."""
        if self.kept is not None:
            return self.kept.prepared.properties
        return [*{i.property: None for i in self.system.program.invariants}, *ALWAYS]

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What a verdict on it rests on."""
        if self.kept is not None:
            return self.kept.assumptions
        return assumptions(self.spec, self.system)

    @property
    def exemptions(self) -> Mapping[str, tuple[str, str]]:
        """The function and the reason of each exemption, by region."""
        if self.kept is not None:
            return self.kept.exemptions
        exemptions = self.system.exemptions.items()
        return {region: (each.function, each.reason) for region, each in exemptions}

    @property
    def tree(self) -> Used | None:
        """What of a tree it has; nothing is kept of one."""
        return None if self.kept is not None else self.system.tree

    def search(self, engine: Engine, limits: Limits | None, progress: Progress | None) -> Result:
        """Search it."""
        if self.kept is not None:
            try:
                return search_prepared(
                    self.kept.prepared,
                    lambda: self.system,
                    limits=limits,
                    progress=progress,
                    threads=engine.threads,
                    fingerprints=engine.fingerprints,
                    checkpoint=engine.checkpoint,
                    reductions=engine.reductions,
                )
            except (NoCompiler, NotNative):
                # What there is to do then does not depend on what is kept.
                self.kept = None
        keep = None if self.key is None else self._keep
        return search_with(engine, self.system, limits=limits, progress=progress, keep=keep)

    def _keep(self, prepared: Prepared) -> None:
        assert self.key is not None
        store(self.key, self.spec, KeptSystem(prepared, self.assumptions, self.exemptions))


def judge(
    subject: Subject,
    result: Result,
    name: str | None,
    otherwise: Otherwise | None = None,
) -> Verdict:
    """The verdict on what a search found."""
    otherwise = otherwise or Otherwise({}, {}, ())
    judged = []
    for each in result.properties:
        if name not in (None, each):
            continue
        known, violation = otherwise.accepted.get(each), result.violations.get(each)
        verdict = result.verdict(each)
        if known is not None:
            verdict = VIOLATED if each in otherwise.violations else ACCEPTED
            violation = otherwise.violations.get(each, violation)
        trace = None
        if violation is not None:
            trace = record(subject.spec, subject.system, violation)
        judged.append(Judged(each, verdict, trace, known))
    found = {each.verdict for each in judged}
    return Verdict(
        spec=subject.spec,
        asked=name,
        verdict=_overall(result, found) if ACCEPTED in found else result.verdict(name),
        properties=tuple(judged),
        states=result.states,
        transitions=result.transitions,
        depth=result.depth,
        prefix=len(result.bring_up),
        seconds=result.seconds,
        assumptions=(*_odds(result), *subject.assumptions, *_limits_of_frames(result)),
        exemptions=tuple(
            UsedExemption(*subject.exemptions[region])
            for region in sorted(result.exemptions_used)
            if region in subject.exemptions
        ),
        unreached=result.unreached,
        stopped=result.stopped,
        engine=result.engine,
        build_seconds=result.build_seconds,
        note=result.note,
        reductions=(
            *(each for each in PROGRAM_REDUCTIONS if each not in subject.spec.without),
            *([PCIDS] if subject.spec.canonical_pcids else []),
            *result.reductions,
        ),
        passed=result.passed,
        images=result.images,
        symmetries=result.symmetries,
        told_apart=result.told_apart,
        searched_again=result.searched_again,
        broken_facts=result.broken_facts,
        tree=subject.tree,
        matched=otherwise.matched,
    )


def _overall(result: Result, found: set[str]) -> str:
    """The verdict of a search in which something is accepted."""
    if VIOLATED in found:
        return VIOLATED
    if not result.complete:
        return INCOMPLETE
    return VACUOUS if result.unreached else ACCEPTED


def _odds(result: Result) -> tuple[str, ...]:
    """What a search that does not keep whole states rests on."""
    if result.odds is None:
        return ()
    return (
        f"states are told apart by 64-bit fingerprints: the odds that one of "
        f"{result.states:,} was missed are at most {result.odds:.1e}",
    )


def check_property(name: str, names: Sequence[str]) -> None:
    """Raises UsageError unless ``name`` is one of ``names``."""
    if name not in names:
        raise UsageError(
            f"there is no property {name!r}",
            advice=did_you_mean(name, names) or f"the properties are {', '.join(names)}",
        )


def assumptions(spec: RunSpec, system: System) -> tuple[str, ...]:
    """What the verdict rests on, in words; only what applies to this run."""
    bounds, program = spec.bounds, system.program
    reached = reachable_functions(program, program.entries)
    if bounds.store_buffer is None:
        result = ["memory model sc: every store is seen by all CPUs at once"]
    else:
        result = memory_assumptions(
            program,
            bounds.store_buffer,
            drains=bool(bounds.invpcid_drains),
            forwards=bool(bounds.walker_forwards),
        )
    if bounds.pages:
        result += _paging_assumptions(spec.bounds, system)
    else:
        result.append(
            "the TLB and IPIs are not part of the model: only what the kernel records is checked"
        )
    result.append(f"MAXCPU is {bounds.maxcpu}")
    if "choosethread" in reached:
        result.append("one run queue serves all CPUs, so any CPU may run any thread")
        new = ", a pmap that is being filled in" if bounds.store_buffer is None else ""
        result.append(
            f"what one lock protects{' or nobody else knows yet' if new else ''} is one step: "
            f"the run queue, the counts of spinlock_enter{new}"
        )
    if "uma_zalloc_vmspace" in reached:
        result.append(
            "page-table pages stay with their vmspace: a root is reused only together with it"
        )
    if spec.features.pcid and bounds.pcids is not None:
        result.append(f"at most {counted(bounds.pcids, 'PCID')} per CPU besides the kernel's")
    if bounds.operations is None:
        result.append(
            "any number of operations per CPU: a generation of PCIDs counts as the CPU's own or "
            "as another one"
        )
    elif "operations" in system.options_used:
        result.append(f"at most {counted(bounds.operations, 'operation')} per CPU")
    if _counts(system):
        result.append("statistics counters are no part of the searched state")
    if system.bring_up is not None:
        result.append(
            "bring-up runs on one schedule; its steps are counted in the traces, not in the depth"
        )
        if bounds.store_buffer is not None:
            result.append("bring-up runs without store buffers")
    kinds = ((spec.kernel, "kernel"), (spec.exemptions, "exemptions"))
    result += [f"the {kind} file {path} is the user's own" for path, kind in kinds if path]
    if spec.scenario in spec.user_files:
        result.append(f"the scenario file {spec.scenario} is the user's own")
    if system.tree is not None:
        result += tree_assumptions(system.tree)
    return tuple(result)


def _limits_of_frames(result: Result) -> tuple[str, ...]:
    if NO_FRESH_FRAME not in result.reached:
        return ()
    return (
        "a page is mapped to a frame that it had before where a CPU may still cache all frames: "
        "a stale use of that one goes unnoticed",
    )


def _paging_assumptions(bounds: Bounds, system: System) -> list[str]:
    result = [
        f"{counted(bounds.pages, 'user page')} in an address space, and as many of the "
        "kernel; page tables of one level, without large pages, A and D bits",
    ]
    if bounds.preemptions:
        result += [
            f"at most {counted(bounds.preemptions, 'preemption')} in a run, in kernel mode within "
            "operations, where another thread may be the next; interrupts are taken between any "
            "two steps",
            "who waits for a mutex lets its owner run, if that was preempted and may run there; "
            "else it spins",
        ]
    else:
        result.append(
            "no thread is preempted within an operation; interrupts are taken between any two steps"
        )
    if "change" in system.program.globals:
        result.append("all changes of mappings in one run are made in the same way")
    return result


def tree_assumptions(used: Used) -> list[str]:
    """What of a tree is checked, and what it rests on."""
    names = ", ".join(f"{n} ({p.rsplit(':', 1)[0]})" for n, p in sorted(used.functions.items()))
    result = [f"from the tree: {names}"]
    for text, table in (
        ("indirect", {n: f"it is {c} in this mode" for n, c in used.ifuncs.items()}),
        ("written by hand", used.modelled),
        ("calls left out", used.dropped),
        ("left out of the model", used.outside),
        ("given by the model", used.given),
        ("one step", used.at_once),
    ):
        by_reason: dict[str, list[str]] = {}
        for name, reason in sorted(table.items()):
            by_reason.setdefault(reason, []).append(name)
        result += [f"{text}: {', '.join(found)}: {why}" for why, found in by_reason.items()]
    if used.missing:
        result.append(f"headers that the tree lacks, taken as empty: {', '.join(used.missing)}")
    return result


def counted(number: int, noun: str) -> str:
    """``1 operation``, ``2 operations``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _counts(system: System) -> bool:
    return any(
        isinstance(instruction, Count)
        for function in system.program.functions.values()
        for instruction in instructions(function)
    )
