"""Printing and parsing are inverse, and mistakes in the text are shown well."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ir.strategies import programs
from pmaplab.errors import IRError, Location
from pmaplab.ir.nodes import (
    Assume,
    Binary,
    Cast,
    Const,
    Expr,
    FieldAddress,
    IndexAddress,
    InRegion,
    Instruction,
    Local,
    Program,
    Select,
    ThisCpu,
    Unary,
)
from pmaplab.ir.parser import parse_program
from pmaplab.ir.printer import print_expr, print_function, print_program
from pmaplab.ir.types import BOOL, U8, U32, U64, Array, Int, Pointer, Struct
from pmaplab.ir.verify import verify

SLOW_TO_DRAW = [HealthCheck.too_slow, HealthCheck.data_too_large]

# Every item, instruction and expression once, as the printer writes it.
EVERYTHING = """\
cpus 2
region smr
region "delayed invl"
must_reach "two at once"

struct pmap { ; "pmap.h":10:1-12
  active: u32
  pcids: [2 x u16{0..4}]
  next: *pmap
}

struct u32 { ; "odd \\"name\\".h":1:1
  "two words": *[3 x [2 x i64]]
  self: *"u32"
}

global @kernel_pmap: pmap { ; "pmap.c":3:1
  ".pcids[1]" = 4:u16
  ".next" = null:*pmap
}
global @current: *pmap { ; "pmap.c":4:1
  "" = @kernel_pmap:*pmap
}
global @count: u64 ; "pmap.c":5:1-9

atomic function @mark(%pmap: *pmap, %bit: u32) -> u32 { ; "pmap.c":7:1-20
  var %old: u32
entry:
  %old = rmw or field(%pmap, active):*u32, shl(1:u32, %bit) ; "pmap.c":9:5-31
  rmw sub @count:*u64, 1:u64 ; "pmap.c":10:5
  branch eq(%old, 0:u32), first, "not first" ; "pmap.c":11:8
first:
  sometimes "two at once" ; "pmap.c":12:1
  jump "not first" ; "pmap.c":13:1
"not first":
  return select(in_region(cpu, "delayed invl"), %old, neg(%old)) ; "pmap.c":14:1
}

function @main() { ; "main.c":1:1
  var %p: *pmap
  var %x: u32
  var %"odd one": u16
entry:
  %p = load @current:**pmap ; "main.c":2:1
  enter smr ; "main.c":3:1
  step ; "main.c":4:1
  %x = call @mark(%p, 3:u32) ; "main.c":5:1
  call @mark(null:*pmap, ffs(%x)) ; "main.c":6:1
  store index(field(%p, pcids):*[2 x u16{0..4}], %x), cast(%x):u16 ; "main.c":7:1
  %x = cmpxchg field(%p, active):*u32, 0:u32, add(%x, 1:u32) ; "main.c":8:1
  fence ; "main.c":9:1
  %"odd one" = choose 0:u16, 7:u16 ; "main.c":10:1
  assume land(true, not(lt(%x, 5:u32))) ; "main.c":11:1
  assert ne(%p, null:*pmap), KASSERT, "pmap %p:\\n\\t\\"%d\\"", %p, %x ; "main.c":12:1
  print "done\\n" ; "main.c":13:1
  count pmap.shootdowns ; "main.c":14:1
  leave smr ; "main.c":15:1
  return ; "main.c":16:1
}

atomic function @holds(%cpu: u32) { ; "prop.c":1:1
entry:
  return ; "prop.c":2:1
}

atomic function @counts(%cpu: u32) -> bool { ; "prop.c":4:1
entry:
  return in_region(%cpu, smr) ; "prop.c":5:1
}

agent t0 cpu 0 context thread entry @main
agent "t 1" cpu 1 context "IPI 0xf3" entry @main
invariant no_stale_tlb @holds exempt smr, "delayed invl"
invariant plain @holds
exempt_when smr @counts

owned "what a pmap has" cpu 1 { ; "facts":1:1
  cell @kernel_pmap ".pcids[1]"
  cell @count ""
  when @current "" is @kernel_pmap ""
  when @kernel_pmap ".active" has 2
  when @count "" not 3
  outside smr
  outside "delayed invl"
}

