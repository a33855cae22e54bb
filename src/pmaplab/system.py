"""Putting a system together: kernel, machine, scenario, properties, mode."""

from __future__ import annotations

import ast
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pmaplab.errors import InputError, IRError, UsageError, did_you_mean
from pmaplab.frontends.kernel_c.program import CProgram, Used
from pmaplab.frontends.kernel_python.compile import (
    CONDITIONS,
    Lowered,
    Sysctl,
    compile_files,
)
from pmaplab.frontends.kernel_python.source import (
    PACKAGE_ROOT,
    Source,
    SourceFile,
    display_name,
    imports,
    load_modules,
    package_module,
    parse_source,
    read_source,
)
from pmaplab.generations import check_unbounded
from pmaplab.ir.callgraph import reachable_functions
from pmaplab.ir.cut import cut
from pmaplab.ir.nodes import Program
from pmaplab.ir.verify import verify
from pmaplab.machine.interrupts import suspend_threads
from pmaplab.machine.modes import Mode
from pmaplab.machine.preemption import ASK, ROOTS, WAIT, add_contexts, preempt_threads
from pmaplab.machine.tso import LARGEST_BOUND, before_buffers, tso
from pmaplab.memory import direct, outside
from pmaplab.ownership import with_facts
from pmaplab.pcids import watched
from pmaplab.properties.regions import DEFAULT_FILE, Exemption, Regions, mark_regions, read_regions
from pmaplab.search.symmetry import Kind
from pmaplab.symmetries import declared_symmetries

PROPERTY_MODULES = (
    "pmaplab.properties.curpmap",
    "pmaplab.properties.pm_active",
    "pmaplab.properties.pcid",
    # Not a property: the conditions in exemptions.toml name its variables.
    "pmaplab.kernels.freebsd.x86.mp_x86",
)
# Properties of a machine with pages.
PAGING_MODULES = ("pmaplab.properties.stale",)
# What takes the place of the switch, and of what CPUs run, where threads are preempted.
PREEMPTION_MODULES = (
    "pmaplab.kernels.freebsd.kern.kern_switch",
    "pmaplab.scenarios.preemption",
)
# What a scenario has for it: one operation.
OPERATION = "thread_operation"
# What the kernel really has (sys/amd64/include/pmap.h).
PMAP_PCID_OVERMAX = 0x1000
PMAP_PCID_OVERMAX_KERN = 0x800
LARGEST_MAXCPU = 4096
# Page tables of processes whose translations fit into a set (machine/tlb.py).
MOST_TABLES = 16
# What the machine does when a store has reached memory (machine/mmu.py).
SETTLE = "tlb_settle"


@dataclass(frozen=True, slots=True)
class Bounds:
    """How large the system is.

    ``pcids`` bounds the PCIDs that a CPU can hand out besides the kernel's
    (1 to 2046; None for as many as the processor has).  ``operations`` is per
    CPU (None for no bound).  ``pages`` is the number of user pages in an address space, and of
    kernel pages; with 0 there are no page tables and no TLB.  ``store_buffer``
    is the number of entries (1 to 255) of each CPU's store buffer under the
    memory model tso; None stands for sc.  Sources disagree whether INVPCID
    drains the store buffer (``invpcid_drains``) and whether page walks see what
    waits in the CPU's own (``walker_forwards``): 1 for yes; no allows more.
    ``preemptions`` is how often threads are preempted in a run (0 to 8).
    """

    cpus: int = 2
    maxcpu: int = 2
    processes: int = 2
    kernel_processes: int = 0
    pcids: int | None = 2
    operations: int | None = 2
    pages: int = 0
    store_buffer: int | None = None
    invpcid_drains: int = 0
    walker_forwards: int = 0
    preemptions: int = 0

    def check(self) -> None:
        """Raises UsageError for bounds that make no machine."""
        if self.maxcpu < 1 or self.maxcpu > LARGEST_MAXCPU:
            raise UsageError(f"MAXCPU must be from 1 to {LARGEST_MAXCPU}, not {self.maxcpu}")
        if self.cpus < 1:
            raise UsageError(
                f"a machine with {self.cpus} CPUs cannot boot", advice="--cpus is at least 1"
            )
        if self.cpus > self.maxcpu:
            raise UsageError(
                f"{self.cpus} CPUs are more than MAXCPU, which is {self.maxcpu}",
                advice="raise --maxcpu, or lower --cpus",
            )
        for name, value, least, most in (
            ("--processes", self.processes, 1, 1024),
            ("--operations", 1 if self.operations is None else self.operations, 1, 10**6),
            ("--pages", self.pages, 0, 64),
            ("--preemptions", self.preemptions, 0, 8),
            ("--pcids", 1 if self.pcids is None else self.pcids, 1, PMAP_PCID_OVERMAX_KERN - 2),
        ):
            if not least <= value <= most:
                raise UsageError(f"{name} must be from {least} to {most}, not {value}")
        if self.pages and self.processes + self.cpus > MOST_TABLES:
            raise UsageError(
                f"{self.processes} processes and {self.cpus} CPUs are too many with pages",
                advice=f"together they are at most {MOST_TABLES}: there is an address space for "
                "each, and the TLB tells no more apart",
            )
        if self.store_buffer is not None and not 1 <= self.store_buffer <= LARGEST_BOUND:
            raise UsageError(
                f"--store-buffer must be from 1 to {LARGEST_BOUND}, not {self.store_buffer}"
            )


