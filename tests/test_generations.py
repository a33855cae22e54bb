"""Operations without a bound, and the normal form that makes them finite."""

from __future__ import annotations

from pathlib import Path

import pytest

from pmaplab.cli.main import main
from pmaplab.errors import UsageError
from pmaplab.frontends.kernel_python.source import SourceFile, read_source
from pmaplab.machine.modes import MODES, find_mode
from pmaplab.native.engine import search_natively
from pmaplab.reviews.registry import proposal_files
from pmaplab.search.result import Limits, Result
from pmaplab.system import Bounds, build_system

SCENARIO = '''
"""switch, with a bound."""
from __future__ import annotations
from pmaplab.kernel_python import bring_up_context, must_reach, thread_context
from pmaplab.scenarios.generations import own_generation_first
from pmaplab.scenarios.operations import OPERATIONS, run_operation
from pmaplab.scenarios.power_on import bring_up

@bring_up_context
def cpu_bring_up() -> None:
    bring_up()

@thread_context
def cpu_main() -> None:
    for _ in range(OPERATIONS):
        {normal}
        run_operation()

must_reach("a PCID generation rolled over")
'''


def searched(path: Path, normal: bool, mode: str, changes: tuple[SourceFile, ...]) -> Result:
    text = SCENARIO.replace("{normal}", "own_generation_first()" if normal else "pass")
    path.write_text(text, encoding="utf-8")
    system = build_system(str(path), changes, find_mode(mode), Bounds(operations=2))
    return search_natively(system)


@pytest.mark.parametrize(
    ("mode", "kernel"),
    [
        ("pcid+pti", None),
        ("pcid", "gen_not_stored"),
        pytest.param("pcid+invpcid", None, marks=pytest.mark.slow),
        pytest.param("pcid", None, marks=pytest.mark.slow),
    ],
)
def test_the_normal_form_changes_no_verdict(tmp_path: Path, mode: str, kernel: str | None) -> None:
    changes = proposal_files("repaired")
    if kernel is not None:
        broken = tmp_path / "kernel.py"
        broken.write_text(NOT_STORED, encoding="utf-8")
        changes = (*changes, read_source(broken, "kernel.py"))
    counted = searched(tmp_path / "counted.py", False, mode, changes)
    renamed = searched(tmp_path / "renamed.py", True, mode, changes)
    assert counted.complete and renamed.complete
    assert renamed.verdict() == counted.verdict()
    assert set(renamed.violations) == set(counted.violations)
    assert bool(counted.violations) == (kernel is not None)
    assert renamed.reached == counted.reached and not renamed.unreached
    assert renamed.exemptions_used == counted.exemptions_used


NEXT_GEN = """
from __future__ import annotations
from pmaplab.kernel_python import u32
from pmaplab.kernels.freebsd.amd64.pcpu import PCPU

def pmap_pcid_next_gen(gen: u32) -> u32:
    {body}
    return new_gen
"""
# The CPU goes on with the old generation, so that a PCID is owned twice.
NOT_STORED = NEXT_GEN.replace("{body}", "new_gen = gen")


@pytest.mark.parametrize(
    "body",
    [
        "new_gen = gen + 2\n    PCPU.pcid_gen = new_gen",
        "new_gen = gen + 1\n    PCPU.pcid_gen = new_gen & 3",
        "new_gen = gen + 1\n    if new_gen > 5:\n        new_gen = 1\n    PCPU.pcid_gen = new_gen",
        "new_gen = gen + 1\n    PCPU.pcid_next = new_gen",
        "new_gen: u32 = 3\n    PCPU.pcid_gen = new_gen",
    ],
)
def test_a_kernel_that_computes_with_generations(tmp_path: Path, body: str) -> None:
    path = tmp_path / "kernel.py"
    path.write_text(NEXT_GEN.replace("{body}", body), encoding="utf-8")
    changes = (*proposal_files("repaired"), read_source(path, "kernel.py"))
    bounds = Bounds(operations=None)
    with pytest.raises(UsageError, match="more than compare its own generations"):
        build_system("switch", changes, find_mode("pcid"), bounds)


def test_a_cpu_that_reads_the_generation_of_another(tmp_path: Path) -> None:
    path = tmp_path / "kernel.py"
    text = NEXT_GEN.replace("PCPU\n", "PCPU, __pcpu\n").replace(
        "{body}", "new_gen = __pcpu[0].pcid_gen + 1\n    PCPU.pcid_gen = new_gen"
    )
    path.write_text(text, encoding="utf-8")
    changes = (*proposal_files("repaired"), read_source(path, "kernel.py"))
    system = build_system("switch", changes, find_mode("pcid"), Bounds(operations=None))
    with pytest.raises(UsageError, match=r"CPU 1 reads __pcpu\[0\].pcid_gen"):
        search_natively(system, limits=Limits(states=1))


@pytest.mark.parametrize("scenario", ["shootdown", "activate"])
def test_a_scenario_that_needs_a_bound(scenario: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--scenario", scenario, "--operations", "unbounded"]) == 2
    assert f"the scenario {scenario} has no unbounded operations" in capsys.readouterr().err


def test_power_on_sets_generations_by_number() -> None:
    with pytest.raises(UsageError, match="pmap_bootstrap at"):
        build_system("boot", (), find_mode("pcid"), Bounds(operations=None))


def test_unbounded_operations_of_one_process(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["--scenario", "switch", "--proposal", "repaired", "--mode", "nopcid"]
    assert main(["check", *asked, "--processes", "1", "--operations", "unbounded"]) == 0
    found = capsys.readouterr().out
    assert "unbounded operations per CPU" in found
    assert "any number of operations per CPU" in found
    assert "nopcid  holds" in found


@pytest.mark.slow
def test_unbounded_operations_agree_with_the_number_that_is_enough() -> None:
    system = build_system("switch", proposal_files("repaired"), MODES[0], Bounds(operations=None))
    result = search_natively(system)
    assert result.verdict() == "holds"


def test_a_counterexample_of_an_unbounded_search_is_replayed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(tmp_path / "traces.json")
    asked = ["--scenario", "switch", "--mode", "nopcid", "--processes", "1"]
    assert main(["check", *asked, "--operations", "unbounded", "-o", path]) == 1
    assert main(["trace", path]) == 0
    assert "pm_active fails on CPU" in capsys.readouterr().out
