"""What C means: constructs.c asserts it of itself, in every mode."""

from __future__ import annotations

from pathlib import Path

import pytest

from frontends.kernel_c.support import HERE, SCENARIO, TABLE, built, copy_of, searched
from golden import Golden
from pmaplab.ir.printer import print_function
from pmaplab.machine.modes import MODES

CONSTRUCTS = (HERE / "constructs/constructs.c").read_text(encoding="utf-8")
# Functions whose whole lowering is kept: control flow, atomics, objects.
SHOWN = ("order", "loops", "jumps", "atomics", "objects")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_of(tmp_path_factory.mktemp("constructs"), constructs=CONSTRUCTS)


@pytest.mark.parametrize("mode", [mode.name for mode in MODES])
def test_every_assertion_holds(tree: Path, mode: str) -> None:
    result = searched(tree, scenario=str(SCENARIO), mode=mode, tables=(str(TABLE),))
    assert result.complete and not result.unreached
    assert not result.violations


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("small + one == 256", "small + one == 0"),
        ("minus_two + big > 100", "minus_two + big < 100"),
        ("u == 0x10", "u == 0x11"),
        ("touched == 4 && i == 1", "touched == 5 && i == 1"),
        ("loops(9) == 128", "loops(9) == 129"),
        ("jumps(BLUE) == 240", "jumps(BLUE) == 200"),
        ("d.pcid == 0x345", "d.pcid == 0x12345"),
        ("old == 5 && word == 7", "old == 7 && word == 7"),
        ("CPU_EMPTY(&copy)", "!CPU_EMPTY(&copy)"),
        ("pti ? 2 : 3", "pti ? 3 : 2"),
        ("through(step, 10) == 12", "through(step, 10) == 11"),
        ("table[3] == 40", "table[2] == 40"),
        ("sum == 0x5af", "sum == 0x5a"),
    ],
)
def test_an_assertion_can_fail(tmp_path: Path, right: str, wrong: str) -> None:
    assert CONSTRUCTS.count(right) == 1
    tree = copy_of(tmp_path, constructs=CONSTRUCTS.replace(right, wrong))
    result = searched(tree, scenario=str(SCENARIO), tables=(str(TABLE),))
    violation = result.violations["assertions"]
    assert violation.failure is not None
    assert violation.failure.loc.file == "sys/kern/constructs.c"
    assert (
        wrong
        in tree.joinpath(violation.failure.loc.file)
        .read_text()
        .split("\n")[violation.failure.loc.line - 1]
    )


@pytest.mark.parametrize("name", SHOWN)
def test_the_lowered_functions(tree: Path, golden: Golden, name: str) -> None:
    system = built(tree, scenario=str(SCENARIO), mode="pcid", tables=(str(TABLE),))
    text = print_function(system.program.functions[name], locations=True)
    golden.check(f"{text.rstrip()}\n", HERE / f"constructs/{name}.expected")
