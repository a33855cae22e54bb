"""``pmaplab check``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cli.command import fails, run
from pmaplab.tree import SCENARIOS

# Two CPUs that race for a counter.
RACE = """\
from __future__ import annotations

from pmaplab.kernel_python import KASSERT, must_reach, sometimes, thread_context, u32

hits: u32 = 0


@thread_context
def cpu_main() -> None:
    global hits
    n = hits
    hits = n + 1
    sometimes("counted")


must_reach("counted")
"""

SMALL = ("--operations", "1")


def results(*arguments: str | Path, status: int) -> list[dict[str, Any]]:
    result = run("check", *arguments, "--format", "json")
    assert result.returncode == status, result.stderr
    assert result.stderr == ""
    found: list[dict[str, Any]] = json.loads(result.stdout)["results"]
    return found


@pytest.fixture
def race(tmp_path: Path) -> Path:
    path = tmp_path / "race.py"
    path.write_text(RACE)
    return path


def test_all_scenarios_and_memory_models(race: Path) -> None:
    some = ("--mode", "nopcid", "--engine", "python", "--max-states", "100")
    every = ("--scenario", "all", "--memory", "all", "--store-buffer", "1")
    found = results(*every, *SMALL, *some, status=1)
    systems = [(each["scenario"], each["bounds"]["store_buffer"]) for each in found]
    assert systems == [(scenario, bound) for scenario in SCENARIOS for bound in (None, 1)]
    text = run("check", "--scenario", race, "--memory", "all", *some).stdout
    heads = [line for line in text.splitlines() if ", scenario " in line]
    assert len(heads) == 2 and heads[1].endswith("store buffers of 2")


TEARDOWN = Path(__file__).parents[1] / "memory" / "teardown.py"


def test_accepted_findings(tmp_path: Path) -> None:
    known = tmp_path / "known.toml"
    entry = (
        '[[accepted]]\nproperty = "curpmap"\nscenarios = ["boot"]\nmodes = ["pcid"]\n'
        'memory = "sc"\nfunction = "{}"\nreason = "vmspace0 has no PCID"\n'
    )
    places = ("pmap_activate_boot", "init_secondary_tail", "sw1")
    arguments = ("check", "--proposal", "committed", "--mode", "pcid", "--operations", "1")
    known.write_text("".join(map(entry.format, places)))
    result = run(*arguments, "--engine", "python", "--accepted", known)
    assert result.returncode == 0, result.stderr
    assert f"accepted: curpmap: vmspace0 has no PCID [{known}:1]" in result.stdout
    assert "counterexample to" not in result.stdout
    known.write_text(entry.format("pmap_activate"))
    result = run(*arguments, "--engine", "python", "--accepted", known)
    assert result.returncode == 1
    assert f"{known}:1: stale: curpmap" in result.stdout
    known.write_text(entry.format("sw1").replace("modes", "mode"))
    fails(run(*arguments, "--accepted", known), f"{known}:4:1: there is no key 'mode'", "    ^~~~")


def test_memory_model(tmp_path: Path) -> None:
    """A fence is missing: under tso both flags may be found clear."""
    arguments = ("--scenario", TEARDOWN, "--mode", "nopcid")
    (sc,) = results(*arguments, "--memory", "sc", status=0)
    assert (sc["verdict"], sc["bounds"]["store_buffer"]) == ("holds", None)
    assert "memory model sc: every store is seen by all CPUs at once" in sc["assumptions"]
    file = tmp_path / "t.json"
    (tso,) = results(*arguments, "--memory", "tso", "-o", file, status=1)
    assert (tso["verdict"], tso["bounds"]["store_buffer"]) == ("violated", 2)
    assert "memory model tso, store buffers of at most 2 entries" in tso["assumptions"]
    assert {step["context"] for step in tso["trace"]} == {"thread", "store buffer"}
    (one,) = results(*arguments, "--memory", "tso", "--store-buffer", "1", status=1)
    assert "memory model tso, store buffers of at most 1 entry" in one["assumptions"]
    replayed = run("trace", file)
    assert replayed.returncode == 0, replayed.stderr
    assert "CPU 1, store buffer" in replayed.stdout
    shown = run("check", *arguments, "--memory", "tso").stdout
    assert "store buffers of 2" in shown.splitlines()[0]


def test_states_are_counted(race: Path) -> None:
    """Each CPU stands before its load, before its store or at its end: 9 ways.
    Where one is at its end, the other may have read 0 or 1, and where both
    are, the counter is 1 or 2: 3 more."""
    (result,) = results("--scenario", race, "--mode", "nopcid", status=0)
    assert result["verdict"] == "holds"
    assert (result["states"], result["transitions"], result["depth"]) == (12, 14, 4)
    assert result["scenario"] == str(race)
    assert result["trace"] == []
    assert f"the scenario file {race} is the user's own" in result["assumptions"]


def test_all_modes_side_by_side(race: Path) -> None:
    found = results("--scenario", race, status=0)
    assert [result["mode"] for result in found] == [
        "nopcid",
        "pcid",
        "pcid+invpcid",
        "nopcid+pti",
        "pcid+pti",
        "pcid+invpcid+pti",
    ]
    assert {result["states"] for result in found} == {12}


def test_the_code_before_the_review() -> None:
    found = results("--scenario", "switch", "--proposal", "before", *SMALL, status=1)
    by_mode = {result["mode"]: result for result in found}
    assert by_mode["nopcid"]["property"] in ("curpmap", "pm_active")
    assert by_mode["pcid"]["property"] == "pm_active"
    assert {result["proposal"] for result in found} == {"before"}
    # Without a proposal it is the same kernel.
    (plain,) = results("--scenario", "switch", "--mode", "nopcid", *SMALL, status=1)
    assert plain["trace"] == by_mode["nopcid"]["trace"]
    assert plain["states"] == by_mode["nopcid"]["states"]


def test_text_shows_verdicts_and_the_shortest_counterexample() -> None:
    result = run("check", "--scenario", "switch", *SMALL)
    assert result.returncode == 1
    assert "nopcid+pti        violated" in result.stdout
    assert "assumed: memory model sc" in result.stdout
    assert result.stdout.count("counterexample to") == 1
    assert "CPU_CLR_ATOMIC(cpuid, oldpmap.pm_active)" in result.stdout
    assert "\x1b" not in result.stdout
    assert result.stderr == ""


def test_incomplete_and_vacuous(race: Path) -> None:
    (limited,) = results("--scenario", race, "--mode", "nopcid", "--max-states", "2", status=3)
    assert limited["verdict"] == "incomplete"
    assert limited["stopped"] == "the limit of 2 states is reached"
    race.write_text(RACE + 'must_reach("the moon")\n')
    (vacuous,) = results("--scenario", race, "--mode", "nopcid", status=3)
    assert vacuous["verdict"] == "vacuous"
    assert vacuous["unreached"] == ["the moon"]


def test_a_time_limit() -> None:
    arguments = ("--scenario", "boot", "--mode", "pcid", "--proposal", "committed")
    # Natively a counterexample is found before that.
    limit = ("--engine", "python", "--time-limit", "0.0001")
    (limited,) = results(*arguments, *limit, status=3)
    assert limited["stopped"] == "the limit of 0.0001 seconds is reached"


def test_the_engines_say_the_same() -> None:
    arguments = ("--scenario", "switch", "--mode", "pcid", *SMALL, "--engine")
    (native,) = results(*arguments, "native", status=1)
    (python,) = results(*arguments, "python", status=1)
    assert (native["engine"], python["engine"]) == ("native", "python")
    assert (python["build_seconds"], native["note"], python["note"]) == (0, None, None)
    for key in ("verdict", "states", "transitions", "depth", "prefix", "properties", "unreached"):
        assert native[key] == python[key]


def test_engine_options() -> None:
    arguments = ("--scenario", "switch", "--mode", "pcid", *SMALL)
    fails(
        run("check", *arguments, "--engine", "python", "--fingerprints"),
        "the interpreter keeps whole states",
    )
    fails(run("check", *arguments, "--memory-limit", "1.5G"), "'1.5' is not a whole number")
    (result,) = results(*arguments, "--fingerprints", "--memory-limit", "1G", status=1)
    assert any("64-bit fingerprints" in text for text in result["assumptions"])


def test_one_property(race: Path) -> None:
    race.write_text(RACE.replace('sometimes("c', 'KASSERT(n == 0, "%d", n)\n    sometimes("c'))
    (violated,) = results("--scenario", race, "--mode", "nopcid", status=1)
    assert violated["properties"]["assertions"]["verdict"] == "violated"
    arguments = ("--scenario", race, "--mode", "nopcid", "--property")
    (result,) = results(*arguments, "curpmap", status=0)
    assert (result["property"], result["trace"]) == ("curpmap", [])
    assert list(result["properties"]) == ["curpmap"]
    (result,) = results(*arguments, "assertions", status=1)
    assert result["failed"]["message"] == "1"
    fails(run("check", *arguments, "asertions"), "'asertions'", "did you mean assertions?")


def test_a_kernel_of_the_users_own(tmp_path: Path) -> None:
    """A few functions that replace the reference's."""
    kernel = tmp_path / "mine.py"
    kernel.write_text(
        "from __future__ import annotations\n\n"
        "from pmaplab.kernel_python import KASSERT\n"
        "from pmaplab.kernels.freebsd.amd64.pmap import pmap\n\n\n"
        "def pmap_pinit0(pm: pmap) -> None:\n"
        '    KASSERT(pm.pm_flags == 7, "flags are %d", pm.pm_flags)\n'
    )
    stored = tmp_path / "t.json"
    arguments = ("--kernel", kernel, "--mode", "nopcid", "--property", "assertions", *SMALL)
    (result,) = results(*arguments, "-o", stored, status=1)
    assert result["kernel"] == str(kernel)
    assert result["failed"]["message"] == "flags are 0"
    assert result["failed"]["file"] == str(kernel)
    assert result["trace"][-1]["function"] == "pmap_pinit0"
    replayed = run("trace", stored)
    assert replayed.returncode == 0
    assert f"{kernel}:8:5: flags are 0" in replayed.stdout


