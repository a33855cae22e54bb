"""``pmaplab litmus``: its output, its exit status, and the published verdicts."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from cli.command import fails, run
from golden import Golden
from pmaplab.frontends.litmus.files import read_tests
from pmaplab.litmus import MEMORIES, run_litmus
from pmaplab.machine.modes import SC
from pmaplab.report.litmus import litmus_text

TESTS = Path(__file__).parents[1] / "litmus"
SHAPES = TESTS / "shapes.txt"
# A file in the one-line format with published verdicts, if there is one.
PUBLISHED = os.environ.get("PMAPLAB_LITMUS")
# The shapes whose condition needs a store that waits.
WAITING = {
    "early-own-store",
    "late-overwrite",
    "rwc",
    "sb",
    "sb+exchange+store",
    "sb+fence+none",
    "sb+forwarding",
    "sb+two-stores",
    "sb-of-three",
    "third-observer",
    "write-then-sb",
}


def results(*arguments: str | Path) -> list[dict[str, Any]]:
    found = run("litmus", "--format", "json", *arguments)
    assert found.stderr == ""
    data: dict[str, list[dict[str, Any]]] = json.loads(found.stdout)
    return data["results"]


@pytest.mark.parametrize("path", sorted(TESTS.glob("*.litmus")), ids=lambda path: path.stem)
def test_herd_files(path: Path, golden: Golden) -> None:
    parts = []
    for memory in MEMORIES:
        outcomes = [run_litmus(test, memory=memory) for test in read_tests(str(path))]
        parts.append(litmus_text(outcomes))
        assert memory == SC or all(outcome.validated for outcome in outcomes)
    golden.check("\n".join(parts), path.with_suffix(".expected"))


def test_shapes(golden: Golden) -> None:
    found = run("litmus", SHAPES)
    assert (found.returncode, found.stderr) == (0, "")
    golden.check(found.stdout, SHAPES.with_suffix(".expected"))


def test_shapes_under_sc() -> None:
    """No store waits: what needs one is out of reach, and nothing is new."""
    result = run("litmus", "--memory", "sc", SHAPES)
    assert result.returncode == 1
    under_tso = {found["name"]: found for found in results(SHAPES)}
    under_sc = results("--memory", "sc", SHAPES)
    for found in under_sc:
        assert set(found["final_states"]) <= set(under_tso[found["name"]]["final_states"])
        assert (found["memory"], found["store_buffer"]) == ("sc", None)
    assert {found["name"] for found in under_sc if not found["agrees"]} == WAITING


def test_json() -> None:
    found = results(TESTS / "store-buffering.litmus", SHAPES)
    assert found[0] == {
        "name": "store-buffering",
        "file": str(TESTS / "store-buffering.litmus"),
        "line": 1,
        "published": None,
        "reachable": True,
        "agrees": None,
        "states": 4,
        "final_states": [
            "0:rax=0; 1:rax=0;",
            "0:rax=0; 1:rax=1;",
            "0:rax=1; 1:rax=0;",
            "0:rax=1; 1:rax=1;",
        ],
        "condition": "exists (0:rax=0 /\\ 1:rax=0)",
        "validated": True,
        "observation": "Sometimes",
        "positive": 1,
        "negative": 3,
        "memory": "tso",
        "store_buffer": 1,
        "buffers_fill": False,
        "explored": found[0]["explored"],
        "stopped": None,
    }
    assert [result["line"] for result in found[1:]] == list(range(2, len(found) + 1))
    assert all(result["agrees"] for result in found[1:])


def test_a_bound_that_leaves_something_out(tmp_path: Path) -> None:
    """Two stores have to wait until both loads are done."""
    path = tmp_path / "two.txt"
    path.write_text("two\tallowed\tP0: a=1; b=1; r0=c | P1: c=1; mf; r0=a\t0:r0=0 & 1:r0=0\n")
    assert run("litmus", path).returncode == 0
    bounded = run("litmus", "--store-buffer", "1", path)
    assert bounded.returncode == 1
    assert (
        "Memory tso, store buffers of 1 entry: "
        "they can fill, which leaves out behaviours of x86-TSO\n"
        "Published allowed: DISAGREES\n"
    ) in bounded.stdout
    (found,) = results("--store-buffer", "7", path)
    assert not found["buffers_fill"] and found["store_buffer"] == 7


def test_stores_in_a_loop_are_bounded(tmp_path: Path) -> None:
    path = tmp_path / "loop.litmus"
    path.write_text(
        "X86_64 loop\n{}\n P0 | P1 ;\n A: movl $1,(x) | movl $1,(y) ;\n"
        " movl (y),%eax | ;\n cmpl $1,%eax | ;\n jne A | ;\nforall (0:rax=1)\n"
    )
    (found,) = results(path)
    assert found["buffers_fill"] and found["validated"] and found["store_buffer"] == 1


def test_no_run_ends(tmp_path: Path) -> None:
    path = tmp_path / "forever.litmus"
    for body in ("A: movl (x),%eax | movl $1,(x)", "A: nop | ", "A: movl (x),%eax |"):
        path.write_text(f"X86_64 f\n{{}}\n P0 | P1 ;\n {body} ;\n jmp A | ;\nexists (true)\n")
        found = run("litmus", path)
        assert found.returncode == 0
        assert "\nStates 0\nNo\n" in found.stdout
        assert found.stdout.endswith("No run ends in a state that counts\n")


def test_incomplete() -> None:
    found = run("litmus", "--max-states", "3", TESTS / "message.litmus")
    assert found.returncode == 3
    assert "\nUnknown\n" in found.stdout
    assert "Incomplete: the limit of 3 states is reached" in found.stdout
    (result,) = results("--max-states", "3", TESTS / "message.litmus")
    assert (result["reachable"], result["validated"]) == (None, None)


def test_disagreement(tmp_path: Path) -> None:
    path = tmp_path / "wrong.txt"
    shape = "P0: a=1; r0=b | P1: b=1; r0=a\t0:r0=0 & 1:r0=0\n"
    path.write_text(f"right\tallowed\t{shape}wrong\tforbidden\t{shape}all\trequired\t{shape}")
    found = run("litmus", path)
    assert found.returncode == 1
    assert found.stdout.endswith(
        "3 tests: 1 agree with the published verdict, 2 disagree\n"
        "disagrees: wrong\ndisagrees: all\n"
    )


def test_bad_input(tmp_path: Path) -> None:
    path = tmp_path / "bad.litmus"
    path.write_text("X86_64 bad\n{}\n P0 ;\n movz $1,(x) ;\nexists (x=1)\n")
    advice = "advice: did you mean mov?"
    fails(run("litmus", path), f"{path}:4:2: the instruction movz is not", "  ^~~~\n", advice)
    fails(run("litmus", tmp_path / "nowhere"), "no such file")
    fails(run("litmus", tmp_path), "is a directory")
    fails(run("litmus"), "FILE")
    (tmp_path / "empty").write_text("# no test\n")
    fails(run("litmus", tmp_path / "empty"), "the files hold no test")
    good = TESTS / "message.litmus"
    fails(run("litmus", "--memory", "pso", good), "'pso'")
    fails(run("litmus", "--store-buffer", "0", good), "at least 1, not 0")
    fails(run("litmus", "--store-buffer", "256", good), "from 1 to 255, not 256")
    fails(run("litmus", "--memory", "sc", "--store-buffer", "1", good), "no store buffers under")


@pytest.mark.skipif(PUBLISHED is None, reason="PMAPLAB_LITMUS names no file")
def test_published_verdicts() -> None:
    assert PUBLISHED is not None
    lines = Path(PUBLISHED).read_text(encoding="utf-8").splitlines()
    rows = [line for line in lines if line.strip() and not line.startswith("#")]
    found = results(PUBLISHED)
    assert len(found) == len(rows)
    assert [result["name"] for result in found if result["agrees"] is not True] == []
