"""The small tree of tests/trees, with files of a test's own."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pmaplab.machine.modes import find_mode
from pmaplab.search.bfs import search
from pmaplab.search.result import Result
from pmaplab.spec import RunSpec
from pmaplab.system import Bounds, System
from pmaplab.tree import TreeSpec

pytest.importorskip("clang.cindex", reason="the C front end needs libclang")

TREES = Path(__file__).parents[2] / "trees"
SMALL = TREES / "small"
HERE = Path(__file__).parent
SCENARIO = HERE / "constructs/scenario.py"
TABLE = HERE / "constructs/api.toml"


def copy_of(folder: Path, **files: str) -> Path:
    """A copy of the small tree in ``folder``; ``files`` go to sys/kern."""
    shutil.copytree(SMALL, folder / "tree")
    for name, text in files.items():
        (folder / "tree/sys/kern").mkdir(exist_ok=True)
        (folder / "tree/sys/kern" / f"{name}.c").write_text(text)
    return folder / "tree"


def spec_of(
    tree: Path,
    *,
    scenario: str = "boot",
    mode: str = "nopcid",
    patches: tuple[str, ...] = (),
    tables: tuple[str, ...] = (),
) -> RunSpec:
    """One run on a tree, with one operation a CPU."""
    find_mode(mode)
    return RunSpec(scenario, mode, Bounds(operations=1), tree=TreeSpec(str(tree), patches, tables))


def built(tree: Path, **options: object) -> System:
    return spec_of(tree, **options).build()  # type: ignore[arg-type]


def searched(tree: Path, **options: object) -> Result:
    return search(built(tree, **options))
