"""Verdicts say what they rest on, and no more."""

from __future__ import annotations

from pathlib import Path

import pytest

from pmaplab.errors import UsageError
from pmaplab.report.verdict import Subject, Verdict, assumptions, check, exit_status
from pmaplab.search.result import Limits
from pmaplab.spec import RunSpec
from pmaplab.system import Bounds

SMALL = Bounds(operations=1)
HOLDS = """\
from __future__ import annotations

from pmaplab.kernel_python import must_reach, sometimes, this_cpu, thread_context, u32

hits: u32 = 0


@thread_context
def cpu_main() -> None:
    global hits
    if this_cpu() == 0:
        hits = 1
        sometimes("counted")


must_reach("counted")
"""


def own(tmp_path: Path, text: str, mode: str = "nopcid") -> RunSpec:
    path = tmp_path / "own.py"
    path.write_text(text)
    return RunSpec(scenario=str(path), mode=mode, bounds=SMALL)


@pytest.fixture(scope="module")
def switch() -> Verdict:
    return check(RunSpec(scenario="switch", bounds=SMALL))


def about(spec: RunSpec) -> str:
    return "\n".join(assumptions(spec, spec.build()))


def test_a_violation(switch: Verdict) -> None:
    assert switch.verdict == "violated"
    assert switch.trace is not None
    verdicts = {judged.name: judged.verdict for judged in switch.properties}
    assert verdicts["curpmap"] == "violated"
    assert "progress" in verdicts
    assert len(switch.trace.steps) == min(
        len(judged.trace.steps) for judged in switch.properties if judged.trace
    )


def test_exemptions_that_were_used_have_their_reason(switch: Verdict) -> None:
    used = {exemption.function: exemption.reason for exemption in switch.exemptions}
    assert "released" in used["pmap_pinit0"]
    assert "vmspace_dofree" not in used


def test_assumptions_that_apply(tmp_path: Path) -> None:
    text = about(RunSpec(scenario="switch", mode="pcid", bounds=Bounds(pcids=1, operations=3)))
    assert "memory model sc" in text
    assert "TLB and IPIs" in text
    assert "MAXCPU is 2" in text
    assert "at most 1 PCID per CPU" in text
    assert "at most 3 operations per CPU" in text
    assert "one run queue" in text
    assert "page-table pages stay with their vmspace" in text
    assert "statistics counters" in text
    assert "bring-up runs on one schedule" in text
    assert "user's own" not in text
    own_text = about(own(tmp_path, HOLDS))
    for missing in (
        "run queue",
        "page-table pages",
        "operations",
        "PCID",
        "statistics",
        "bring-up",
    ):
        assert missing not in own_text
    assert f"the scenario file {tmp_path / 'own.py'} is the user's own" in own_text


def test_without_pcids_none_are_counted() -> None:
    assert "PCID" not in about(RunSpec(scenario="boot", bounds=SMALL))


def test_real_pcids_are_no_assumption() -> None:
    spec = RunSpec(scenario="boot", mode="pcid", bounds=Bounds(pcids=None))
    assert "at most" not in about(spec).replace("at most 2 operations", "")


def test_a_file_of_the_users_is_named(tmp_path: Path) -> None:
    kernel, exemptions = tmp_path / "k.py", tmp_path / "e.toml"
    kernel.write_text("from __future__ import annotations\n")
    exemptions.write_text("")
    text = about(RunSpec(bounds=SMALL, kernel=str(kernel), exemptions=str(exemptions)))
    assert f"the kernel file {kernel} is the user's own" in text
    assert f"the exemptions file {exemptions} is the user's own" in text


def test_what_holds_and_what_is_vacuous(tmp_path: Path) -> None:
    holds = check(own(tmp_path, HOLDS))
    assert (holds.verdict, holds.unreached, holds.trace) == ("holds", (), None)
    assert exit_status([holds]) == 0
    vacuous = check(own(tmp_path, HOLDS + 'must_reach("the moon")\n'))
    assert (vacuous.verdict, vacuous.unreached) == ("vacuous", ("the moon",))
    assert exit_status([holds, vacuous]) == 3


def test_a_limit_makes_it_incomplete(switch: Verdict) -> None:
    spec = RunSpec(scenario="switch", mode="pcid", proposal="committed", bounds=SMALL)
    limited = check(spec, limits=Limits(states=10))
    assert limited.verdict in ("incomplete", "violated")
    assert limited.stopped == "the limit of 10 states is reached"
    assert exit_status([limited, switch]) == 1


def test_one_property_alone() -> None:
    spec = RunSpec(scenario="switch", bounds=SMALL)
    progress = check(spec, name="assertions")
    assert [judged.name for judged in progress.properties] == ["assertions"]
    assert progress.verdict != "violated"
    assert progress.trace is None
    with pytest.raises(UsageError, match="curpmapp") as error:
        check(spec, name="curpmapp")
    assert error.value.advice == "did you mean curpmap?"


def test_a_property_that_does_not_exist_is_told_before_the_search(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def search(*_: object) -> None:
        raise AssertionError("it searches")

    monkeypatch.setattr(Subject, "search", search)
    with pytest.raises(UsageError, match="there is no property 'curmap'"):
        check(RunSpec("boot", "nopcid"), name="curmap")
