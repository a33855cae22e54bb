"""The twins as data: nothing is misspelt, nothing is left out."""

from __future__ import annotations

from pathlib import Path

import pytest

from pmaplab.errors import UsageError
from pmaplab.machine.modes import SC, TSO
from pmaplab.search.result import ASSERTIONS, PROGRESS
from pmaplab.twins.data import ALL, MEMORIES, SEARCHES, TWINS, Twin, Violated
from pmaplab.twins.measure import KERNELS, find_twins

DOCS = Path(__file__).parents[2] / "docs" / "twins.md"
PROPERTIES = {"curpmap", "pm_active", "PCID", "no stale use", ASSERTIONS, PROGRESS}


def test_every_file_is_the_change_of_one_twin() -> None:
    assert sorted(twin.file for twin in TWINS) == sorted(path.name for path in KERNELS.glob("*.py"))


@pytest.mark.parametrize("twin", TWINS, ids=lambda twin: twin.id)
def test_what_is_expected_exists(twin: Twin) -> None:
    assert twin.scenario in SEARCHES
    for each in twin.violated:
        assert each.property in PROPERTIES
        assert each.modes and set(each.modes) <= set(ALL)
        assert each.memory and set(each.memory) <= set(MEMORIES)


@pytest.mark.parametrize("twin", TWINS, ids=lambda twin: twin.id)
def test_a_twin_is_explained(twin: Twin) -> None:
    assert f"`{twin.id}`" in DOCS.read_text(encoding="utf-8")


def test_one_cell_has_one_expectation() -> None:
    for twin in TWINS:
        cells = [(mode, memory) for v in twin.violated for mode in v.modes for memory in v.memory]
        assert len(cells) == len(set(cells)), twin.id


def test_expected() -> None:
    twin = Twin("x", "", "activate", (Violated("PCID", ("pcid",), (TSO,)),))
    assert twin.expected("pcid", TSO) == "PCID"
    assert twin.expected("pcid", SC) is None
    assert twin.expected("nopcid", TSO) is None


def test_find_twins() -> None:
    assert find_twins([], TWINS) == TWINS
    found = find_twins(["pcid-gen-kept", "curpmap-stored-late"], TWINS)
    assert [twin.id for twin in found] == ["curpmap-stored-late", "pcid-gen-kept"]
    with pytest.raises(UsageError, match="there is no twin 'pcid-gen-keep'") as error:
        find_twins(["pcid-gen-keep"], TWINS)
    assert error.value.advice == "did you mean pcid-gen-kept?"
