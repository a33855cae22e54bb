"""The steps of small programs, and what cannot be exported."""

from __future__ import annotations

from pathlib import Path

import pytest

from exports.peers import ABOUT
from pmaplab.errors import ModelError
from pmaplab.exports.files import beginning, steps_of
from pmaplab.exports.murphi import murphi
from pmaplab.exports.names import identifiers, one_line
from pmaplab.exports.nodes import below
from pmaplab.exports.promela import promela
from pmaplab.exports.steps import Cell, Fetch, Goto, Guard, Stop, Within
from pmaplab.spec import RunSpec
from pmaplab.system import Bounds
from search.small import HEAD, function, system

HANDOFF = (Path(__file__).parent / "handoff.ir").read_text(encoding="utf-8")


def test_points_and_choices() -> None:
    steps = steps_of(system(HANDOFF))
    starting = [point for point in steps.points if point.starts]
    assert [point.choices for point in starting] == [2, 1, 1, 1, 1]
    assert steps.choices == 2
    assert [agent.name for agent in steps.agents] == ["cpu0", "cpu1"]
    assert steps.must_reach == ("handed over",)


def test_known_addresses_are_variables() -> None:
    steps = steps_of(system(HANDOFF))
    flag = next(at for at, variable in steps.memory.items() if variable.name == "flag")
    cells = {n.index for p in steps.points for n in below(p.code) if isinstance(n, Cell)}
    assert flag in cells
    groups = {
        n.group for r in steps.routines.values() for n in below(r.parts) if isinstance(n, Fetch)
    }
    counts = tuple(at for at, v in steps.memory.items() if v.name.startswith("counts"))
    assert groups == {counts}


def test_declared_ranges_are_checked() -> None:
    steps = steps_of(system(HANDOFF))
    bump = steps.routines["bump"]
    checks = [n for n in below(bump.parts) if isinstance(n, Within) and n.fault == "range"]
    assert [(check.lo, check.hi) for check in checks] == [(0, 3)]


def test_calls_go_through_the_stack() -> None:
    text = (
        HEAD
        + function("first", "call @callee()", "store @word:*u32, 2:u32", "return")
        + function("callee", "store @word:*u32, 1:u32", "return")
        + function("second", "return")
    )
    steps = steps_of(system(text))
    callee = next(point for point in steps.points if point.function == "callee")
    caller = next(point for point in steps.points if point.function == "first")
    assert Goto(callee.number) in caller.code
    stops = [n for p in steps.points for n in below(p.code) if isinstance(n, Stop)]
    assert stops


def test_guards_are_kept() -> None:
    steps = steps_of(system(HANDOFF))
    assert sum(isinstance(n, Guard) for p in steps.points for n in below(p.code)) == 1


def test_too_many_choices() -> None:
    text = (
        HEAD
        + function("first", "%x = choose 0:u32, 100000:u32", "return", more="var %x: u32")
        + function("second", "return")
    )
    with pytest.raises(ModelError, match="more than 4096 ways") as caught:
        steps_of(system(text))
    assert caught.value.location is not None


def test_a_bring_up_comes_before() -> None:
    checked = RunSpec(scenario="switch", bounds=Bounds(operations=1)).build()
    start, lines = beginning(checked)
    assert "after a bring-up of" in lines[0]
    steps = steps_of(checked, start)
    assert steps.initial[: steps.first_region] == start[: steps.first_region]


def test_the_header_says_what_is_left_out() -> None:
    steps = steps_of(system(HANDOFF))
    for text in (promela(steps, ABOUT), murphi(steps, ABOUT)):
        head = text[: text.index("Not exported") + 400]
        assert "progress" in head
        assert "properties: assertions, small" in head
        assert "all reductions off" in head


def test_names() -> None:
    found = identifiers(["a[0].b", "a_0_b", "A 0 b", "é"], "g_")
    assert found["a[0].b"] == "g_a_0_b"
    assert len({name.lower() for name in found.values()}) == 4
    assert one_line('a "b" {c} \\ */ é\n') == "a 'b' (c) ' * / ??".replace(" ' ", " ' ")
