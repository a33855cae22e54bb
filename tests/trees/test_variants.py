"""The small tree in the manner of later releases: one vector for all invalidations, a
scoreboard instead of a lock, callbacks on the own CPU.

Every other file of variants/ breaks it, and says in its first line where.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from frontends.kernel_c.support import SMALL, TREES
from pmaplab.native.choose import DEFAULT_ENGINE, search_with
from pmaplab.search.result import Limits, Result
from pmaplab.spec import RunSpec
from pmaplab.system import default_bounds
from pmaplab.tree import TreeSpec

ONE_VECTOR = TREES / "variants/one_vector.diff"
TWINS = sorted(path for path in ONE_VECTOR.parent.glob("*.diff") if path != ONE_VECTOR)


def searched(
    scenario: str, *patches: Path, limits: Limits | None = None, stop: bool = False
) -> Result:
    tree = TreeSpec(str(SMALL), tuple(map(str, patches)))
    system = RunSpec(scenario, "nopcid", default_bounds(scenario), tree=tree).build()
    return search_with(DEFAULT_ENGINE, system, limits=limits, stop_at_first=stop)


def test_one_vector_holds() -> None:
    result = searched("activate", ONE_VECTOR)
    assert result.verdict() == "holds"
    assert result.states == 207_737


@pytest.mark.parametrize("patches", [(), (ONE_VECTOR,)], ids=["small", "one_vector"])
def test_shootdowns_are_reached(patches: tuple[Path, ...]) -> None:
    """All that the scenario must reach, early in the search."""
    result = searched("shootdown", *patches, limits=Limits(states=250_000))
    assert result.unreached == ()
    assert {"a shootdown is acknowledged", "an IPI is delivered"} <= result.reached


@pytest.mark.parametrize("twin", TWINS, ids=lambda path: path.stem)
def test_a_mistake_is_found(twin: Path) -> None:
    result = searched("activate", ONE_VECTOR, twin, stop=True)
    assert list(result.violations) == ["no stale use"]
