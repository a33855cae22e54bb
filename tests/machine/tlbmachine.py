"""The modelled machine with its TLB, for tests: compiled alone, without a kernel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pmaplab.frontends.kernel_python.compile import Lowered, compile_files
from pmaplab.frontends.kernel_python.source import (
    SourceFile,
    imports,
    load_modules,
    parse_source,
    read_source,
)
from pmaplab.ir.cut import cut
from pmaplab.ir.nodes import Program
from pmaplab.ir.verify import verify
from pmaplab.machine.tso import before_buffers, tso
from pmaplab.search.interpreter import Fault, Interpreter
from pmaplab.system import System

PROGRAMS = Path(__file__).parent / "programs"
MMU = "pmaplab.machine.mmu"

# As machine/paging.py has them.
V, RW, U, G = 0x1, 0x2, 0x4, 0x100
KERNEL_ROOT, PROCESS_ROOTS, USER_ROOTS = 0x1000, 0x100000, 0x200000
# As machine/x86_64.py has them.
SAVE = 1 << 63
PAE, PGE, PCIDE, SMEP = 0x20, 0x80, 0x20000, 0x100000

OPTIONS: Mapping[str, int] = {
    "MAXCPU": 2,
    "mp_ncpus": 2,
    "pmap_pcid_enabled": 1,
    "invpcid_works": 1,
    "pti": 1,
    "pages": 2,
    "page_tables": 2,
    "tlb_pcids": 8,
    "invpcid_drains": 0,
}


@dataclass(frozen=True)
class Change:
    """A text of one of the machine's files, and what stands there instead."""

    module: str
    old: str
    new: str

    def apply(self, source: SourceFile) -> SourceFile:
        if source.name != f"pmaplab/machine/{self.module}.py":
            return source
        assert source.text.count(self.old) == 1, f"{self.old!r} is not there once"
        return parse_source(source.text.replace(self.old, self.new), source.name)


def lowered(
    program: str, options: Mapping[str, int] | None = None, change: Change | None = None
) -> Lowered:
    """A file of programs/ with the machine that it runs on."""
    source = read_source(PROGRAMS / program, program)
    files = [source, *load_modules([MMU, *imports(source)])]
    if change is not None:
        files = [change.apply(file) for file in files]
    return compile_files(files, [], {**OPTIONS, **(options or {})}, cpus=2)


def small_system(
    program: str,
    options: Mapping[str, int] | None = None,
    change: Change | None = None,
    *,
    store_buffer: int = 0,
) -> System:
    """The same as a system to search; with a store buffer it runs under tso."""
    found = lowered(program, options, change)

    def placed(program: Program) -> Program:
        result = cut(program)
        verify(result)
        return result

    main = found.program
    verify(main)
    bring_up = replace(main, agents=found.bring_up)
    if store_buffer:
        main = tso(
            main,
            bound=store_buffer,
            outside=["cpu_registers", "tlb", "tlb_context", "page_grants"],
            direct=["walk"],
            settle="tlb_settle",
        )
        bring_up = before_buffers(bring_up, main)
    return System(
        placed(main),
        placed(bring_up) if found.bring_up else None,
        {},
        found.sources,
        {},
        found.options_used,
    )


class Machine:
    """One machine whose functions can be called, on any CPU.

    A fault becomes an AssertionError, and leaving a bound a ModelError.
    """

    def __init__(
        self, options: Mapping[str, int] | None = None, change: Change | None = None
    ) -> None:
        self.options = {**OPTIONS, **(options or {})}
        system = small_system("no_operations.py", options, change)
        self.interpreter = Interpreter(system.program)
        self.frames = 16 // self.options["page_tables"]
        self.pages = range(2 * self.options["pages"])
        self.kernel_table = self.options["page_tables"]
        self.reset()

    def reset(self) -> None:
        self.cells = list(self.interpreter.initial())

    def __call__(self, function: str, *arguments: int, cpu: int = 0) -> int:
        call = self.interpreter.code.atomics[function]
        try:
            result = call(self.cells, cpu, self.interpreter.context, *arguments)
        except Fault as fault:
            raise AssertionError(self.interpreter.failure(fault).message) from None
        return 0 if result is None else int(result)

    def cell(self, name: str, path: str) -> int:
        return self.interpreter.layout.address(name, path)

    def poke(self, name: str, path: str, value: int) -> None:
        self.cells[self.cell(name, path)] = value

    def peek(self, name: str, path: str) -> int:
        return self.cells[self.cell(name, path)]

    def members(self, translations: int, page: int) -> set[tuple[int, int, bool, bool]]:
        """A set of translations of the page, as (table, frame, writable, user)."""
        result = set()
        for number in range(64):
            if translations >> number & 1:
                owner, frame = divmod(number // 4, self.frames)
                kernel = page >= self.options["pages"]
                table = self.kernel_table if kernel else owner
                result.add((table, frame, bool(number & 1), bool(number & 2)))
        return result


def pte(frame: int, flags: int) -> int:
    return frame << 12 | flags
