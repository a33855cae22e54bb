"""What agents may do, against what they do."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from ir.runnable import concurrent_programs, placed, quick
from pmaplab.ir.effects import Effects, bits
from pmaplab.ir.nodes import Program
from pmaplab.machine.modes import find_mode
from pmaplab.search.begun import BegunSearch
from pmaplab.search.interpreter import Interpreter
from pmaplab.system import Bounds, build_system
from search.small import HEAD, function, system


def does_what_it_may(interpreter: Interpreter, start: tuple[int, ...], most: int) -> None:
    effects = Effects(interpreter.layout, start)
    seen, pending = {start}, [start]
    while pending and len(seen) < most:
        state = pending.pop()
        memory, parts = interpreter.split(state)
        for agent, part in enumerate(parts):
            tried = interpreter.attempt(list(memory), list(part), agent)
            assert not [c for c in tried.reads if not effects.agents[agent].reads >> c & 1]
            assert not [c for c in tried.writes if not effects.agents[agent].writes >> c & 1]
            for outcome in interpreter.outcomes(state, agent):
                if outcome.failure is None and outcome.state not in seen:
                    seen.add(outcome.state)
                    pending.append(outcome.state)


@settings(quick, max_examples=10)
@given(concurrent_programs())
def test_random_programs(program: Program) -> None:
    interpreter = Interpreter(placed(program))
    does_what_it_may(interpreter, interpreter.initial(), 500)


def test_the_kernel() -> None:
    made = build_system("switch", (), find_mode("pcid+pti"), Bounds(operations=1))
    begun = BegunSearch(made, False)
    assert begun.begin()
    does_what_it_may(begun.interpreter, begun.result.start, 1500)
    effects = Effects(begun.interpreter.layout, begun.result.start)
    names = {cell.index: cell.name for cell in begun.interpreter.layout.cells}
    own = [names[c] for c in bits(effects.agents[1].writes) if names.get(c, "").startswith("__pc")]
    assert own and all(name.startswith("__pcpu[1]") for name in own)


POINTERS = (
    """
struct pair {
  left: u32
  right: u32
}
global @one: pair
global @two: pair
global @here: *pair {
  "" = @one:*pair
}
"""
    + HEAD
)


def test_a_pointer_leads_where_it_was_stored() -> None:
    text = POINTERS + function(
        "first",
        "%p = load @here:**pair",
        "store field(%p, right):*u32, 1:u32",
        "return",
        more="var %p: *pair",
    )
    second = function("second", "store @here:**pair, @two:*pair", "return")
    for code, names in (
        (function("second", "return"), {"one.right"}),
        (second, {"one.right", "two.right"}),
    ):
        made = Interpreter(system(text + code).program)
        effects = Effects(made.layout, made.initial())
        cells = {cell.index: cell.name for cell in made.layout.cells}
        assert {cells[c] for c in bits(effects.agents[0].writes)} == names


def test_what_an_invariant_reads_for_a_cpu() -> None:
    text = HEAD + "global @mine: [2 x u32]\n"
    text += "".join(function(name, "return") for name in ("first", "second"))
    text += 'invariant "it" @it\natomic ' + function(
        "it",
        "%x = load index(@mine:*[2 x u32], %cpu)",
        "return",
        head="(%cpu: u32)",
        more="var %x: u32",
    )
    made = Interpreter(system(text).program)
    effects = Effects(made.layout, made.initial())
    cells = {cell.index: cell.name for cell in made.layout.cells}
    for cpu in (0, 1):
        assert [cells[c] for c in bits(effects.observer(["it"], cpu).reads)] == [f"mine[{cpu}]"]


@pytest.mark.parametrize("cells", [0, 1, 0b1010])
def test_bits(cells: int) -> None:
    assert sum(1 << bit for bit in bits(cells)) == cells