def test_further_exemptions(tmp_path: Path) -> None:
    exemptions = tmp_path / "mine.toml"
    exemptions.write_text(
        "[[exemption]]\n"
        'function = "cpu_main"\n'
        'invariants = ["curpmap_at_rest", "pm_active_of_curpmap", "pm_active_of_kernel_pmap"]\n'
        'reason = "to see what fails once it is done"\n'
    )
    arguments = ("--scenario", "boot", "--mode", "nopcid", *SMALL)
    (result,) = results(*arguments, "--exemptions", exemptions, status=1)
    used = {entry["function"]: entry["reason"] for entry in result["exemptions"]}
    assert used["cpu_main"] == "to see what fails once it is done"
    assert f"the exemptions file {exemptions} is the user's own" in result["assumptions"]


def test_traces_are_stored_whole(tmp_path: Path) -> None:
    stored = tmp_path / "t.json"
    stored.write_text("what was there before")
    result = run("check", "--scenario", "switch", *SMALL, "-o", stored)
    assert result.returncode == 1
    traces = json.loads(stored.read_text())["traces"]
    assert {trace["run"]["mode"] for trace in traces} >= {"nopcid", "pcid", "pcid+invpcid+pti"}
    assert [path.name for path in tmp_path.iterdir()] == ["t.json"]