@dataclass(frozen=True)
class System:
    """A system, lowered, verified, its steps placed.

    ``bring_up`` is the program that runs on one schedule before the search of
    ``program`` begins, if the scenario has one.  Both have the same memory; it
    never has store buffers.
    """

    program: Program
    bring_up: Program | None
    sysctls: Mapping[str, Sysctl]
    sources: Mapping[str, Source]
    exemptions: Mapping[str, Exemption]
    options_used: frozenset[str]
    # ``program`` without store buffers and preemption, where it has some.
    plain: Program | None = None
    # Operations have no end, so generations have a normal form (generations.py).
    unbounded: bool = False
    # What of a tree it has.
    tree: Used | None = None
    # Objects that may be interchangeable (search/symmetry.py).
    symmetries: tuple[Kind, ...] = ()

    def line(self, file: str, number: int) -> str:
        """The source text of a line, "" where there is none."""
        source = self.sources.get(file)
        return source.line(number).strip() if source else ""


# Scenarios that need more than others.
_BOUNDS = {
    "activate": Bounds(kernel_processes=1, pages=1),
    "shootdown": Bounds(kernel_processes=1, pages=1),
}


def default_bounds(scenario: str) -> Bounds:
    """The bounds of a scenario, by name or path, where nothing else is asked for."""
    return _BOUNDS.get(scenario, Bounds())


def scenario_names() -> list[str]:
    """The scenarios that come with the tool: those that mark what CPUs run."""
    return sorted(
        path.stem
        for path in (PACKAGE_ROOT / "scenarios").glob("*.py")
        if "@thread_context" in path.read_text(encoding="utf-8")
        and f"pmaplab.scenarios.{path.stem}" not in PREEMPTION_MODULES
    )


def load_scenario(scenario: str) -> list[SourceFile]:
    """The files of a scenario: one of ours by name, or the user's by path."""
    if scenario.endswith(".py"):
        source = read_source(Path(scenario), display_name(Path(scenario)))
        return [source, *load_modules(imports(source))]
    names = scenario_names()
    if scenario not in names:
        raise UsageError(
            f"there is no scenario {scenario!r}",
            advice=did_you_mean(scenario, names)
            or f"the scenarios are {', '.join(names)}, or a FILE.py of your own",
        )
    return list(_package_files(f"pmaplab.scenarios.{scenario}"))


@functools.cache
def _package_files(*modules: str) -> tuple[SourceFile, ...]:
    return tuple(load_modules(modules))


def _package_files_of(modules: Sequence[str]) -> tuple[SourceFile, ...]:
    """The modules themselves, without those that they import."""
    result = []
    for module in modules:
        path = package_module(module)
        if path is None:
            raise InputError(f"{module}: no such kernel Python module")
        result.append(read_source(path, display_name(path)))
    return tuple(result)


