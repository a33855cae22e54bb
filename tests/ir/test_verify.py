"""Every rule of the verifier, with a program that breaks it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import cast, get_args

import pytest
from hypothesis import HealthCheck, given, settings

from ir.strategies import programs
from pmaplab.errors import IRError, Location
from pmaplab.ir.callgraph import callees, find_recursion, reachable_functions
from pmaplab.ir.dataflow import assigned_at_entry
from pmaplab.ir.nodes import (
    Assign,
    Assume,
    Binary,
    Block,
    Branch,
    Const,
    Expr,
    Function,
    Instruction,
    Program,
    Return,
    Rmw,
    Terminator,
    Unary,
)
from pmaplab.ir.parser import parse_program
from pmaplab.ir.text import MAX_DEPTH
from pmaplab.ir.types import BOOL, U8, U32, Array, Pointer, Scalar, Type
from pmaplab.ir.verify import verify
from pmaplab.ir.walk import operands, subexpressions

HERE = Location("here.c", 7, 3, 9)

# A well-formed program; the tests add to it what is not.
BASE = """
cpus 2
region smr
struct pmap {
  active: u32
  pcids: [2 x u16]
  next: *pmap
}
struct box {
  inner: [2 x pmap]
}
global @pmap: pmap
global @boxes: box
global @word: u32
global @small: u32{0..4}
global @flag: bool
function @plain(%a: u32) -> u32 {
b:
  return %a
}
atomic function @quick() {
b:
  return
}
atomic function @looks(%cpu: u32) -> bool {
b:
  return in_region(%cpu, smr)
}
atomic function @writes() {
b:
  store @word:*u32, 1:u32
  return
}
"""


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], max_examples=40)
@given(programs())
def test_generated_programs_are_well_formed(program: Program) -> None:
    verify(program)


def test_the_generator_makes_every_construct() -> None:
    made: set[type[object]] = set()

    @settings(
        suppress_health_check=list(HealthCheck),
        database=None,
        derandomize=True,
        max_examples=80,
    )
    @given(programs())
    def collect(program: Program) -> None:
        for fn in program.functions.values():
            for block in fn.blocks:
                for line in (*block.instructions, block.terminator):
                    made.add(type(line))
                    for expr in operands(line):
                        made.update(map(type, subexpressions(expr)))

    collect()
    assert made == {*get_args(Expr), *get_args(Instruction), *get_args(Terminator)}


def body(*lines: str, head: str = "function @f()") -> str:
    inner = "\n  ".join(lines)
    return f"""{BASE}
{head} {{
  var %x: u32
  var %y: u32
  var %s: u32{{0..4}}
  var %h: u16
  var %i: i32
  var %c: bool
  var %p: *pmap
  var %w: *u32
entry:
  %x = 0:u32
  %s = 0:u32
  %h = 0:u16
  %i = 0:i32
  %c = true
  %p = null:*pmap
  %w = null:*u32
  jump here
here:
  {inner}
}}
"""


def rejected(program: Program, message: str) -> IRError:
    with pytest.raises(IRError, match=re.escape(message)) as caught:
        verify(program)
    return caught.value


def rejected_at_here(text: str, message: str) -> None:
    """The mistake is in the last line of ``text`` that HERE marks."""
    assert rejected(parse_program(text), message).location == HERE


MARK = ' ; "here.c":7:3-9'


# What is allowed, so that the rejections below are for the reason they name.
@pytest.mark.parametrize(
    "line",
    [
        "%x = %s",
        "%s = %x",
        "%x = add(%s, 1:u32)",
        "%x = shl(%x, %h)",
        "%x = shr(%s, 3:u8)",
        "%c = lt(%p, @pmap:*pmap)",
        "%c = eq(%s, %x)",
        "%x = popcount(%h)",
        "%h = ffs(%x):u16",
        "%x = cast(%p):u32",
        "%x = load @small:*u32{0..4}",
        "store @small:*u32{0..4}, %x",
        "%p = rmw xchg field(@pmap:*pmap, next):**pmap, %p",
        "rmw add %w, 1:u32",
        "call @plain(%x)",
        "%s = call @plain(%s)",
        "call @quick()",
        "%w = field(%p, active):*u32",
        "%h = load index(field(%p, pcids):*[2 x u16], %i)",
        "%x = select(%c, %x, %s)",
        "%x = choose 0:u32, 4:u32",
        "%x = cpu",
        "%x = inv(%s)",
    ],
)
def test_well_formed_lines(line: str) -> None:
    verify(parse_program(body(line, "return")))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        # names
        ("%z = 1:u32", "unknown local 'z'"),
        ("%x = %z:u32", "unknown local 'z'"),
        ("%x = load @nothing:*u32", "unknown global 'nothing'"),
        ("call @nothing()", "unknown function 'nothing'"),
        ("%w = field(%p, wrong):*u32", "has no field 'wrong'"),
        ("%w = field(null:*nothing, active):*u32", "unknown structure 'nothing'"),
        ("%w = field(%p, nothing::active):*u32", "unknown structure 'nothing'"),
        ("%c = in_region(cpu, nothing)", "unknown region 'nothing'"),
        ("enter nothing", "unknown region 'nothing'"),
        ("leave nothing", "unknown region 'nothing'"),
        # constants and types
        ("%x = 4294967296:u32", "outside of the range of u32"),
        ("%x = -1:u32", "outside of the range of u32"),
        ("%x = 5:u32{0..4}", "outside of the range of u32{0..4}"),
        ("%c = 2:bool", "outside of the range of bool"),
        ("%p = 7:*pmap", "no constant of type *pmap"),
        ("%x = cast(1:u65):u32", "1 to 64 bits"),
        ("%x = cast(0:u0):u32", "1 to 64 bits"),
        ("%x = cast(5:u8{5..4}):u32", "range"),
        ("%x = cast(5:u8{0..256}):u32", "range"),
        ("%x = cast(5:i8{-129..}):u32", "range"),
        ("%x = cast(null:*[0 x u8]):u32", "an array has 0 elements"),
        ("%x = cast(null:*[2 x nothing]):u32", "unknown structure"),
        # assignments and memory
        ("%x = 1:u16", "%x has type u32, but gets a u16"),
        ("%x = 1:i32", "%x has type u32, but gets a i32"),
        ("%p = null:*box", "%p has type *pmap, but gets a *box"),
        ("%x = %p", "but gets a *pmap"),
        ("%x = add(%h:u32, 1:u32)", "%h has type u16, not u32"),
        ("%h = load @word:*u32", "%h has type u16, but gets a u32"),
        ("%x = load 5:u32", "the address has type u32, not a pointer"),
        ("%x = load %p", "a whole pmap cannot be read"),
        ("store %p, 1:u32", "a whole pmap cannot be read or written"),
        ("store field(%p, pcids):*[2 x u16], 1:u16", "a whole [2 x u16]"),
        ("store %w, 1:u16", "the value stored has type u16"),
        ("store @small:*u32, 1:u32", "has type *u32{0..4}, not *u32"),
        ("%x = rmw add %w, 1:u16", "the operand has type u16"),
        ("%h = rmw add %w, 1:u32", "%h has type u16"),
        ("rmw add field(%p, next):**pmap, %p", "works on an integer"),
        ("rmw add %p, 1:u32", "a whole pmap"),
        ("%x = cmpxchg %w, 1:u16, 1:u32", "the expected value has type u16"),
        ("%x = cmpxchg %w, 1:u32, 1:u16", "the desired value has type u16"),
        ("%h = cmpxchg %w, 1:u32, 1:u32", "%h has type u16"),
        ("%x = cmpxchg %p, 1:u32, 1:u32", "a whole pmap"),
        # conditions and choices
        ("assume %x", "the condition has type u32, where bool is needed"),
        ('assert %x, KASSERT, "no"', "the condition has type u32"),
        ('assert true, KASSERT, "%d", 9:u2', "outside of the range of u2"),
        ('print "%d", 9:u2', "outside of the range of u2"),
        ("%p = choose 0:u32, 1:u32", "choose gives an integer"),
        ("%x = choose 0:u16, 1:u32", "the lower bound has type u16"),
        ("%x = choose 0:u32, 1:u16", "the upper bound has type u16"),
        # calls
        ("call @plain()", "plain takes 1 arguments, not 0"),
        ("call @plain(%x, %x)", "plain takes 1 arguments, not 2"),
        ("call @plain(%h)", "the argument a of plain has type u16"),
        ("%h = call @plain(%x)", "%h has type u16, but gets a u32"),
        ("%x = call @quick()", "quick returns no value"),
        # addresses
        ("%w = @small:*u32", "has type *u32{0..4}, not *u32"),
        ("%w = field(%x, pmap::active):*u32", "the base has type u32"),
        ("%w = field(@boxes:*box, pmap::active):*u32", "the base has type *box"),
        ("%w = field(%p, pcids):*u32", "gives a *[2 x u16], not a *u32"),
        ("%w = index(%x, 0:u32, 2):*u32", "index needs a pointer to an array"),
        ("%w = index(field(%p, pcids):*[2 x u16], 0:u32):*u32", "gives a *u16"),
        ("%h = load index(field(%p, pcids):*[2 x u16], 0:u32, 3)", "has 2 elements, not 3"),
        ("%h = load index(field(%p, pcids):*[2 x u16], %p)", "an integer is needed"),
        # expressions
        ("%x = cast(cpu:u8):u32", "the number of a CPU gives a u32, not a u8"),
        ("%c = in_region(%h, smr)", "the number of a CPU has type u16"),
        ("%x = in_region(cpu, smr):u32", "in_region gives a bool, not a u32"),
        ("%c = not(%x)", "the operand of not has type u32"),
        ("%x = not(%c):u32", "not gives a bool, not a u32"),
        ("%x = neg(%h):u32", "neg gives a u16, not a u32"),
        ("%x = inv(%x):u32{0..4}", "inv gives a u32, not a u32{0..4}"),
        ("%x = neg(%p):u32", "an integer is needed, not a *pmap"),
        ("%x = popcount(%p)", "an integer is needed, not a *pmap"),
        ("%c = popcount(%x):bool", "does not fit in bool"),
        ("%c = eq(%x, %h)", "the second operand of eq has type u16"),
        ("%c = eq(%p, %w)", "the second operand of eq has type *u32"),
        ("%c = eq(%x, %i)", "the second operand of eq has type i32"),
        ("%x = lt(%x, %x):u32", "lt gives a bool, not a u32"),
        ("%c = land(%x, %c)", "the first operand of land has type u32"),
        ("%c = lor(%c, %x)", "the second operand of lor has type u32"),
        ("%x = lor(%c, %c):u32", "lor gives a bool, not a u32"),
        ("%x = add(%x, %h)", "the second operand of add has type u16"),
        ("%x = add(%h, %h):u32", "add gives a u16, not a u32"),
        ("%x = add(%s, %s):u32{0..4}", "add gives a u32, not a u32{0..4}"),
        ("%p = add(%p, %x):u32", "an integer is needed, not a *pmap"),
        ("%x = shl(%x, %i)", "shl by a i32, which is signed"),
        ("%x = shl(%x, %p)", "an integer is needed, not a *pmap"),
        ("%x = shr(%h, %x):u32", "shr gives a u16, not a u32"),
        ("%x = select(%x, %x, %x)", "the condition has type u32"),
        ("%x = select(%c, %h, %x):u32", "the first value has type u16"),
        ("%x = select(%c, %x, %h)", "the second value has type u16"),
        # dataflow
        ("%x = %y", "%y may be read before it is assigned"),
        ("%y = add(%y, 1:u32)", "%y may be read before it is assigned"),
    ],
)
def test_broken_lines(line: str, message: str) -> None:
    rejected_at_here(body(line + MARK, "return"), message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (body(f"return 1:u32{MARK}"), "f returns no value"),
        (body(f"return{MARK}", head="function @f() -> u32"), "f returns a u32"),
        (
            body(f"return 1:u16{MARK}", head="function @f() -> u32"),
            "the value returned has type u16",
        ),
        (body(f"jump nowhere{MARK}"), "unknown block 'nowhere'"),
        (body(f"branch true, here, nowhere{MARK}"), "unknown block 'nowhere'"),
        (body(f"branch %x, here, here{MARK}"), "the condition has type u32"),
        (body("return", "here:", f"return{MARK}"), "two blocks have the label 'here'"),
        (body("return", "island:", f"fence{MARK}", "return"), "'island' is not reachable"),
        (body("return", "island:", f"return{MARK}"), "'island' is not reachable"),
        (
            body("return", "a:", f"jump b{MARK}", "b:", "jump a"),
            "'a' is not reachable",
        ),
        (
            body(
                *("branch %c, a, b", "a:", "%y = 1:u32", "jump b", "b:", f"return %y{MARK}"),
                head="function @f() -> u32",
            ),
            "%y may be read before it is assigned",
        ),
        (
            body(f"%x = %y{MARK}", "%y = 1:u32", "jump here"),
            "%y may be read before it is assigned",
        ),
        (body(f"step{MARK}", "return", head="atomic function @f()"), "contains a step"),
        (
            body(f"call @plain(%x){MARK}", "return", head="atomic function @f()"),
            "an atomic function calls plain, which is not atomic",
        ),
        (body(f"call @f(){MARK}", "return"), "recursion: f -> f"),
    ],
)
def test_broken_flow(text: str, message: str) -> None:
    rejected_at_here(text, message)


def test_a_value_on_every_way_is_enough() -> None:
    lines = ("branch %c, a, b", "a:", "%y = 1:u32", "jump d", "b:", "%y = 2:u32", "jump d")
    verify(parse_program(body(*lines, "d:", "%x = %y", "branch %c, here, d2", "d2:", "return")))


def test_parameters_have_values() -> None:
    verify(parse_program("function @f(%x: u32) -> u32 {\nb:\n  return %x\n}"))


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ("struct loop {\n  a: [2 x loop]\n}", "the structure loop contains itself"),
        ("struct a {\n  b: b\n}\nstruct b {\n  a: a\n}", "the structure a contains itself"),
        ("struct s {\n  a: b\n}", "unknown structure 'b'"),
        ("struct s {\n  a: *b\n}", "unknown structure 'b'"),
        ("struct s {\n  a: u8\n  a: u8\n}", "two fields 'a'"),
        ("struct s {\n}", "has no fields"),
        ("struct s {\n  a: [0 x u8]\n}", "an array has 0 elements"),
        ("global @g: nothing", "unknown structure 'nothing'"),
        ("global @g: u65", "1 to 64 bits"),
        ('global @g: pmap {\n  "" = 1:u32\n}', "g is a whole pmap"),
        ('global @g: pmap {\n  ".pcids" = 1:u16\n}', "g.pcids is a whole [2 x u16]"),
        ('global @g: pmap {\n  ".pcids[2]" = 1:u16\n}', "g.pcids[2] names no cell"),
        ('global @g: pmap {\n  ".pcids[00]" = 1:u16\n}', "g.pcids[00] names no cell"),
        ('global @g: pmap {\n  ".nothing" = 1:u16\n}', "g.nothing names no cell"),
        ('global @g: pmap {\n  "active" = 1:u32\n}', "gactive names no cell"),
        ('global @g: pmap {\n  ".active.x" = 1:u32\n}', "g.active.x names no cell"),
        ('global @g: box {\n  ".inner[1].active" = 1:u16\n}', "has type u32, its value u16"),
        ('global @g: pmap {\n  ".next" = @word:*u32\n}', "has type *pmap, its value *u32"),
        ('global @g: *pmap {\n  "" = @nothing:*pmap\n}', "unknown global 'nothing'"),
        ('global @g: *pmap {\n  "" = @word:*pmap\n}', "address of word has type *u32"),
        ('global @g: *pmap {\n  "" = 7:*pmap\n}', "no constant of type *pmap"),
        ('global @g: u8 {\n  "" = 256:u8\n}', "outside of the range of u8"),
        ('global @g: u8{0..4} {\n  "" = 5:u8\n}', "outside of the range of u8{0..4}"),
        ("function @f() {\n}", "f has no blocks"),
        ("function @f(%a: *nothing) {\nb:\n  return\n}", "unknown structure 'nothing'"),
        ("function @f() -> *nothing {\nb:\n  return\n}", "unknown structure 'nothing'"),
        ("region smr", "the region 'smr' is declared twice"),
        ("agent a cpu 0 context thread entry @nothing", "unknown function 'nothing'"),
        ("agent a cpu 0 context thread entry @plain", "plain takes parameters"),
        ("agent a cpu 2 context thread entry @quick", "there is no CPU 2"),
        ("agent a cpu -1 context thread entry @quick", "there is no CPU -1"),
        (
            "agent a cpu 0 context thread entry @quick\nagent a cpu 1 context t entry @quick",
            "two agents have the name 'a'",
        ),
        ("invariant i @nothing", "unknown function 'nothing'"),
        ("invariant i @plain", "plain is not atomic"),
        ("invariant i @quick", "quick must take one parameter"),
        ("invariant i @looks exempt nothing", "unknown region 'nothing'"),
        ("exempt_when smr @nothing", "unknown function 'nothing'"),
        ("exempt_when smr @plain", "plain is not atomic"),
        ("exempt_when smr @quick", "quick must take one parameter"),
        ("exempt_when nothing @looks", "unknown region 'nothing'"),
    ],
)
def test_broken_declarations(item: str, message: str) -> None:
    rejected(parse_program(f"{BASE}\n{item}\n"), message)


def test_declarations_that_are_allowed() -> None:
    verify(
        parse_program(
            BASE
            + """
