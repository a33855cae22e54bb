"""Systems: bounds, names, and the numbers of the reference kernel."""

from __future__ import annotations

from pathlib import Path

import pytest

from golden import Golden
from pmaplab.errors import InputError, KernelPythonError, UsageError
from pmaplab.frontends.kernel_python.source import parse_source
from pmaplab.machine.modes import MODES
from pmaplab.search.bfs import search
from pmaplab.system import Bounds, build_system, load_scenario, options, scenario_names

NOPCID = MODES[0]


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        (Bounds(maxcpu=0), "MAXCPU must be from 1 to 4096, not 0"),
        (Bounds(maxcpu=4097), "MAXCPU must be from 1 to 4096, not 4097"),
        (Bounds(cpus=0), "a machine with 0 CPUs cannot boot"),
        (Bounds(cpus=-1), "a machine with -1 CPUs cannot boot"),
        (Bounds(cpus=3), "3 CPUs are more than MAXCPU, which is 2"),
        (Bounds(processes=0), "--processes must be from 1 to 1024, not 0"),
        (Bounds(processes=1025), "--processes must be from 1 to 1024, not 1025"),
        (Bounds(operations=0), "--operations must be from 1 to 1000000, not 0"),
        (Bounds(pcids=0), "--pcids must be from 1 to 2046, not 0"),
        (Bounds(pcids=2047), "--pcids must be from 1 to 2046, not 2047"),
    ],
)
def test_bounds_that_make_no_machine(bounds: Bounds, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        build_system("switch", (), NOPCID, bounds)
    assert caught.value.message == message


@pytest.mark.parametrize(
    "bounds",
    [
        Bounds(),
        Bounds(cpus=1, maxcpu=1),
        Bounds(maxcpu=4096),
        Bounds(pcids=2046),
        Bounds(pcids=None),
    ],
)
def test_bounds_that_are_allowed(bounds: Bounds) -> None:
    bounds.check()


def test_as_many_pcids_as_the_processor_has() -> None:
    found = options(MODES[1], Bounds(pcids=None))
    assert found["PMAP_PCID_OVERMAX"] == 0x1000
    assert found["PMAP_PCID_OVERMAX_KERN"] == 0x800
    found = options(MODES[1], Bounds(pcids=3))
    assert found["PMAP_PCID_OVERMAX"] == found["PMAP_PCID_OVERMAX_KERN"] == 4


def test_an_unknown_scenario() -> None:
    with pytest.raises(UsageError) as caught:
        load_scenario("swich")
    assert str(caught.value) == "there is no scenario 'swich'\n    advice: did you mean switch?"
    with pytest.raises(UsageError, match=r"the scenarios are .*boot.*, or a FILE\.py"):
        load_scenario("zzz")


def test_scenarios_are_those_that_cpus_run() -> None:
    names = scenario_names()
    assert {"boot", "switch"} <= set(names)
    assert "operations" not in names and "power_on" not in names


def test_a_scenario_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    with pytest.raises(InputError, match="no such file"):
        load_scenario(str(path))
    path.write_text(
        "from pmaplab.kernel_python import sometimes, thread_context\n\n\n"
        '@thread_context\ndef cpu_main() -> None:\n    sometimes("it ran")\n'
    )
    system = build_system(str(path), (), NOPCID, Bounds())
    result = search(system)
    assert result.verdict() == "holds"
    assert result.reached == {"it ran"}
    assert system.line(str(path), 6) == 'sometimes("it ran")'
    assert system.line("elsewhere.py", 1) == ""


def test_a_mistake_that_only_the_verifier_finds_shows_its_line() -> None:
    text = "def pmap_release(pm: pmap) -> None:\n    x: u32 = 1\n    x = " + "x + " * 120 + "x\n"
    with pytest.raises(KernelPythonError, match="nested deeper than 100 levels") as caught:
        build_system("switch", (parse_source(text, "deep.py"),), NOPCID, Bounds())
    assert caught.value.source is not None and caught.value.source.startswith("    x = x + x")


def test_a_region_that_is_not_declared() -> None:
    text = '@invariant("curpmap")\ndef mine(cpu: u32) -> None:\n    MPASS(within(cpu, "nowhere"))\n'
    with pytest.raises(KernelPythonError, match="unknown region 'nowhere'") as caught:
        build_system("switch", (parse_source(text, "mine.py"),), NOPCID, Bounds())
    assert caught.value.location is not None and caught.value.location.line == 3


def test_every_exemption_has_a_reason_and_a_region() -> None:
    system = build_system("switch", (), NOPCID, Bounds())
    assert system.exemptions
    for region, exemption in system.exemptions.items():
        assert region in system.program.regions
        assert exemption.reason
    assert "pti" in system.options_used


def numbers(scenario: str) -> str:
    lines = []
    for mode in MODES:
        result = search(build_system(scenario, (), mode, Bounds(operations=1)))
        found = ", ".join(f"{name} in {v.steps}" for name, v in sorted(result.violations.items()))
        lines.append(
            f"{mode.name}: {result.states} states, {result.transitions} transitions, "
            f"depth {result.depth} behind {len(result.bring_up)}; {found or 'holds'}"
        )
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("scenario", ["boot", "switch"])
def test_the_numbers_of_the_reference_kernel(scenario: str, golden: Golden) -> None:
    """Two CPUs, two processes, one operation a CPU."""
    golden.check(numbers(scenario), Path(__file__).with_name(f"test_system_{scenario}.expected"))
