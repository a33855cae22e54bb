"""What each operation drops of what is cached, kind by kind.

The kinds: not global, of the PCID that the operation is about, of the page that
it is about (k1) and of another page (k2); global, of that page (k3) and of
another (k4); not global of another PCID, of that page (k5) and of another (k6).
``F`` must go and ``M`` may stay.  The kinds k7 to k9, paging-structure caches,
are not modelled.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from machine.tlbmachine import (
    KERNEL_ROOT,
    PAE,
    PCIDE,
    PGE,
    PROCESS_ROOTS,
    RW,
    SAVE,
    SMEP,
    Machine,
    U,
    V,
    pte,
)

PAGE, OTHER_PAGE = 0, 1
PCID, OTHER_PCID = 5, 6
# The cached translations: of a table, a frame and rights that no walk yields.
STALE = 1 << 63


@dataclass(frozen=True)
class Row:
    """An operation, and of each kind whether it goes or stays.

    It starts under ``current`` with ``cr4``; ``target`` is the PCID that it is
    about.
    """

    name: str
    run: Callable[[Machine, int], object]
    kinds: str
    current: int = PCID
    target: int = PCID
    cr4: int = PCIDE | PGE


def invpcid(kind: int, pcid: int) -> Callable[[Machine, int], object]:
    return lambda machine, cpu: machine("invpcid", kind, pcid, PAGE, cpu=cpu)


def load_cr3(value: int) -> Callable[[Machine, int], object]:
    return lambda machine, cpu: machine("load_cr3", PROCESS_ROOTS | value, cpu=cpu)


def toggle_cr4(bit: int) -> Callable[[Machine, int], object]:
    return lambda machine, cpu: machine("load_cr4", machine("rcr4", cpu=cpu) ^ bit, cpu=cpu)


def on_page(function: str) -> Callable[[Machine, int], object]:
    return lambda machine, cpu: machine(function, PAGE, cpu=cpu)


def plain(function: str, *arguments: int) -> Callable[[Machine, int], object]:
    return lambda machine, cpu: machine(function, *arguments, cpu=cpu)


ROWS = [
    Row("A1 INVLPG", on_page("invlpg"), "FMFMMM"),
    Row("A1 INVLPG without PCIDs", on_page("invlpg"), "FMFMMM", 0, 0, PGE),
    Row("A2 INVPCID 0", invpcid(0, PCID), "FMMMMM"),
    Row("A2 INVPCID 0 of a PCID that is not loaded", invpcid(0, PCID), "FMMMMM", OTHER_PCID),
    Row("A3 INVPCID 1", invpcid(1, PCID), "FFMMMM"),
    Row("A3 INVPCID 1 of a PCID that is not loaded", invpcid(1, PCID), "FFMMMM", OTHER_PCID),
    Row("A4 INVPCID 2", invpcid(2, 0), "FFFFFF"),
    Row("A5 INVPCID 3", invpcid(3, 0), "FFMMFF"),
    Row("A6 MOV CR3 without PCIDs", load_cr3(0), "FFMMMM", 0, 0, PGE),
    Row("A7 MOV CR3", load_cr3(PCID), "FFMMMM"),
    Row("A7 MOV CR3 to another PCID", load_cr3(PCID), "FFMMMM", OTHER_PCID),
    Row("A8 MOV CR3 with bit 63", load_cr3(PCID | SAVE), "MMMMMM"),
    Row("A8 MOV CR3 with bit 63 to another PCID", load_cr3(PCID | SAVE), "MMMMMM", OTHER_PCID),
    Row("A9 MOV CR4 clears PGE", toggle_cr4(PGE), "FFFFFF"),
    Row("A9 MOV CR4 sets PGE", toggle_cr4(PGE), "FFFFFF", cr4=PCIDE),
    Row("A9 MOV CR4 clears PCIDE", toggle_cr4(PCIDE), "FFFFFF"),
    Row("A10 MOV CR4 changes PAE", toggle_cr4(PAE), "FFMMMM"),
    Row("A10 MOV CR4 sets SMEP", toggle_cr4(SMEP), "FFMMMM"),
    Row("A10 MOV CR4 clears SMEP", toggle_cr4(SMEP), "MMMMMM", cr4=PCIDE | PGE | SMEP),
    Row("A11 MOV CR4 sets PCIDE", toggle_cr4(PCIDE), "MMMMMM", 0, 0, PGE),
    Row("A12 a store to an entry", plain("pte_store", 0, PAGE, 0), "MMMMMM"),
    Row("A12 an exchange with an entry", plain("pte_load_clear", 0, PAGE), "MMMMMM"),
    Row("A13 MOV CR0 clears PG", plain("restart_paging"), "FFFFFF"),
    Row("A14 #PF", on_page("page_fault"), "FMMMMM"),
    Row("A17 MFENCE", plain("mfence"), "MMMMMM"),
    Row("A17 a locked instruction", plain("locked_add"), "MMMMMM"),
    Row("A17 CLI", plain("intr_disable"), "MMMMMM"),
    Row("A17 POPF, IRET", plain("intr_restore", 1), "MMMMMM"),
    Row("A17 an access", plain("mmu_access", PAGE, 1, 1), "MMMMMM"),
]


@pytest.fixture(scope="module")
def compiled() -> Machine:
    return Machine()


@pytest.fixture
def machine(compiled: Machine) -> Machine:
    compiled.reset()
    return compiled


def contexts(row: Row) -> tuple[int, int]:
    """The PCID that the operation is about, and another one."""
    return row.target, OTHER_PCID if row.target != OTHER_PCID else PCID


def kinds(machine: Machine, row: Row) -> list[int]:
    """The cells of k1 to k6 on CPU 0."""
    target, other = contexts(row)
    paths = [
        f"[0].contexts[{target}].pages[{PAGE}]",
        f"[0].contexts[{target}].pages[{OTHER_PAGE}]",
        f"[0].globals[{PAGE}]",
        f"[0].globals[{OTHER_PAGE}]",
        f"[0].contexts[{other}].pages[{PAGE}]",
        f"[0].contexts[{other}].pages[{OTHER_PAGE}]",
    ]
    return [machine.cell("tlbs", path) for path in paths]


def prepare(machine: Machine, row: Row) -> list[int]:
    """Everything cached that can be, and nothing of it in the page tables."""
    for cpu in (0, 1):
        machine("load_cr4", row.cr4 & ~PCIDE, cpu=cpu)
        machine("load_cr3", PROCESS_ROOTS, cpu=cpu)
        if row.cr4 & PCIDE:
            machine("load_cr4", row.cr4, cpu=cpu)
            machine("load_cr3", PROCESS_ROOTS | row.current, cpu=cpu)
    cells = kinds(machine, row)
    for cell in cells:
        assert machine.cells[cell] == 0
        machine.cells[cell] = STALE
    return cells


def drop(machine: Machine, row: Row, cpu: int) -> str:
    cells = prepare(machine, row)
    row.run(machine, cpu)
    return "".join("M" if machine.cells[cell] == STALE else "F" for cell in cells)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_what_goes_and_what_may_stay(machine: Machine, row: Row) -> None:
    assert drop(machine, row, cpu=0) == row.kinds


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_nothing_goes_on_another_cpu(machine: Machine, row: Row) -> None:
    """A16."""
    assert drop(machine, row, cpu=1) == "MMMMMM"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_what_can_be_walked_is_back_at_once(machine: Machine, row: Row) -> None:
    """Also what the operation drops, since it may be loaded again."""
    prepare(machine, row)
    for page in (PAGE, OTHER_PAGE):
        machine("pte_store", 0, page, pte(2, V | RW | U))
    row.run(machine, 0)
    expected = set() if row.name.startswith("A12") else {(0, 2, True, True)}
    assert expected <= machine.members(machine("mmu_access", PAGE, 1, 1), PAGE)
    assert (0, 2, True, True) in machine.members(machine("mmu_access", OTHER_PAGE, 1, 1), 1)


def test_without_page_tables_nothing_is_cached(machine: Machine) -> None:
    """A root that nobody knows, and the kernel's, which maps no user page."""
    machine("pte_store", 0, PAGE, pte(2, V))
    for root in (0, KERNEL_ROOT, 0x7000, PROCESS_ROOTS + 2 * 0x1000):
        machine("load_cr3", root)
        assert machine("tlb_cached", 0, PAGE) == 0
        assert machine("mmu_may_fault", PAGE, 0, 0)
