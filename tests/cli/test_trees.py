"""The commands on a kernel's own C: check --tree, tree, compare, conform, mutate."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from cli.command import fails, run
from frontends.kernel_c.support import SMALL, TREES

TWIN = TREES / "twins/kcr3_not_stored.diff"
ONE = ("--operations", "1")
# Such small systems are searched faster than compiled.
SMALLEST = (*ONE, "--engine", "python")


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


def answer(*arguments: str | Path, status: int = 0) -> dict[str, Any]:
    result = run(*arguments, "--format", "json")
    assert result.returncode == status, result.stderr
    assert result.stderr == ""
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_check_says_what_is_from_the_tree() -> None:
    arguments = ("check", "--tree", SMALL, *SMALLEST, "--mode", "nopcid", "--scenario", "switch")
    [found] = answer(*arguments)["results"]
    assert found["verdict"] == "holds"
    assert found["tree"]["folder"] == str(SMALL)
    used = found["from_tree"]
    assert used["functions"]["pmap_activate_sw"].startswith("sys/amd64/amd64/pmap.c:")
    assert used["ifuncs"] == {"pmap_activate_sw_mode": "pmap_activate_sw_nopcid"}
    assert "sched_throw" in used["modelled"] and "printf" in used["dropped"]
    for part in ("from the tree: ", "written by hand: ", "calls left out: "):
        assert any(text.startswith(part) for text in found["assumptions"])


def test_a_trace_on_the_trees_lines_is_stored_and_replayed(tmp_path: Path) -> None:
    arguments = ("check", "--tree", SMALL, "--patch", TWIN, *SMALLEST, "--mode", "nopcid+pti")
    stored = tmp_path / "trace.json"
    result = run(*arguments, "-o", stored)
    assert result.returncode == 1, result.stderr
    assert "sys/amd64/amd64/pmap.c:" in result.stdout
    assert "PCPU_SET(ucr3, PMAP_NO_CR3);" in result.stdout
    again = run("trace", stored)
    assert again.returncode == 0, again.stderr
    assert "PCPU_SET(ucr3, PMAP_NO_CR3);" in again.stdout
    data = json.loads(stored.read_text())
    files = data["traces"][0]["run"]["tree"]["files"]
    assert str(TWIN) in {file["path"] for file in files}
    files[0]["sha256"] = "0" * 64
    stored.write_text(json.dumps(data))
    fails(run("trace", stored), "SHA-256 differs")


def test_tree() -> None:
    found = answer("tree", SMALL)
    assert found["release"] == "13.0" and len(found["modes"]) == 6
    assert {"name": "pmap_activate_sw", "file": "sys/amd64/amd64/pmap.c", "line": 219} in found[
        "functions"
    ]
    assert found["indirect"]["pmap_activate_sw_mode"]["pcid"] == "pmap_activate_sw_noinvpcid"
    assert found["unsupported"] == []
    text = run("tree", SMALL).stdout
    for part in ("FreeBSD 13.0, amd64", "modelled by hand", "calls that are left out"):
        assert part in text


def test_compare() -> None:
    arguments = ("compare", "--tree", SMALL, "--patch", TWIN, "--scenario", "switch", *SMALLEST)
    found = answer(*arguments, "--mode", "nopcid+pti", status=1)
    [result] = found["results"]
    assert result["fixes"] == [] and result["breaks"] == ["curpmap"]
    assert result["before"]["verdict"] == "holds" and result["after"]["verdict"] == "violated"
    assert run(*arguments, "--mode", "nopcid").returncode == 0


def test_conform() -> None:
    arguments = ("conform", "--tree", SMALL, "--scenario", "switch", "--mode", "nopcid", *SMALLEST)
    [found] = answer(*arguments, "--proposal", "repaired")["results"]
    assert found["outcome"] == "same" and found["tree"]["only_here"] == 0
    [found] = answer(*arguments, status=1)["results"]
    assert found["outcome"] == "differ" and found["tree"]["trace"]
    assert found["reference"]["differs"]


def test_mutate(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    arguments = (
        "mutate", "--tree", SMALL, "--function", "pmap_activate", "--scenario", "switch",
        "--mode", "pcid", "--resume", kept, *ONE,
    )  # fmt: skip
    found = answer(*arguments, status=1)
    assert {each["function"] for each in found["mutations"]} == {"pmap_activate"}
    outcomes = {(each["kind"], each["line"]): each["outcome"] for each in found["mutations"]}
    first = min(line for _, line in outcomes)
    assert outcomes["delete", first] == outcomes["delete", first + 1] == "caught"
    assert found["groups"] == {"activation": {**found["counts"], "same at rest": 0}}
    # What is known is not searched again.
    before = kept.read_text()
    assert answer(*arguments, status=1) == found and kept.read_text() == before
    text = run(*arguments, "--group", "activation", "--jobs", "1").stdout
    assert "activation: 4 of 5 mistakes are caught" in text
    result = tmp_path / "result.json"
    result.write_text(json.dumps(found))
    again = answer(*arguments, "--again", result, status=1)["mutations"]
    assert [each["outcome"] for each in again] == ["survived"]


def test_mutate_with_preemptions(tmp_path: Path) -> None:
    """Who is pinned too late, and migrates before, flushes another CPU's TLB."""
    late: dict[str, Any] = {"kind": "swap", "function": "pmap_invalidate_page"}
    late |= {"file": "sys/amd64/amd64/pmap.c", "line": 331, "outcome": "survived"}
    before = tmp_path / "before.json"
    before.write_text(json.dumps({"mutations": [late]}))
    arguments = (
        "mutate", "--tree", SMALL, "--function", "pmap_invalidate_page", "--scenario", "activate",
        "--mode", "nopcid", "--processes", "1", "--again", before, "--jobs", "1",
        "--resume", tmp_path / "kept", *ONE,
    )  # fmt: skip
    [survived] = answer(*arguments, status=1)["mutations"]
    assert survived["outcome"] == "survived"
    # What was searched without is not what is searched with.
    [caught] = answer(*arguments, "--preemptions", "1")["mutations"]
    assert (caught["outcome"], caught["property"]) == ("caught", "no stale use")
    assert caught["where"]["bounds"]["preemptions"] == 1
    text = run(*arguments, "--preemptions", "1").stdout
    assert "caught (activate, nopcid, 2 CPUs, 1 user process, 1 preemption, " in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("check", "--tree", "nowhere"), "nowhere: no such folder"),
        (("check", "--tree", SMALL, "--patch", "nowhere.diff"), "nowhere.diff: no such file"),
        (("check", "--patch", "x.diff"), "--patch needs --tree DIR"),
        (("check", "--api", "x.toml"), "--api needs --tree DIR"),
        (("check", "--tree", SMALL, "--api", "nowhere.toml"), "nowhere.toml"),
        (("check", "--tree", SMALL, "--proposal", "before"), "not allowed with argument"),
        (("tree", TREES), "is no FreeBSD tree"),
        (("compare", "--tree", SMALL), "--patch"),
        (("mutate", "--tree", SMALL, "--function", "printf", "--mode", "nopcid"), "printf is no"),
        (("mutate", "--tree", SMALL, "--preemptions", "1"), "boot has no operations in which"),
        (("mutate", "--tree", SMALL, "--preemptions", "9"), "must be from 0 to 8, not 9"),
        (("conform", "--tree", SMALL, "--scenario", "multiuser"), "invalid choice"),
        (("conform", "--tree", SMALL, "--mode", "pcid", "--fingerprints"), "whole states"),
        (("compare", "--tree", SMALL, "--patch", TWIN, "--accepted", "no.toml"), "no such file"),
    ],
)
def test_bad_usage(arguments: tuple[str | Path, ...], message: str) -> None:
    fails(run(*arguments), message)


@pytest.mark.skipif("FREEBSD_SRC" not in os.environ, reason="FREEBSD_SRC names no tree")
def test_a_real_tree() -> None:
    """Every mode that the release has gets a verdict, and nothing is vacuous."""
    tree = os.environ["FREEBSD_SRC"]
    for scenario in ("boot", "switch"):
        result = run("check", "--tree", tree, *ONE, "--scenario", scenario, "--format", "json")
        assert result.returncode in (0, 1), result.stderr
        found = json.loads(result.stdout)["results"]
        assert len(found) >= 3
        assert {each["verdict"] for each in found} <= {"holds", "violated"}
