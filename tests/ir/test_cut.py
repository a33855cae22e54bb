"""Steps: at most one visible access in each, on every path."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings

from ir.runnable import concurrent_programs, placed, quick, runnable_programs
from pmaplab.ir.access import Sharing
from pmaplab.ir.cut import cut
from pmaplab.ir.nodes import (
    Branch,
    Call,
    Enter,
    Function,
    Instruction,
    Jump,
    Program,
    Return,
    Step,
)
from pmaplab.ir.parser import parse_program
from pmaplab.machine.modes import MODES, Mode
from pmaplab.system import Bounds, build_system

# Where control stands: the functions being executed, outermost first, each
# with its block and the number of the next instruction.
Stack = tuple[tuple[str, str, int], ...]


def mistakes(program: Program) -> list[str]:
    """Walk every path of every agent, calls and returns included, and count
    the visible accesses since the last step."""
    sharing = Sharing(program)
    exempt = {region for invariant in program.invariants for region in invariant.exempt}
    blocks = {
        (function.name, block.label): block
        for function in program.functions.values()
        for block in function.blocks
    }
    found: list[str] = []
    seen: set[tuple[Stack, bool]] = set()
    work: list[tuple[Stack, bool]] = [
        (((entry, program.functions[entry].blocks[0].label, 0),), False)
        for entry in set(program.entries)
    ]
    while work:
        stack, dirty = work.pop()
        if (stack, dirty) in seen:
            continue
        seen.add((stack, dirty))
        name, label, index = stack[-1]
        block = blocks[name, label]
        if index == len(block.instructions):
            match block.terminator:
                case Jump(block=target):
                    work.append(((*stack[:-1], (name, target, 0)), dirty))
                case Branch(then=then, otherwise=otherwise):
                    work += [((*stack[:-1], (name, t, 0)), dirty) for t in (then, otherwise)]
                case Return():
                    if len(stack) > 1:
                        work.append((stack[:-1], dirty))
            continue
        item = block.instructions[index]
        after: Stack = (*stack[:-1], (name, label, index + 1))
        if isinstance(item, Call) and not program.functions[item.function].atomic:
            callee = program.functions[item.function]
            work.append(((*after, (callee.name, callee.blocks[0].label, 0)), dirty))
            continue
        visible = sharing.visible(program.functions[name], item)
        if dirty and visible:
            found.append(f"{name}: a second visible access in one step: {item}")
        if dirty and isinstance(item, Enter) and item.region in exempt:
            found.append(f"{name}: {item.region} is entered after a visible access")
        if isinstance(item, Step):
            dirty = False
        work.append((after, dirty or visible))
    return found


@pytest.mark.parametrize("scenario", ["boot", "switch"])
@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
def test_the_reference_kernel(scenario: str, mode: Mode) -> None:
    system = build_system(scenario, (), mode, Bounds())
    assert mistakes(system.program) == []
    if system.bring_up is not None:
        assert mistakes(system.bring_up) == []


@settings(quick, max_examples=20)
@given(runnable_programs() | concurrent_programs())
def test_random_programs(program: Program) -> None:
    assert mistakes(placed(program)) == []


def test_the_walk_finds_mistakes() -> None:
    system = build_system("switch", (), MODES[1], Bounds())
    functions = {
        name: _without_steps(function) for name, function in system.program.functions.items()
    }
    program = replace(system.program, functions=functions)
    assert any("second visible" in text for text in mistakes(program))
    assert any("is entered after" in text for text in mistakes(program))


def _without_steps(function: Function) -> Function:
    blocks = tuple(
        replace(b, instructions=tuple(i for i in b.instructions if not isinstance(i, Step)))
        for b in function.blocks
    )
    return replace(function, blocks=blocks)


# --- small programs ----------------------------------------------------------

HEAD = """
cpus 2
region exempt
agent a cpu 0 context thread entry @main
agent b cpu 1 context thread entry @writer
invariant "exempt inside" @looks exempt exempt
global @word: u32
global @other: u32
global @constant: u32
global @mine: [2 x u32]
atomic function @looks(%cpu: u32) {
b:
  return
}
function @writer() {
b:
  store @word:*u32, 1:u32
  store @other:*u32, 1:u32
  return
}
atomic function @both() {
b:
  store @word:*u32, 1:u32
  store @other:*u32, 1:u32
  return
}
atomic function @waits() {
b:
  assume true
  return
}
atomic function @pure() -> u32 {
b:
  return 1:u32
}
function @callee() {
b:
  store @word:*u32, 1:u32
  return
}
"""


def steps(body: str, head: str = HEAD) -> list[str]:
    """What precedes each step of main and what follows it, by the kind."""
    text = f"{head}function @main() {{\n  var %x: u32\nb:\n{body}\n  return\n}}\n"
    program = cut(parse_program(text))
    result: list[str] = []
    for block in program.functions["main"].blocks:
        names = [_kind(item) for item in block.instructions]
        result.append(" ".join(names))
    return result


def _kind(item: Instruction) -> str:
    return "|" if isinstance(item, Step) else type(item).__name__


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("store @word:*u32, 1:u32\nstore @word:*u32, 2:u32", "Store | Store"),
        ("%x = load @word:*u32\nstore @other:*u32, %x", "Load | Store"),
        # A constant can be read at any time.
        ("%x = load @constant:*u32\nstore @word:*u32, %x", "Load Store"),
        ("store @word:*u32, 1:u32\n%x = load @constant:*u32", "Store Load"),
        # So can the own element of a per-CPU array that no other CPU writes.
        ("store index(@mine:*[2 x u32], cpu), 1:u32\nstore @word:*u32, 1:u32", "Store Store"),
        ("store index(@mine:*[2 x u32], 0:u32), 1:u32\nstore @word:*u32, 1:u32", "Store | Store"),
        # An atomic function is one access, whatever it does.
        ("call @both()\ncall @both()", "Call | Call"),
        ("call @waits()\ncall @waits()", "Call | Call"),
        ("call @pure()\ncall @pure()\ncall @both()", "Call Call Call"),
        # What a callee did counts in the caller, and the reverse.
        ("call @callee()\nstore @other:*u32, 1:u32", "Call | Store"),
        ("enter exempt\nstore @word:*u32, 1:u32\nleave exempt", "Enter Store Leave"),
        ("store @word:*u32, 1:u32\nenter exempt\nleave exempt", "Store | Enter Leave"),
        ("rmw add @word:*u32, 1:u32\nfence\nrmw add @word:*u32, 1:u32", "Rmw Fence | Rmw"),
        ("%x = cmpxchg @word:*u32, 1:u32, 2:u32\n%x = load @word:*u32", "CmpXchg | Load"),
    ],
)
def test_where_steps_end(body: str, expected: str) -> None:
    assert steps(body) == [expected]


def test_a_loop_ends_its_step_on_every_turn() -> None:
    body = "jump head\nhead:\n%x = load @word:*u32\nbranch eq(%x, 0:u32), head, end\nend:"
    assert steps(body) == ["", "| Load", ""]


def test_what_a_caller_did_counts_in_the_callee() -> None:
    lines = "store @other:*u32, 1:u32\n  call @callee()\n  return"
    text = f"{HEAD}function @main() {{\nb:\n  {lines}\n}}\n"
    callee = cut(parse_program(text)).functions["callee"]
    assert [_kind(item) for item in callee.blocks[0].instructions] == ["|", "Store"]


def test_atomic_functions_are_left_alone() -> None:
    text = f"{HEAD}function @main() {{\nb:\n  call @both()\n  return\n}}\n"
    program = parse_program(text)
    assert cut(program).functions["both"] == program.functions["both"]
