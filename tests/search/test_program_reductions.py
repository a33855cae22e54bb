"""Fusion and the reset of dead locals: no verdict depends on them."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

import test_broken_kernels as broken
from ir.runnable import concurrent_programs, placed, quick
from native.compare import same
from pmaplab.frontends.kernel_python.source import read_source
from pmaplab.ir.cut import cut
from pmaplab.ir.layout import Layout
from pmaplab.ir.nodes import DEAD_LOCALS, FUSION, PROGRAM_REDUCTIONS, Program, Step
from pmaplab.ir.parser import parse_program
from pmaplab.ir.walk import instructions
from pmaplab.machine.modes import find_mode
from pmaplab.reviews.registry import proposal_files
from pmaplab.search.bfs import search
from pmaplab.search.result import Limits, Result
from pmaplab.system import Bounds, System, build_system
from search.small import function

LEFT_OUT = [names for count in (1, 2) for names in combinations(PROGRAM_REDUCTIONS, count)]

TEXT = """
global @own: [1 x u32]
agent one cpu 0 context thread entry @main
""" + function(
    "main",
    "%a = load index(@own:*[1 x u32], cpu)",
    "%b = add(%a, 1:u32)",
    "store index(@own:*[1 x u32], cpu), %b",
    "store index(@own:*[1 x u32], cpu), 7:u32",
    "return",
    more="var %a: u32\n  var %b: u32",
)

HIDDEN = """
cpus 1

global @own: u32
global @other: [1 x u32]
agent one cpu 0 context thread entry @main
invariant small @small

function @main() {
e:
  store @own:*u32, 7:u32
  store index(@other:*[1 x u32], cpu), 7:u32
  assert lt(cpu, 0:u32), MPASS, "cpu"
  return
}

atomic function @small(%cpu: u32) {
  var %x: u32
e:
  %x = load @own:*u32
  assert lt(%x, 3:u32), KASSERT, "own"
  return
}
"""


def summary(result: Result) -> dict[str, Any]:
    """What must not depend on them."""
    return {
        "verdict": result.verdict(),
        "violations": sorted(result.violations),
        "reached": sorted(result.reached),
        "unreached": result.unreached,
    }


def system(program: Program) -> System:
    return System(placed(program), None, {}, {}, {}, frozenset())


def test_what_they_do() -> None:
    program = parse_program(TEXT)

    def steps(without: tuple[str, ...]) -> int:
        made = cut(replace(program, without=without))
        return sum(isinstance(line, Step) for line in instructions(made.functions["main"]))

    assert (steps(()), steps((FUSION,))) == (0, 2)
    kept = Layout(cut(replace(program, without=PROGRAM_REDUCTIONS))).frames["main"].locals
    assert set(kept) == {"a", "b"}
    assert set(Layout(cut(replace(program, without=(FUSION,)))).frames["main"].locals) == {"b"}


@settings(quick, max_examples=10)
@given(concurrent_programs())
def test_random_programs(program: Program) -> None:
    found = search(system(program), limits=Limits(states=5_000))
    for without in LEFT_OUT:
        other = search(system(replace(program, without=without)), limits=Limits(states=40_000))
        if found.complete and other.complete:
            assert other.states >= found.states
            assert other.verdict() == found.verdict()
            # Where an assertion fails, the step ends, and what came before it within
            # that step was no state.
            assert set(found.violations) <= set(other.violations)
            if "assertions" not in found.violations:
                assert summary(other) == summary(found)


def test_what_a_failing_step_hides() -> None:
    """Without fusion there is a state between the two stores."""
    program = parse_program(HIDDEN)
    found = search(system(program))
    other = search(system(replace(program, without=(FUSION,))))
    assert sorted(found.violations) == ["assertions"]
    assert sorted(other.violations) == ["assertions", "small"]
    assert found.verdict() == other.verdict() == "violated"


@settings(quick, max_examples=3)
@given(concurrent_programs())
def test_both_engines(program: Program) -> None:
    same(system(replace(program, without=PROGRAM_REDUCTIONS)))


@pytest.mark.parametrize(
    ("without", "states"),
    [((), 2697), ((FUSION,), 6463), ((DEAD_LOCALS,), 2697), (PROGRAM_REDUCTIONS, 6463)],
)
def test_the_kernel_that_holds(without: tuple[str, ...], states: int) -> None:
    made = build_system(
        "switch",
        proposal_files("repaired"),
        find_mode("nopcid"),
        Bounds(operations=1),
        without=without,
    )
    result = same(made)
    assert result is not None and result.verdict() == "holds"
    assert result.states == states


@pytest.mark.parametrize(
    ("path", "mode"),
    [
        pytest.param(path, mode, marks=[] if number % 24 == 1 else pytest.mark.slow)
        for number, (path, mode) in enumerate(dict(broken.VIOLATED).items())
    ],
    ids=broken.name,
)
@pytest.mark.parametrize("without", LEFT_OUT, ids="-".join)
def test_mistakes_are_found(path: Path, mode: str, without: tuple[str, ...]) -> None:
    said = broken.header(path)
    changes = (*proposal_files(broken.SOUND), read_source(path, path.name))
    bounds = Bounds(operations=int(said["operations"] or 1))
    made = build_system(said["scenario"], changes, find_mode(mode), bounds, without=without)
    assert set(broken.split(said["properties"])) <= set(search(made).violations)