struct list {
  next: *list
}
global @g: box {
  ".inner[1].next" = @pmap:*pmap
  ".inner[1].pcids[0]" = 3:u16
}
agent a cpu 1 context thread entry @quick
invariant i @looks exempt smr
exempt_when smr @looks
"""
        )
    )


OBSERVER = "atomic function @o(%cpu: u32) -> bool {{\n  var %x: u32\nb:\n  {}\n  return true\n}}\n"


@pytest.mark.parametrize("use", ["invariant i @o", "exempt_when smr @o"])
@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("store @word:*u32, 1:u32", "o stores"),
        ("rmw add @word:*u32, 1:u32", "o writes"),
        ("%x = cmpxchg @word:*u32, 1:u32, 2:u32", "o writes"),
        ("fence", "o drains"),
        ("%x = choose 0:u32, 1:u32", "o chooses"),
        ("assume true", "o assumes"),
        ('print "hello"', "o prints"),
        ("enter smr", "o enters"),
        ("leave smr", "o leaves"),
    ],
)
def test_observers_have_no_effects(use: str, line: str, message: str) -> None:
    text = f"{BASE}{OBSERVER.format(line + MARK)}{use}\n"
    rejected_at_here(text, message)


def test_observers_call_only_observers() -> None:
    text = f"{BASE}{OBSERVER.format('call @writes()')}invariant i @o\n"
    rejected(parse_program(text), "o calls writes, which stores")


def test_observers_may_look_and_count() -> None:
    lines = '%x = load @word:*u32\n  assert true, MPASS, ""\n  count c\n  sometimes l'
    verify(parse_program(f"{BASE}{OBSERVER.format(lines)}invariant i @o\nexempt_when smr @o\n"))


@pytest.mark.parametrize(
    ("head", "use", "message"),
    [
        ("(%cpu: u16)", "invariant i @o", "must take one parameter"),
        ("(%cpu: u32, %a: u32)", "invariant i @o", "must take one parameter"),
        ("(%cpu: u32)", "exempt_when smr @o", "returns a bool"),
        ("(%cpu: u32) -> u32", "exempt_when smr @o", "returns a bool"),
    ],
)
def test_signatures_of_observers(head: str, use: str, message: str) -> None:
    value = " 1:u32" if "->" in head else ""
    text = f"{BASE}atomic function @o{head} {{\nb:\n  return{value}\n}}\n{use}\n"
    rejected(parse_program(text), message)


def test_recursion_names_the_cycle() -> None:
    text = ""
    for caller, callee in [("main", "a"), ("a", "b"), ("b", "c"), ("c", "a")]:
        text += f"function @{caller}() {{\nx:\n  call @{callee}()\n  return\n}}\n"
    error = rejected(parse_program(text), "recursion: a -> b -> c -> a")
    assert error.location is not None
    assert error.location.line == 8


def test_no_cpus() -> None:
    rejected(parse_program("cpus 0"), "at least one CPU")


# --- what the text cannot say ----------------------------------------------


def with_function(change: Callable[[Function], Function]) -> Program:
    program = parse_program(BASE)
    return replace(program, functions={"plain": change(program.functions["plain"])})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda fn: replace(fn, name="other"), "stands under the name 'plain'"),
        (lambda fn: replace(fn, variables={}), "the parameter %a has no type"),
        (lambda fn: replace(fn, parameters=("a", "a")), "two parameters have one name"),
        (
            lambda fn: replace(fn, variables={"a": cast("Scalar", Array(U32, 2))}),
            "a value cannot have type [2 x u32]",
        ),
    ],
)
def test_broken_functions(change: Callable[[Function], Function], message: str) -> None:
    rejected(with_function(change), message)


def test_declarations_under_another_name() -> None:
    program = parse_program(BASE)
    structs = {**program.structs, "other": program.structs["pmap"]}
    rejected(replace(program, structs=structs), "the structure 'pmap' stands under")
    names = {**program.globals, "other": program.globals["word"]}
    rejected(replace(program, globals=names), "the global 'word' stands under")


def single_block(*blocks: Block) -> Program:
    fn = Function("f", (), {"x": U32}, None, blocks, False, HERE)
    return Program(structs={}, globals={}, functions={"f": fn}, agents=())


ONE = Const(1, U32)


@pytest.mark.parametrize(
    ("expr", "message"),
    [
        (Binary("pow", ONE, ONE, U32), "unknown operation 'pow'"),
        (Unary("sqrt", ONE, U32), "unknown operation 'sqrt'"),
    ],
)
def test_unknown_operations(expr: Expr, message: str) -> None:
    line = Assign("x", expr, HERE)
    error = rejected(single_block(Block("b", (line,), Return(None, HERE))), message)
    assert error.location == HERE


def test_unknown_rmw_operation() -> None:
    line = Rmw(None, "mul", Const(0, Pointer(U32)), ONE, HERE)
    program = single_block(Block("b", (line,), Return(None, HERE)))
    assert rejected(program, "unknown operation 'mul'").location == HERE


def nested(levels: int) -> Expr:
    expr: Expr = Const(1, BOOL)
    for _ in range(levels):
        expr = Unary("not", expr, BOOL)
    return expr


def test_deep_expressions_are_refused() -> None:
    def program(levels: int) -> Program:
        return single_block(Block("b", (Assume(nested(levels), HERE),), Return(None, HERE)))

    verify(program(MAX_DEPTH))
    rejected(program(MAX_DEPTH + 1), "nested deeper")


def test_deep_types_are_refused() -> None:
    def program(levels: int) -> Program:
        kind: Type = U8
        for _ in range(levels):
            kind = Pointer(kind)
        given = cast("Scalar", kind)
        fn = replace(parse_program(BASE).functions["quick"], variables={"x": given})
        return Program(structs={}, globals={}, functions={"quick": fn}, agents=())

    verify(program(MAX_DEPTH))
    rejected(program(MAX_DEPTH + 1), "nested deeper")


def test_the_verifier_and_the_parser_agree_on_depth() -> None:
    deepest = "not(" * MAX_DEPTH + "true" + ")" * MAX_DEPTH
    verify(parse_program(body(f"assume {deepest}", "return")))


# --- helpers ---------------------------------------------------------------


def test_callees_are_named_once_in_order() -> None:
    text = body("call @quick()", "call @plain(%x)", "call @quick()", "return")
    assert callees(parse_program(text).functions["f"]) == ("quick", "plain")


def test_reachable_functions() -> None:
    program = parse_program(body("call @quick()", "call @nothing()", "return"))
    assert reachable_functions(program, ["f"]) == {"f", "quick"}
    assert reachable_functions(program, []) == set()
    assert reachable_functions(program, ["looks", "nothing"]) == {"looks"}


def test_long_chains_of_calls_are_no_recursion() -> None:
    text = "".join(
        f"function @f{number}() {{\nb:\n  call @f{number + 1}()\n  return\n}}\n"
        for number in range(3000)
    )
    assert find_recursion(parse_program(text)) is None
    closed = text + "function @f3000() {\nb:\n  call @f2999()\n  return\n}\n"
    assert find_recursion(parse_program(closed)) == ["f2999", "f3000", "f2999"]


def test_shared_callees_are_no_recursion() -> None:
    text = body("call @g()", "call @quick()", "return")
    text += "function @g() {\nb:\n  call @quick()\n  return\n}\n"
    assert find_recursion(parse_program(text)) is None


def test_loops_lose_what_one_way_lacks() -> None:
    flag = Const(1, BOOL)
    entry = Block("entry", (), Branch(flag, "loop", "out", HERE))
    loop = Block("loop", (Assign("x", ONE, HERE),), Branch(flag, "loop", "out", HERE))
    fn = single_block(entry, loop, Block("out", (), Return(None, HERE))).functions["f"]
    assert assigned_at_entry(fn) == {"entry": set(), "loop": set(), "out": set()}


OWNED = """
owned rule cpu 1 {
  cell @pmap ".active"
  when @pmap ".next" is @boxes ".inner[0]"
  outside smr
}
"""


def test_what_is_owned_is_there() -> None:
    verify(parse_program(BASE + OWNED))


@pytest.mark.parametrize(
    ("line", "instead", "message"),
    [
        ("cpu 1", "cpu 2", "there is no CPU 2"),
        ('cell @pmap ".active"', "", "speaks of no cells"),
        ('".active"', '".passive"', "there is nothing at pmap.passive"),
        ("cell @pmap", "cell @map", "there is nothing at map.active"),
        ('".active"', '".pcids"', "pmap.pcids is a whole"),
        ('@boxes ".inner[0]"', '@boxes ""', "does not point to a"),
        ('is @boxes ".inner[0]"', "is 1", "is a pointer, and no number"),
        ('@pmap ".next" is @boxes ".inner[0]"', '@small "" is 5', "is never 5"),
        ('@pmap ".next" is @boxes ".inner[0]"', '@small "" has 0', "is never 0"),
        ("outside smr", "outside nothing", "unknown region 'nothing'"),
        ("cpu 1", "nobody", "asks for regions, but has no CPU"),
        (
            "outside smr\n}",
            'outside smr\n}\nowned rule nobody shared {\n  cell @word ""\n}',
            "shared",
        ),
    ],
)
def test_what_is_owned_and_wrong(line: str, instead: str, message: str) -> None:
    assert line in OWNED
    with pytest.raises(IRError, match=re.escape(message)) as failed:
        verify(parse_program(BASE + OWNED.replace(line, instead)))
    assert failed.value.location is not None
