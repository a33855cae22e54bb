"""Values as a kernel developer writes them."""

from __future__ import annotations

import pytest

from pmaplab.ir.layout import Cell, Layout
from pmaplab.spec import RunSpec
from pmaplab.system import Bounds
from pmaplab.trace.values import ALL_ONES, CR3_PCID_SAVE, Values, cpu_set, field_of

BOUNDS = Bounds(cpus=2, maxcpu=2, operations=1)


@pytest.fixture(scope="module")
def values() -> Values:
    return Values(Layout(RunSpec(mode="pcid", bounds=BOUNDS).build().program), pcid=True)


def cell(values: Values, name: str) -> Cell:
    return next(cell for cell in values.layout.cells if cell.name == name)


@pytest.mark.parametrize(
    ("word", "first", "text"),
    [
        (0, 0, "{}"),
        (0b1, 0, "{0}"),
        (0b11, 0, "{0, 1}"),
        (0b111, 0, "{0-2}"),
        (0b1011101, 0, "{0, 2-4, 6}"),
        (2**64 - 1, 64, "{64-127}"),
    ],
)
def test_sets_of_cpus(word: int, first: int, text: str) -> None:
    assert cpu_set(word, first) == text


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("aps_ready", "aps_ready"),
        ("cpus[1].cr3", "cr3"),
        ("vmspace_zone[0].vm_pmap.pm_pcids[1].pm_gen", "pm_gen"),
        ("kernel_pmap.pm_active.__bits[0]", "__bits"),
    ],
)
def test_fields(name: str, field: str) -> None:
    assert field_of(name) == field


@pytest.mark.parametrize(
    ("name", "target", "text"),
    [
        ("__pcpu[0].curthread", "thread0", "thread0"),
        ("__pcpu[0].curthread", "threads[1]", "threads[1]"),
        ("__pcpu[0].curpmap", "kernel_pmap", "kernel_pmap"),
        ("proc0.p_vmspace", "vmspace0", "vmspace0"),
    ],
)
def test_pointers_are_objects(values: Values, name: str, target: str, text: str) -> None:
    # An object begins with its first scalar.
    first = next(cell for cell in values.layout.cells if cell.name.startswith(target))
    assert values.value(cell(values, name), first.index) == text


def test_a_pointer_has_the_name_of_its_type(values: Values) -> None:
    """A pmap lies at the place of a field of its vmspace."""
    place = cell(values, "vmspace0.vm_pmap.pm_mtx.mtx_lock").index
    assert values.value(cell(values, "__pcpu[1].curpmap"), place) == "vmspace0.vm_pmap"
    assert values.value(cell(values, "__pcpu[1].curpmap"), 0) == "NULL"


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("cpus[0].cr3", 0, "0"),
        ("cpus[0].cr3", 0x1000, "KPML4phys, PCID 0"),
        ("cpus[0].cr3", 0x1002, "KPML4phys, PCID 2"),
        ("__pcpu[0].kcr3", 0x1002 | CR3_PCID_SAVE, "KPML4phys, PCID 2, keep"),
        ("__pcpu[0].ucr3", ALL_ONES, "PMAP_NO_CR3"),
        ("__pcpu[0].ucr3", 0x200801, "vmspace_zone[0].vm_pmap.pm_pml4u, PCID 0x801"),
        ("cpus[0].cr3", 0x7777000, "0x7777000, PCID 0"),
        ("kernel_pmap.pm_cr3", 0x1000, "KPML4phys"),
        ("vmspace0.vm_pmap.pm_cr3", 0x101000, "vmspace_zone[1].vm_pmap.pm_pml4"),
        ("cpus[0].cr4", 0x20080, "CR4_PGE|CR4_PCIDE"),
        ("cpus[0].cr4", 0x81, "CR4_PGE|0x1"),
        ("cpus[0].rflags_if", 1, "true"),
        ("threads[0].td_state", 3, "TDS_RUNQ"),
        ("kernel_pmap.pm_pcids[0].pm_pcid", 0xFFFFFFFF, "PMAP_PCID_NONE"),
        ("kernel_pmap.pm_pcids[0].pm_pcid", 5, "5"),
        ("kernel_pmap.pm_active.__bits[0]", 3, "{0, 1}"),
        ("__pcpu[0].rsp0", 0xFFFFFE0000000000, "0xfffffe0000000000"),
    ],
)
def test_integers(values: Values, name: str, value: int, text: str) -> None:
    assert values.value(cell(values, name), value) == text


def test_without_pcids_a_root_stands_alone() -> None:
    values = Values(Layout(RunSpec(bounds=BOUNDS).build().program), pcid=False)
    assert values.value(cell(values, "cpus[0].cr3"), 0x1000) == "KPML4phys"


def test_a_set_of_one_word_goes_by_its_name(values: Values) -> None:
    assert values.name(cell(values, "kernel_pmap.pm_active.__bits[0]")) == "kernel_pmap.pm_active"


def test_a_set_of_several_words_shows_which() -> None:
    bounds = Bounds(cpus=2, maxcpu=100, operations=1)
    values = Values(Layout(RunSpec(bounds=bounds).build().program), pcid=False)
    word = cell(values, "kernel_pmap.pm_active.__bits[1]")
    assert values.name(word) == "kernel_pmap.pm_active.__bits[1]"
    assert values.value(word, 0b11) == "{64, 65}"


def test_ghosts_are_not_shown(values: Values) -> None:
    assert not values.shown(cell(values, "cpus[0].cr3_loaded"))
    assert values.shown(cell(values, "cpus[0].cr3"))