def _lowered(
    scenario: str,
    replacements: tuple[SourceFile, ...],
    mode: Mode,
    bounds: Bounds,
    regions: Regions,
    tree: CProgram | None,
    canonical_pcids: bool = False,
) -> Lowered:
    """The program of a system, before anything is done to it."""
    bounds.check()
    if scenario in _BOUNDS and not bounds.pages:
        raise UsageError(f"the scenario {scenario} has pages", advice="--pages is at least 1")
    files: dict[str, SourceFile] = {}
    if tree is not None:
        replacements = (*_package_files_of(tree.api.modules), *replacements)
    if bounds.preemptions:
        replacements = (*_preemption_files(scenario, replacements), *replacements)
    extra = [name for source in replacements for name in imports(source)]
    replacing = {source.name for source in replacements}
    for source in (
        *load_scenario(scenario),
        *_package_files(*PROPERTY_MODULES, *(PAGING_MODULES if bounds.pages else ())),
        *_package_files(*extra),
    ):
        if source.name not in replacing:
            files.setdefault(source.name, source)
    conditions = parse_source(regions.when_source(), CONDITIONS)
    return compile_files(
        [*files.values(), conditions],
        replacements,
        options(mode, bounds) | {"canonical_pcids": int(canonical_pcids)},
        cpus=bounds.cpus,
        foreign=tree,
        roots=ROOTS if bounds.preemptions else (),
    )


def _preemption_files(
    scenario: str, replacements: tuple[SourceFile, ...]
) -> tuple[SourceFile, ...]:
    """What makes threads preemptible.

    Raises UsageError for a scenario without operations in which they could be,
    and InputError for replacements of what it consists of.
    """
    declared = {name for source in load_scenario(scenario) for name in _functions(source)}
    marked = any("@bring_up_context" in source.text for source in load_scenario(scenario))
    if OPERATION not in declared or not marked:
        raise UsageError(
            f"the scenario {scenario} has no operations in which threads are preempted",
            advice=f"--preemptions is for {' and '.join(_BOUNDS)}, or for a FILE.py with a "
            f"function {OPERATION} and a bring-up",
        )
    files = _package_files_of(PREEMPTION_MODULES)
    needed = {name for source in files for name in _functions(source)}
    for source in replacements:
        for name in sorted(needed & _functions(source)):
            raise InputError(
                f"{source.name} replaces {name}, which is another function where threads are "
                "preempted",
                advice="leave out --preemptions",
            )
    return files


def _functions(source: SourceFile) -> set[str]:
    return {node.name for node in source.tree.body if isinstance(node, ast.FunctionDef)}


def lower_only(tree: CProgram, mode: Mode, bounds: Bounds) -> None:
    """Lower what scenario boot takes of ``tree``, and whatever else ``tree``
    wants to; the program is not used.  Raises a PmaplabError."""
    _lowered("boot", (), mode, bounds, _regions(None, bounds), tree)


def build_system(
    scenario: str,
    replacements: tuple[SourceFile, ...],
    mode: Mode,
    bounds: Bounds,
    exemptions: Path | None = None,
    tree: CProgram | None = None,
    without: tuple[str, ...] = (),
    canonical_pcids: bool = False,
) -> System:
    """Lower and verify one system.

    ``replacements`` are kernel Python files whose declarations replace those
    of the reference kernel, in order.  ``exemptions`` is a further exemption
    file.  The functions of ``tree`` take the place of the reference kernel's.
    ``without`` are the reductions of programs (ir/nodes) that are left out.  With
    ``canonical_pcids``, what a search finds counts only if it has looked at nothing that
    was forgotten (pcids.looked_at).
    Raises a PmaplabError for anything that is wrong with them.
    """
    regions = _regions(exemptions, bounds)
    lowered = _lowered(scenario, replacements, mode, bounds, regions, tree, canonical_pcids)
    program = lowered.program
    if bounds.operations is None:
        if bounds.store_buffer is not None:
            raise UsageError(
                "with store buffers, operations need a bound",
                advice="give a number of operations, or --memory sc",
            )
        if tree is not None:
            raise UsageError(
                "with a tree, operations need a bound", advice="give a number of operations"
            )
        check_unbounded(scenario, program)
    if canonical_pcids:
        program = watched(program)
    marked = replace(mark_regions(program, regions), without=without)
    try:
        verify(marked)
    except IRError as error:
        file = lowered.sources.get(error.location.file) if error.location else None
        if file is None:
            raise
        raise file.located(error) from None
    sysctls = [s.function for s in lowered.sysctls.values() if s.function is not None]
    main, before = marked, replace(marked, agents=lowered.bring_up, must_reach=())
    if bounds.preemptions:
        main = marked = add_contexts(marked, bounds.preemptions)
    if bounds.store_buffer is not None:
        walkers = direct(marked) if bounds.pages else ()
        main = tso(
            marked,
            bound=bounds.store_buffer,
            outside=outside(marked),
            direct=() if bounds.walker_forwards else walkers,
            forwarding=walkers if bounds.walker_forwards else (),
            settle=SETTLE if bounds.pages and SETTLE in marked.functions else None,
        )
        verify(main)
        before = before_buffers(before, main)
    if bounds.preemptions:
        program = _preempted(_placed(main, [*sysctls, ASK], marked), marked, scenario)
        before = replace(before, cpus=program.cpus)
    else:
        # Of agents that move from CPU to CPU there are no facts.
        program = with_facts(_placed(main, sysctls, marked))
    bring_up = _placed(before, sysctls) if lowered.bring_up else None
    return System(
        program,
        bring_up,
        lowered.sysctls,
        lowered.sources,
        {e.region: e for e in regions.exemptions if e.region in program.regions},
        lowered.options_used,
        marked if bounds.preemptions or bounds.store_buffer is not None else None,
        bounds.operations is None,
        None if tree is None else tree.used(program),
        declared_symmetries(options(mode, bounds)),
    )


