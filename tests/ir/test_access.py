"""Which accesses others can see, and that nothing is lost with the rest."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings

from ir.runnable import concurrent_programs, explore, placed, quick
from pmaplab.ir.access import Sharing, key_of
from pmaplab.ir.nodes import Call, Function, Instruction, Program
from pmaplab.ir.parser import parse_program
from pmaplab.ir.walk import address_of
from pmaplab.machine.modes import MODES, Mode
from pmaplab.search.bfs import search
from pmaplab.system import Bounds, build_system

HEAD = """
cpus 2
struct pcpu {
  own: u32
  seen: u32
  far: u32
}
struct holder {
  place: *u32
}
agent a cpu 0 context thread entry @main
agent b cpu 1 context thread entry @main
global @never: u32
global @word: u32
global @watched: [2 x u32]
global @pcpu: [2 x pcpu]
global @escaped: u32
global @holder: holder
invariant "watches" @looks
atomic function @looks(%cpu: u32) {
  var %x: u32
b:
  %x = load index(@watched:*[2 x u32], %cpu)
  return
}
atomic function @quiet() {
  var %x: u32
b:
  %x = load @never:*u32
  return
}
atomic function @loud() {
b:
  store @word:*u32, 1:u32
  return
}
"""
MAIN = """
function @main() {
  var %x: u32
  var %mine: *pcpu
  var %given: *u32
  var %any: *pcpu
b:
  %mine = index(@pcpu:*[2 x pcpu], cpu)
  %any = index(@pcpu:*[2 x pcpu], 0:u32)
  %given = null:*u32
  store field(%mine, own):*u32, 1:u32
  store field(%mine, seen):*u32, 1:u32
  %x = load field(%any, seen):*u32
  store field(%any, far):*u32, 1:u32
  store @word:*u32, 1:u32
  {line}
  return
}
"""


@pytest.mark.parametrize(
    ("line", "visible"),
    [
        ("%x = load @never:*u32", False),
        ("%x = load @word:*u32", True),
        ("rmw add @word:*u32, 1:u32", True),
        # Only the own CPU touches it.
        ("store field(%mine, own):*u32, 2:u32", False),
        ("%x = load field(%mine, own):*u32", False),
        # Another CPU reads it: the store is seen, the own load is not.
        ("store field(%mine, seen):*u32, 2:u32", True),
        ("%x = load field(%mine, seen):*u32", False),
        # Another CPU writes it.
        ("%x = load field(%mine, far):*u32", True),
        # A property reads it.
        ("store index(@watched:*[2 x u32], cpu), 1:u32", True),
        ("%x = load index(@watched:*[2 x u32], cpu)", False),
        ("call @quiet()", False),
        ("call @loud()", True),
        ("%x = load %given", True),
        ("store %given, 1:u32", True),
        ("%x = add(%x, 1:u32)", False),
    ],
)
def test_visible(line: str, visible: bool) -> None:
    program = parse_program(HEAD + MAIN.replace("{line}", line))
    main = program.functions["main"]
    assert Sharing(program).visible(main, main.blocks[0].instructions[-1]) is visible


def test_an_address_that_is_stored_makes_its_cell_shared() -> None:
    line = "store field(@holder:*holder, place):**u32, @escaped:*u32\n  %x = load @escaped:*u32"
    program = parse_program(HEAD + MAIN.replace("{line}", line))
    main = program.functions["main"]
    assert Sharing(program).visible(main, main.blocks[0].instructions[-1])


def test_a_cast_to_a_pointer_makes_every_access_visible() -> None:
    line = "store cast(8:u32):*u32, 1:u32\n  %x = load @never:*u32"
    program = parse_program(HEAD + MAIN.replace("{line}", line))
    main = program.functions["main"]
    assert Sharing(program).visible(main, main.blocks[0].instructions[-1])


def test_keys() -> None:
    program = parse_program(HEAD + MAIN.replace("{line}", "%x = load %given"))
    keys = [
        key_of(address)
        for item in program.functions["main"].blocks[0].instructions
        if (address := address_of(item)) is not None
    ]
    assert keys == [
        ("pcpu", "own"),
        ("pcpu", "seen"),
        ("pcpu", "seen"),
        ("pcpu", "far"),
        ("@", "word"),
        None,
    ]


# --- nothing is lost ---------------------------------------------------------


def _everything(self: Sharing, _: Function, item: Instruction) -> bool:
    """Every access to memory and every atomic function is a step of its own."""
    if isinstance(item, Call):
        return self.program.functions[item.function].atomic
    return address_of(item) is not None


@settings(quick, max_examples=60)
@given(concurrent_programs())
def test_random_programs_do_the_same_with_every_access_visible(program: Program) -> None:
    few = explore(placed(program))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Sharing, "visible", _everything)
        program = placed(program)
    many = explore(program)
    assume(few is not None and many is not None)
    assert few is not None and many is not None
    assert few.failures == many.failures
    assert few.stuck == many.stuck
    assert few.finals == many.finals
    assert few.states <= many.states


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
def test_the_kernel_has_the_same_verdicts_with_every_access_visible(
    mode: Mode, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = search(build_system("switch", (), mode, Bounds(operations=1)))
    monkeypatch.setattr(Sharing, "visible", _everything)
    many = search(build_system("switch", (), mode, Bounds(operations=1)))
    assert few.complete and many.complete
    assert few.states < many.states
    assert set(few.violations) == set(many.violations)
    assert few.reached == many.reached
