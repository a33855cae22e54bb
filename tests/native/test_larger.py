"""The native engine against the interpreter where tables grow and lanes move: on systems
with more states, and with tables that are small at first."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from native.compare import same, summary
from native.larger_systems import larger_system
from pmaplab.errors import ModelError
from pmaplab.native import build
from pmaplab.native.asking import NotNative
from pmaplab.native.engine import search_natively
from pmaplab.search.reductions import PARTIAL_ORDER, Reductions
from pmaplab.search.result import Limits, Result
from search.test_reduced import known

PARTIAL = Reductions(frozenset({PARTIAL_ORDER}))

# In the runtime, so that what is rare in small searches is not: pauses within a level,
# lanes that are chosen anew, sets of units that are too many, tables that are full.
SMALL = {
    "search.h": {
        "MOST_UNITS": 5,
        "MOST_CONCERNS": 16,
        "FIRST_STORE_BITS": 4,
        "FIRST_SLOT_BITS": 6,
        "ALONE": 4,
        "MOST_ASKED": 7,
        "BATCH": 5,
        "RECENT_BITS": 4,
    },
    "history.h": {"CHUNK": 1024},
    "lanes.h": {"MOST_THREADS": 4},
    "search.c": {"BLOCK": 5, "AHEAD_STATES": 3, "FIRST_LAYOUT": 64},
    "batch.c": {"OUT": 6},
    "store.h": {"LOW_BITS": 12},
    "store.c": {"LAST_STAGE": 4, "COUNTED": 3, "AHEAD_HOMES": 3},
    "keys.c": {"AHEAD_KEYS": 3, "MANY_BUCKETS": 16, "LEAST_NUMBER": 1, "NUMBERS_TO_SPARE": 1},
    "memo.c": {"FEWEST": 2},
    "kept.c": {"FEWEST_STEPS": 2},
    "history.c": {"KEPT_CHUNKS": 2},
    "layout.c": {"FEWEST_STATES": 20, "SAMPLE_BITS": 6},
    "repack.c": {"AHEAD": 3, "MANY_STATES": 500},
    "fields.c": {"SPARE": 1},
    "progress.c": {"AHEAD_MARKS": 3, "AHEAD_STEPS": 3, "PART": 7},
    "invariants.c": {"HALF_BITS": 12},
}


@pytest.fixture
def small_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A runtime whose tables are small."""
    folder = tmp_path / "runtime"
    shutil.copytree(build.RUNTIME, folder)
    for name, values in SMALL.items():
        text = (folder / name).read_text(encoding="utf-8")
        for constant, value in values.items():
            text, count = re.subn(
                rf"\b{constant} = [^,}}/\n]*", f"{constant} = {value} ", text, count=1
            )
            assert count == 1, constant
        (folder / name).write_text(text, encoding="utf-8")
    monkeypatch.setattr(build, "RUNTIME", folder)


def meaning(result: Result) -> dict[str, Any]:
    """What must not depend on reductions."""
    kept = ("verdict", "violations", "exemptions", "reached", "unreached")
    return {name: value for name, value in summary(result).items() if name in kept}


def of_a_seed(seed: int) -> None:
    made = larger_system(seed)
    for threads in (1, 3):
        found = same(made, threads=threads)
    assert found is not None
    for names in {frozenset[str](), frozenset(found.exemptions_used)}:
        with known(set(names)):
            less = search_natively(made, reductions=PARTIAL, threads=2, once=True)
        assert meaning(less) == meaning(found)


@pytest.mark.parametrize("seed", [13, 24, 44])
def test_a_system(seed: int) -> None:
    of_a_seed(seed)


@pytest.mark.parametrize("seed", [1, 11, 23, 29])
@pytest.mark.usefixtures("small_tables")
def test_a_system_in_small_tables(seed: int) -> None:
    of_a_seed(seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(60, 300))
def test_more_systems(seed: int) -> None:
    of_some_size(seed, range(1_000, 150_000))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(60, 300))
@pytest.mark.usefixtures("small_tables")
def test_more_systems_in_small_tables(seed: int) -> None:
    of_some_size(seed, range(100, 10_000))


def of_some_size(seed: int, states: range) -> None:
    limits = Limits(states=states.stop)
    try:
        found = search_natively(larger_system(seed), limits=limits, once=True)
    except (ModelError, NotNative):
        pytest.skip("it has no verdict, or is not searched natively")
    if found.complete and found.states in states:
        of_a_seed(seed)