def test_a_trace_file_that_cannot_be_written(race: Path, tmp_path: Path) -> None:
    """It is noticed before the search, or must not cost the verdict."""
    early = run("check", "--scenario", race, "-o", tmp_path / "nowhere" / "t.json")
    fails(early, "t.json: cannot be written: No such file")
    assert early.stdout == ""
    fails(run("check", "--scenario", race, "-o", tmp_path), f"{tmp_path}: is a directory")
    late = run("check", "--scenario", race, "-o", "/dev/full")
    fails(late, "/dev/full: cannot be written: No space left on device")
    assert "holds" in late.stdout


@pytest.mark.parametrize(
    ("disputed", "text"),
    [
        (None, "INVPCID does not drain the store buffer"),
        ("invpcid-drains", "INVPCID drains the store buffer"),
        (None, "the page walker does not see the CPU's own store buffer"),
        ("walker-forwards", "the page walker sees the CPU's own store buffer"),
    ],
)
def test_what_sources_dispute_is_in_the_verdict(disputed: str | None, text: str) -> None:
    scenario = ("--scenario", "activate", "--mode", "pcid+invpcid+pti", "--proposal", "repaired")
    asked = () if disputed is None else ("--disputed", disputed)
    memory = ("--memory", "tso", "--store-buffer", "1", "--max-states", "1000")
    (found,) = results(*scenario, *memory, *asked, status=3)
    assert text in found["assumptions"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("--disputed", "invpcid-drains"),
            "--disputed invpcid-drains says nothing under --memory sc",
        ),
        (("--scenario", "activate", "--pages", "0"), "the scenario activate has pages"),
        (("--scenario", "switch", "--pages", "65"), "--pages must be from 0 to 64, not 65"),
        (("--preemptions", "9"), "--preemptions must be from 0 to 8, not 9"),
        (("--preemptions", "1"), "the scenario boot has no operations in which threads are"),
        (
            ("--scenario", "shootdown", "--cpus", "16", "--processes", "1"),
            "1 processes and 16 CPUs are too many with pages",
        ),
    ],
)
def test_bounds_of_pages(arguments: tuple[str, ...], message: str) -> None:
    fails(run("check", *arguments), message)


