"""Which locals are still needed; and that forgetting the others is harmless."""

from __future__ import annotations

from functools import partial

import pytest
from hypothesis import assume, given, settings

from ir.runnable import concurrent_programs, explore, placed, quick, runnable_programs
from pmaplab.ir.layout import Layout
from pmaplab.ir.liveness import live_before
from pmaplab.ir.nodes import Call, Function, Program, Step
from pmaplab.ir.parser import parse_program
from pmaplab.ir.walk import reads, successors, writes
from pmaplab.machine.modes import MODES, Mode
from pmaplab.search import begun
from pmaplab.search.bfs import search
from pmaplab.search.interpreter import Interpreter
from pmaplab.system import Bounds, build_system


def needed(function: Function, label: str, index: int, name: str) -> bool:
    """Whether some path from there reads the local before it is assigned."""
    blocks = {block.label: block for block in function.blocks}
    seen: set[str] = set()
    work = [(label, index)]
    while work:
        label, index = work.pop()
        block = blocks[label]
        for item in (*block.instructions, block.terminator)[index:]:
            if name in reads(item):
                return True
            if writes(item) == name:
                break
        else:
            for target in successors(block.terminator):
                if target not in seen:
                    seen.add(target)
                    work.append((target, 0))
    return False


@settings(quick, max_examples=20)
@given(runnable_programs() | concurrent_programs())
def test_live_locals_are_those_that_some_path_reads(program: Program) -> None:
    for function in program.functions.values():
        live = live_before(function)
        for block in function.blocks:
            for index in range(len(block.instructions) + 1):
                expected = {
                    name
                    for name in function.variables
                    if needed(function, block.label, index, name)
                }
                assert live[block.label, index] == expected


def check_frames(program: Program) -> None:
    """Whatever is read after a step has a cell."""
    layout = Layout(program)
    for name, frame in layout.frames.items():
        function = program.functions[name]
        for block in function.blocks:
            for index, item in enumerate(block.instructions):
                leaves = isinstance(item, Call) and not program.functions[item.function].atomic
                if not isinstance(item, Step) and not leaves:
                    continue
                for local in function.variables:
                    if local != writes(item) and needed(function, block.label, index + 1, local):
                        assert local in frame.locals


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
def test_the_kernel_keeps_what_it_needs(mode: Mode) -> None:
    check_frames(build_system("boot", (), mode, Bounds()).program)


@settings(quick, max_examples=60)
@given(concurrent_programs())
def test_resetting_dead_locals_changes_nothing(program: Program) -> None:
    program = placed(program)
    check_frames(program)
    with_reset = explore(program)
    without = explore(program, reset_dead_locals=False)
    assume(with_reset is not None and without is not None)
    assert with_reset is not None and without is not None
    assert with_reset.memories == without.memories
    assert with_reset.failures == without.failures
    assert with_reset.stuck == without.stuck
    assert with_reset.states <= without.states


@pytest.mark.parametrize(
    "mode", [MODES[0], pytest.param(MODES[1], marks=pytest.mark.slow)], ids=lambda mode: mode.name
)
def test_the_kernel_without_resetting(mode: Mode, monkeypatch: pytest.MonkeyPatch) -> None:
    system = build_system("boot", (), mode, Bounds(operations=1))
    few = search(system, projected=True)
    monkeypatch.setattr(begun, "Interpreter", partial(Interpreter, reset_dead_locals=False))
    many = search(system, projected=True)
    assert few.projected is not None and many.projected is not None
    assert few.projected.same_at_rest(many.projected)
    assert few.violations.keys() == many.violations.keys()
    assert few.states < many.states


def test_a_small_function() -> None:
    text = """
function @f(%a: u32, %b: u32) -> u32 {
  var %c: u32
e:
  branch eq(%a, 0:u32), t, o
t:
  %c = %b
  jump j
o:
  %c = 1:u32
  jump j
j:
  return %c
}
"""
    live = live_before(parse_program(text).functions["f"])
    assert live["e", 0] == {"a", "b"}
    assert live["t", 0] == {"b"}
    assert live["o", 0] == frozenset()
    assert live["j", 0] == {"c"}