owned constant nobody shared { ; "facts":2:1
  cell @current ""
}
"""


def test_every_construct_keeps_its_text() -> None:
    program = parse_program(EVERYTHING)
    verify(program)
    assert print_program(program) == EVERYTHING


@settings(suppress_health_check=SLOW_TO_DRAW, max_examples=40)
@given(programs())
def test_round_trip(program: Program) -> None:
    text = print_program(program)
    parsed = parse_program(text)
    assert parsed == program
    assert print_program(parsed) == text
    text = print_program(program, locations=False)
    assert print_program(parse_program(text), locations=False) == text


def test_text_without_locations_does_not_depend_on_places() -> None:
    moved = EVERYTHING.replace('"main.c":', '"other.c":1')
    assert moved != EVERYTHING
    first, second = parse_program(EVERYTHING), parse_program(moved)
    assert print_program(first) != print_program(second)
    assert print_program(first, locations=False) == print_program(second, locations=False)


def test_a_function_prints_as_in_its_program() -> None:
    for fn in parse_program(EVERYTHING).functions.values():
        assert print_function(fn) + "\n" in EVERYTHING
        assert '.c"' not in print_function(fn, locations=False)


PMAP = Pointer(Struct("pmap"))
X = Local("x", U32)
ODD = Pointer(U8)


# Types that do not follow from the operands: not well formed, some of them,
# but a broken program must print what it is.
@pytest.mark.parametrize(
    ("expr", "text"),
    [
        (Const(1, BOOL), "true"),
        (Const(2, BOOL), "2:bool"),
        (Const(1, Int(1, signed=True)), "1:i1"),
        (Const(-3, Int(8, True, lo=-4)), "-3:i8{-4..}"),
        (Const(3, Int(8, hi=4)), "3:u8{..4}"),
        (Const(0, PMAP), "null:*pmap"),
        (Const(7, PMAP), "7:*pmap"),
        (Const(0, Pointer(Struct("i8"))), 'null:*"i8"'),
        (X, "%x:u32"),
        (FieldAddress(X, "s", "f", ODD), "field(%x:u32, s::f):*u8"),
        (FieldAddress(Local("p", PMAP), "pmap", "f", ODD), "field(%p:*pmap, f):*u8"),
        (FieldAddress(Local("p", PMAP), "s", "f", ODD), "field(%p:*pmap, s::f):*u8"),
        (IndexAddress(X, X, 3, ODD), "index(%x:u32, %x:u32, 3):*u8"),
        (
            IndexAddress(Local("a", Pointer(Array(U8, 3))), X, 4, Pointer(U32)),
            "index(%a:*[3 x u8], %x:u32, 4):*u32",
        ),
        (ThisCpu(U64), "cpu:u64"),
        (InRegion(ThisCpu(), "smr", U8), "in_region(cpu, smr):u8"),
        (Unary("popcount", X, U32), "popcount(%x:u32)"),
        (Unary("popcount", X, U64), "popcount(%x:u32):u64"),
        (Unary("neg", X, U64), "neg(%x:u32):u64"),
        (Binary("add", X, X, U32), "add(%x:u32, %x:u32)"),
        (Binary("add", X, X, U64), "add(%x:u32, %x:u32):u64"),
        (Binary("eq", X, X, U32), "eq(%x:u32, %x:u32):u32"),
        (Cast(X, U64), "cast(%x:u32):u64"),
        (Select(Const(0, BOOL), X, X, U32), "select(false, %x:u32, %x:u32)"),
        (Select(Const(0, BOOL), X, X, U64), "select(false, %x:u32, %x:u32):u64"),
    ],
)
def test_expressions(expr: Expr, text: str) -> None:
    assert print_expr(expr) == text
    (line,) = body_of(f"assume {text}")
    assert isinstance(line, Assume)
    assert line.condition == expr


def body_of(line: str) -> tuple[Instruction, ...]:
    program = parse_program(f"function @f() {{\nentry:\n  {line}\n  return\n}}")
    return program.functions["f"].blocks[0].instructions


@given(st.text())
def test_any_string_survives(text: str) -> None:
    loc = Location(text, 1)
    program = parse_program(EVERYTHING)
    struct = replace(program.structs["pmap"], fields=((text, U8),), loc=loc)
    program = replace(program, must_reach=(text,), structs={"pmap": struct})
    printed = print_program(program)
    assert parse_program(printed) == program
    assert all(line.isprintable() for line in printed.split("\n"))


def test_places_in_the_text_stand_in_for_missing_locations() -> None:
    text = "# a comment\nglobal @g: u32\nfunction @f() {\nb:\n  count x  # another\n  return }\n"
    program = parse_program(text, file="a.ir")
    assert program.globals["g"].loc == Location("a.ir", 2, 1, 15)
    fn = program.functions["f"]
    assert fn.loc == Location("a.ir", 3, 1, 16)
    assert fn.blocks[0].instructions[0].loc == Location("a.ir", 5, 3, 10)
    assert fn.blocks[0].terminator.loc == Location("a.ir", 6, 3, 9)


def test_a_label_after_a_bare_return_is_no_value() -> None:
    text = "function @f() {\na:\n  return\ncpu:\n  return\nvar:\n  return\n}"
    fn = parse_program(text).functions["f"]
    assert [block.label for block in fn.blocks] == ["a", "cpu", "var"]


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("cpus 2 region r", (1, 8), "expected the end of the line, found 'region'"),
        ("cpus 2\ncpus 2", (2, 1), "given twice"),
        ("cpus x", (1, 6), "expected the number of CPUs, found 'x'"),
        (f"cpus {'9' * 41}", (1, 6), "too long"),
        ("widget w", (1, 1), "expected a declaration"),
        ("region", (1, 7), "expected a region, found the end of the text"),
        ("global @g: u32 ; here", (1, 16), "not a location"),
        ('region "open', (1, 8), "does not end"),
        ('region "\\q"', (1, 8), r"unknown escape \\q"),
        ('region "\\u{110000}"', (1, 8), "unknown escape"),
        ("region a?", (1, 9), "unexpected character '\\?'"),
        ("struct s {\n}\nstruct s {\n}", (3, 8), "declared twice"),
        ("struct s {\n  a u8\n}", (2, 5), "expected ':'"),
        ("struct s {\n  a: u8 b: u8\n}", (2, 9), "the end of the line"),
        ("global g: u8", (1, 8), "expected '@'"),
        ("global @g: u8{..}", (1, 17), "expected an upper bound"),
        ("global @g: [2 u8]", (1, 15), "expected 'x'"),
        (f"global @g: {'*' * 200}u8", (1, 113), "nested deeper"),
        ('global @g: u8 {\n  "" = 1:u8\n  "" = 1:u8\n}', (3, 3), "two values"),
        ('global @g: u8 {\n  "" = cpu\n}', (2, 8), "starts with a constant"),
        ("global @g: u8 {\n  f = 1:u8\n}", (2, 3), "expected a path"),
        ("exempt_when r @f\nexempt_when r @f", (2, 1), "two conditions"),
        ("invariant i f", (1, 13), "expected '@'"),
        ("agent a cpu 0 entry @f", (1, 15), "expected 'context'"),
        ("atomic struct s {\n}", (1, 8), "expected 'function'"),
        ("function @f(%a: u8, %a: u8) {\n}", (1, 21), "declared twice"),
        ("function @f(a: u8) {\n}", (1, 13), "expected '%'"),
        ("function @f(%a) {\n}", (1, 15), "expected ':'"),
        ("function @f(%a: [2 x u8]) {\n}", (1, 17), "cannot have type"),
        ("function @f() {\n  var %a: u8\n  var %a: u8\n}", (3, 7), "declared twice"),
        ("function @f() {\nb:\n  fence\n}", (4, 1), "the block b does not end"),
        ("function @f() {\nb:\nc:\n  return\n}", (3, 1), "the block b does not end"),
        ("function @f() {\nb:\n  return", (3, 9), "expected the label"),
    ],
)
def test_mistakes_in_declarations(text: str, place: tuple[int, int], message: str) -> None:
    with pytest.raises(IRError, match=message) as caught:
        parse_program(text, file="a.ir")
    location = caught.value.location
    assert location is not None
    assert (location.file, location.line, location.column) == ("a.ir", *place)
    assert caught.value.source == text.split("\n")[place[0] - 1]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("wibble 1:u8", "unknown instruction 'wibble'"),
        ("7:u8", "expected an instruction"),
        ("assume 7", "expected ':'"),
        ("assume wibble(1:u8)", "unknown operation 'wibble'"),
        ('assume "x"', "expected an expression"),
        ("assume %x", "unknown local %x"),
        ("assume null:u8", "an address is a pointer"),
        ("assume cpu:*u8", "the result is an integer"),
        ("assume 1:[2 x u8]", "cannot have type"),
        ("assume add(1:u8)", "expected ','"),
        ("assume not(true, true)", r"expected '\)'"),
        ("assume add(null:*u8, 1:u8)", "does not follow"),
        ("assume field(null:*u8, f):*u8", "which structure"),
        ("assume index(null:*u8, 1:u8)", "expected a length"),
        ("assume cast(1:u8)", "expected ':'"),
        (f"assume {'not(' * 200}true{')' * 200}", "nested deeper"),
        ("rmw mul @g:*u8, 1:u8", "unknown operation 'mul'"),
        ("store @g:*u8", "expected ','"),
        ("call f()", "expected '@'"),
        ("call @f(1:u8 2:u8)", r"expected '\)'"),
        ("print hello", "expected a format"),
        ("assert true, KASSERT", "expected ','"),
        ("fence fence", "the end of the line"),
        ("%x fence", "expected '='"),
    ],
)
def test_mistakes_in_instructions(line: str, message: str) -> None:
    with pytest.raises(IRError, match=message) as caught:
        body_of(line)
    assert caught.value.location is not None
    assert caught.value.location.line in (3, 4)
    assert caught.value.source is not None


@given(st.text(alphabet='agf%@:{}()[]*,=;"1.u8 \n-#\\'))
def test_no_text_escapes_as_another_error(text: str) -> None:
    try:
        parse_program(text)
    except IRError as error:
        assert error.location is not None


@settings(suppress_health_check=SLOW_TO_DRAW, max_examples=15)
@given(programs(), st.data())
def test_damaged_text_is_read_or_refused(program: Program, data: st.DataObject) -> None:
    text = print_program(program)
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start, min(len(text), start + 10)))
    try:
        damaged = parse_program(text[:start] + text[end:])
    except IRError as error:
        assert error.location is not None
    else:
        assert parse_program(print_program(damaged)) == damaged