def test_a_reduced_search() -> None:
    asked = ("--scenario", "switch", *SMALL, "--mode", "nopcid", "--proposal", "repaired")
    (result,) = results(*asked, "--reductions", "all", status=0)
    assert result["reductions"] == ["fusion", "dead-locals", "partial-order", "symmetry"]
    assert result["symmetries"] == ["processes", "CPUs"] and result["passed"] and result["images"]
    shown = run("check", *asked, "--reductions", "all").stdout
    for name in result["reductions"]:
        assert f"reduced by: {name}\n" in shown
    assert f"nopcid: partial-order: {result['passed']:,} times a state was passed" in shown
    assert f"nopcid: symmetry of processes and CPUs: {result['images']:,} images" in shown
    (both,) = results(*asked, "--reductions", "all", "--savings", status=0)
    assert [each["reduction"] for each in both["savings"]] == result["reductions"]
    assert all(each["states"] >= both["states"] for each in both["savings"])
    (whole,) = results(*asked, "--reductions", "no-partial-order", "--savings", status=0)
    assert whole["reductions"] == ["fusion", "dead-locals"]
    assert result["states"] < whole["states"]
    saved = {each["reduction"]: each["states"] for each in whole["savings"]}
    assert set(saved) == {"fusion", "dead-locals"}
    for name, left in (("fusion", "dead-locals"), ("dead-locals", "fusion")):
        (other,) = results(*asked, "--reductions", f"no-partial-order,no-{name}", status=0)
        assert other["states"] == saved[name] >= whole["states"]
        assert other["reductions"] == [left]
    assert saved["fusion"] > whole["states"]


def test_a_reduction_that_does_not_exist() -> None:
    result = run("check", "--reductions", "partial-order,symetry")
    assert result.returncode == 2
    assert "there is no reduction 'symetry'" in result.stderr
    assert "did you mean symmetry?" in result.stderr
    result = run("check", "--reductions", "stubborn")
    assert "auto, all, none" in result.stderr


def test_a_search_of_one_state_of_each_orbit() -> None:
    asked = ("--scenario", "switch", "--proposal", "repaired", "--mode", "nopcid")
    (result,) = results(*asked, "--reductions", "all,no-partial-order", status=0)
    assert (result["reductions"], result["symmetries"]) == (
        ["fusion", "dead-locals", "symmetry"],
        ["CPUs"],
    )
    (told,) = result["told_apart"]
    assert (told["kind"], told["function"], told["cell"]) == ("processes", "vmspace_alloc", None)
    shown = run("check", *asked, "--reductions", "all,no-partial-order").stdout
    assert f"nopcid: symmetry of CPUs: {result['images']:,} images" in shown
    assert "nopcid: no symmetry of processes: vmspace_alloc tells them apart (" in shown
