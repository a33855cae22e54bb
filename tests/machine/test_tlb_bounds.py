"""What the TLB can hold, what happens beyond, and that it costs nothing where
a scenario has no pages."""

from __future__ import annotations

import pytest

from machine.tlbmachine import PROCESS_ROOTS, PROGRAMS, Machine, V, lowered, pte
from pmaplab.errors import KernelPythonError, Location, ModelError, UsageError
from pmaplab.ir.layout import Layout
from pmaplab.machine.modes import MODES, Mode, find_mode
from pmaplab.search.bfs import search
from pmaplab.system import Bounds, build_system

OURS = ("paging", "tlb", "mmu")


def place(location: Location | None) -> tuple[str, str]:
    """The file and the source line."""
    assert location is not None
    source = lowered("no_operations.py").sources[location.file]
    return location.file, source.line(location.line)


@pytest.mark.parametrize(
    ("option", "value", "constant"),
    [("page_tables", 17, "FRAMES"), ("tlb_pcids", 65, "LOW_PCIDS")],
)
def test_too_much_for_a_set_is_an_error_at_its_constant(
    option: str, value: int, constant: str
) -> None:
    with pytest.raises(KernelPythonError, match="does not fit") as caught:
        lowered("no_operations.py", {option: value})
    file, line = place(caught.value.location)
    assert file == "pmaplab/machine/tlb.py"
    assert line.startswith(f"{constant}: Final")


@pytest.mark.parametrize(
    ("call", "local"),
    [
        (("pte_store", 0, 0, pte(8, V)), "frame"),
        (("load_cr3", PROCESS_ROOTS | 8), "low"),
        (("load_cr3", PROCESS_ROOTS | 0x800), "high"),
    ],
)
def test_beyond_the_frames_and_the_pcids_there_is_no_verdict(
    call: tuple[str, *tuple[int, ...]], local: str
) -> None:
    machine = Machine({"pti": 0})
    machine("load_cr4", 0x20000)
    machine("load_cr3", PROCESS_ROOTS)
    with pytest.raises(ModelError, match="does not fit") as caught:
        machine(*call)
    file, line = place(caught.value.location)
    assert file == "pmaplab/machine/tlb.py"
    assert line.strip().startswith(f"{local}: Annotated")


def test_a_page_of_the_wrong_table_faults() -> None:
    machine = Machine()
    for table, page in ((0, 2), (2, 0)):
        with pytest.raises(AssertionError, match="outside of an array"):
            machine("pte_store", table, page, 0)


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
def test_without_pages_nothing_of_it_runs(mode: Mode) -> None:
    system = build_system("boot", (), mode, Bounds())
    here = {f"pmaplab/machine/{name}.py" for name in OURS}
    assert not [f.name for f in system.program.functions.values() if f.loc.file in here]
    cells = Layout(system.program).cells
    assert sum(cell.name.startswith(("tlbs", "page_tables")) for cell in cells) == 6


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
def test_the_kernels_roots_are_those_of_the_machine(mode: Mode) -> None:
    system = build_system(str(PROGRAMS / "addresses.py"), (), mode, Bounds(pages=2))
    result = search(system)
    assert result.complete
    assert not result.violations


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
def test_the_reference_boots_with_pages(mode: Mode) -> None:
    """As without: it maps none yet."""
    bounds = Bounds(operations=1)
    without = search(build_system("boot", (), mode, bounds))
    with_pages = search(build_system("boot", (), mode, Bounds(operations=1, pages=1)))
    assert with_pages.complete
    assert set(with_pages.violations) == set(without.violations)


def test_more_pcids_than_the_tlb_has() -> None:
    mode = find_mode("pcid")
    build_system("boot", (), mode, Bounds(pcids=None))
    with pytest.raises(KernelPythonError, match=r"2048 does not fit"):
        build_system("boot", (), mode, Bounds(pcids=None, pages=1))


def test_a_negative_number_of_pages() -> None:
    with pytest.raises(UsageError, match="--pages must be from 0 to 64, not -1"):
        Bounds(pages=-1).check()
