"""Where variables live: nothing overlaps what is in use at the same time."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings

from ir.runnable import concurrent_programs, placed, quick, runnable_programs
from pmaplab.errors import IRError
from pmaplab.ir.layout import Layout
from pmaplab.ir.nodes import Call, Program
from pmaplab.ir.parser import parse_program
from pmaplab.machine.modes import MODES, Mode
from pmaplab.system import Bounds, build_system


def chains(program: Program, entry: str) -> list[tuple[str, ...]]:
    """Every chain of calls from ``entry`` that ends with a function that calls
    no other, atomic functions left out: they have no frame."""
    result: list[tuple[str, ...]] = []
    work: list[tuple[str, ...]] = [(entry,)]
    while work:
        chain = work.pop()
        called = {
            item.function
            for block in program.functions[chain[-1]].blocks
            for item in block.instructions
            if isinstance(item, Call) and not program.functions[item.function].atomic
        }
        if not called:
            result.append(chain)
        work += [(*chain, name) for name in called]
    return result


def check(program: Program) -> None:
    layout = Layout(program)
    # Globals, regions, agents: one after the other, from cell 1 on.
    indices = [cell.index for cell in layout.cells]
    assert indices == list(range(1, len(indices) + 1))
    assert layout.regions == len(indices) + 1
    bounds = [*layout.agents, layout.size]
    if layout.agents:
        assert layout.agents[0] == layout.regions + program.cpus
    room = min((b - a for a, b in pairwise(bounds)), default=0)
    for entry in set(program.entries):
        for chain in chains(program, entry):
            used: list[int] = [0]  # the program counter
            for name in chain:
                frame = layout.frames[name]
                used += [frame.return_address, *frame.locals.values()]
                assert frame.end <= room
            assert len(used) == len(set(used)), chain
            assert max(used) < room


@pytest.mark.parametrize("scenario", ["boot", "switch"])
@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
def test_the_reference_kernel(scenario: str, mode: Mode) -> None:
    check(build_system(scenario, (), mode, Bounds()).program)


@settings(quick, max_examples=40)
@given(runnable_programs() | concurrent_programs())
def test_random_programs(program: Program) -> None:
    check(placed(program))


TEXT = """
cpus 3
struct inner {
  a: u32
  b: [2 x u8]
}
struct outer {
  first: inner
  list: [2 x inner]
  link: *outer
}
global @word: u32 {
  "" = 7:u32
}
global @outer: outer {
  ".list[1].b[0]" = 5:u8
  ".link" = @outer:*outer
}
global @many: [2 x outer]
function @main() {
b:
  return
}
agent x cpu 2 context thread entry @main
"""


def test_addresses() -> None:
    layout = Layout(parse_program(TEXT))
    assert layout.address("word") == 1
    assert layout.address("outer") == 2
    assert layout.address("outer", ".list[1].b[1]") == 2 + 3 + 3 + 2
    assert layout.address("outer", ".link") == 11
    assert layout.address("many", "[1].list[0].a") == 12 + 10 + 3
    names = {cell.index: cell.name for cell in layout.cells}
    assert names[layout.address("many", "[1].list[0].a")] == "many[1].list[0].a"
    assert len(names) == 1 + 10 + 20
    assert layout.regions == 32
    assert layout.agents == [35]


@pytest.mark.parametrize("path", [".nothing", "[0]", ".list[2]", ".list.a", "first", ".first..a"])
def test_paths_to_nowhere(path: str) -> None:
    with pytest.raises(IRError):
        Layout(parse_program(TEXT)).address("outer", path)


def test_initial_values() -> None:
    layout = Layout(parse_program(TEXT))
    state = layout.initial()
    assert len(state) == layout.size
    wanted = {
        1: 7,
        layout.address("outer", ".list[1].b[0]"): 5,
        layout.address("outer", ".link"): 2,
    }
    assert {index: value for index, value in enumerate(state) if value} == wanted