def _placed(program: Program, keep: Sequence[str], plain: Program | None = None) -> Program:
    """``program`` with its steps placed, without the functions that nobody
    calls; ``plain`` as in cut()."""
    wanted = reachable_functions(program, (*program.entries, *program.observers, *keep))
    functions = {name: f for name, f in program.functions.items() if name in wanted}
    result = suspend_threads(cut(replace(program, functions=functions), plain), WAIT)
    verify(result)
    return result


def _preempted(program: Program, plain: Program, scenario: str) -> Program:
    """``program``, its steps placed, with threads that are preempted in the
    kernel: what scenarios do between its functions stands for user mode, and in
    mi_switch a thread gives up its CPU anyway."""
    own, ours = display_name(Path(scenario)), display_name(PACKAGE_ROOT / "scenarios")
    spared = {
        name
        for name, function in program.functions.items()
        if function.loc.file == own
        or function.loc.file.startswith(f"{ours}/")
        or name == "mi_switch"
    }
    result = preempt_threads(program, spared, plain)
    verify(result)
    return result


def _paging_invariants() -> frozenset[str]:
    """The names of what PAGING_MODULES declare."""
    trees = [source.tree for source in load_modules(PAGING_MODULES)]
    return frozenset(n.name for t in trees for n in t.body if isinstance(n, ast.FunctionDef))


def _regions(extra: Path | None, bounds: Bounds) -> Regions:
    files = [(DEFAULT_FILE, display_name(DEFAULT_FILE))]
    if extra is not None:
        files.append((extra, str(extra)))
    regions = read_regions(files)
    return regions if bounds.pages else regions.without(_paging_invariants())


def pcid_limits(bounds: Bounds) -> tuple[tuple[str, int], ...]:
    """The macros of a tree that bound its PCIDs, where they are bounded."""
    if bounds.pcids is None:
        return ()
    limit = 1 + bounds.pcids
    kernel = min(limit, PMAP_PCID_OVERMAX_KERN)
    return (("PMAP_PCID_OVERMAX", limit), ("PMAP_PCID_OVERMAX_KERN", kernel))


def options(mode: Mode, bounds: Bounds) -> dict[str, int]:
    """The numbers that kernel Python asks for with option(...)."""
    limit = PMAP_PCID_OVERMAX if bounds.pcids is None else 1 + bounds.pcids
    return {
        "MAXCPU": bounds.maxcpu,
        "mp_ncpus": bounds.cpus,
        "pmap_pcid_enabled": int(mode.pcid),
        "invpcid_works": int(mode.invpcid),
        "pti": int(mode.pti),
        "PMAP_PCID_OVERMAX": limit,
        "PMAP_PCID_OVERMAX_KERN": min(limit, PMAP_PCID_OVERMAX_KERN),
        "processes": bounds.processes,
        "kernel_processes": bounds.kernel_processes,
        "operations": bounds.operations or 0,
        "unbounded": int(bounds.operations is None),
        "invpcid_drains": bounds.invpcid_drains,
        "pages": bounds.pages,
        "preemptions": bounds.preemptions,
        # One page table by vmspace (NVMSPACE), and one for the kernel.
        "page_tables": bounds.processes + bounds.cpus,
        "tlb_pcids": min(limit, PMAP_PCID_OVERMAX_KERN) if mode.pcid else 1,
    }
