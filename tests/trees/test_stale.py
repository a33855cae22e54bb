"""Stale translations on the small tree: none as it is, some with each of stale/.

Every file of stale/ says in its first line where `no stale use` fails.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from frontends.kernel_c.support import SMALL, TREES
from pmaplab.native.choose import DEFAULT_ENGINE, search_with
from pmaplab.search.result import Result
from pmaplab.spec import RunSpec
from pmaplab.system import default_bounds
from pmaplab.tree import TreeSpec

TWINS = sorted((TREES / "stale").glob("*.diff"))
HEADER = re.compile(r"violated: (?P<scenario>\w+), (?P<mode>[\w+]+), (?P<memory>sc|tso)\n")


def searched(scenario: str, mode: str, memory: str = "sc", *patches: str) -> Result:
    bounds = default_bounds(scenario)
    bounds = replace(bounds, store_buffer=1 if memory == "tso" else None)
    tree = TreeSpec(str(SMALL), patches)
    system = RunSpec(scenario, mode, bounds, tree=tree).build()
    return search_with(DEFAULT_ENGINE, system, stop_at_first=True)


@pytest.mark.parametrize(("mode", "states"), [("pcid+invpcid", 405_938)])
def test_nothing_stale_is_used(mode: str, states: int) -> None:
    result = searched("activate", mode)
    assert result.verdict() == "holds"
    assert result.states == states


@pytest.mark.slow
@pytest.mark.parametrize("scenario", ["activate", "shootdown"])
@pytest.mark.parametrize("mode", ["pcid+pti", "pcid+invpcid+pti"])
def test_nothing_stale_is_used_under_pti(scenario: str, mode: str) -> None:
    assert searched(scenario, mode).verdict() == "holds"


def said(path: Path) -> re.Match[str]:
    found = HEADER.match(path.read_text(encoding="utf-8"))
    assert found is not None, f"{path.name} does not say where it fails"
    return found


def short(path: Path) -> bool:
    return (said(path)["scenario"], said(path)["memory"]) == ("activate", "sc")


@pytest.mark.parametrize(
    "path", [path for path in TWINS if short(path)], ids=lambda path: path.stem
)
def test_a_stale_use_is_found(path: Path) -> None:
    found = said(path)
    result = searched(found["scenario"], found["mode"], found["memory"], str(path))
    assert list(result.violations) == ["no stale use"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "path", [path for path in TWINS if not short(path)], ids=lambda path: path.stem
)
def test_a_stale_use_in_a_longer_search_is_found(path: Path) -> None:
    test_a_stale_use_is_found(path)
