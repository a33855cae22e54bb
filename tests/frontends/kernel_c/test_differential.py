"""The front end and the machine's C compiler agree on what C means."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given, settings

from frontends.kernel_c.differential import (
    CText,
    Failed,
    NotCompiled,
    Refused,
    compiled,
    lowered,
    modelled,
    why_not_compiled,
)
from frontends.kernel_c.strategies import batches, seeded
from ir.runnable import quick
from pmaplab.ir.printer import print_function

# What must be refused, or fail when it runs.
FAILS = "fails"
# By name: the functions in front of the entry, its body, and what it leaves behind,
# or a part of the message of what is refused.
CASES: dict[str, tuple[str, str, dict[str, int] | str]] = {
    "the first test of a for steps": (
        "",
        "int i; for (i = 0; i++ < 3; ) gc++; o0 = i;",
        {"o0": 4, "gc": -4},
    ),
    "the first test of a for has a comma": (
        "",
        "int i; for (i = 0; (gn++, i < 3); i++) ;",
        {"gn": -5},
    ),
    "a signed bit field": (
        "",
        "struct bits b; b.mid = 31; gi = b.mid; b.mid = 15; gc = b.mid++; gsh = b.mid;"
        "gn = (b.mid += 20);",
        {"gi": -1, "gc": 15, "gsh": -16, "gn": 4},
    ),
    "an unsigned bit field": (
        "",
        "struct bits b; b.lo = 7; o0 = b.lo++; o1 = b.lo; b.on = 4; o2 = b.on;",
        {"o0": 7, "o1": 0, "o2": 1},
    ),
    "a range of cases": (
        "",
        "switch (gi) { case -7 ... -3: o0 = 1; break; default: o0 = 2; }",
        {"o0": 1},
    ),
    "a range of cases that ends before": (
        "",
        "switch (gi) { case -20 ... -6: o0 = 1; break; default: o0 = 2; }",
        {"o0": 2},
    ),
    "a case in an arm that is excluded": (
        "",
        "switch (gi) { if (0) { case -5: gc = 1; } gsh = 2; }",
        {"gc": 1, "gsh": 2},
    ),
    "a member of a local union": ("", "union { int a; int b; } u; u.a = 1; o0 = u.a;", {"o0": 1}),
    "two members of a local union": (
        "",
        "union { u_int w; u_char b; } u; u.b = 1; u.w = 0x202; o0 = u.b;",
        "w, and elsewhere another member of the same union",
    ),
    "two members of a union without a name": (
        "",
        "struct { int q; union { int a; int b; }; } u; u.a = 1; u.b = 2; o0 = u.a;",
        "another member of the same union",
    ),
    "a structure in a union without a name": (
        "",
        "struct { union { struct { int a, b; }; int c; }; } u; u.a = 1; u.c = 2; o0 = u.a;",
        "another member of the same union",
    ),
    "a structure in a union": (
        "",
        "struct { union { struct { int a, b; }; int c; }; } u; u.a = 1; u.b = 2; o0 = u.a;",
        {"o0": 1},
    ),
    "a cleanup": (
        "static void clean(int *p) { gi = 77; }",
        "int x __attribute__((cleanup(clean))) = 5; gu = x;",
        "a function that is called at the end of x's scope",
    ),
    "another attribute": ("", "int x __attribute__((unused)) = 5; gu = x;", {"gu": 5}),
    "a field that only local structures name is copied": (
        "",
        "struct pair l, m; l = gs; m = gs; l.z = 1; m.z = 2; m = l; o0 = m.z;",
        {"o0": 1},
    ),
    "a field that only a local structure names is read": (
        "",
        "struct pair l; l.z = 3; l = gs; o0 = l.z; l.e[1] = 4; l = gp[1]; o1 = l.e[1];",
        {"o0": 0, "o1": 0},
    ),
    "a field of a structure within is copied": (
        "",
        "struct pair l, m; l = gs; l.in_.y = 3; m.in_.y = 4; m.in_ = l.in_; o0 = m.in_.y;",
        {"o0": 3},
    ),
    "a structure within is zeroed": (
        "",
        "struct plain l; l.in_.y = 5; l.i = 3; memset(&l, 0, sizeof(l)); o0 = l.in_.y + l.i;",
        {"o0": 0},
    ),
    "only a structure within is zeroed": (
        "",
        "struct plain l; l.in_.y = 5; l.i = 3; memset(&l.in_, 0, sizeof(l.in_));"
        "o0 = l.in_.y + l.i;",
        {"o0": 3},
    ),
    "an array in a structure is zeroed": (
        "",
        "struct plain l; l.sh[1] = 5; memset(&l, 0, sizeof(l)); o0 = l.sh[1];",
        {"o0": 0},
    ),
    "a zeroed field behind a goto": (
        "",
        "struct plain l; goto in; out: memset(&l, 0, sizeof(l)); o0 = l.in_.y; return;"
        "in: l.in_.y = 5; goto out;",
        {"o0": 0},
    ),
    "the least number is negated": ("", "o0 = -(-2147483647 - 1);", FAILS),
    "the least long is negated": ("", "o0 = -(-0x7fffffffffffffffL - 1);", FAILS),
    "an unused value": ("", "gu << gi;", FAILS),
    "an unused value in a comma": ("", "o0 = ((void)(gi / (gi + 5)), 3);", FAILS),
    "initial values": (
        "static u_long ka = -1; static u_char kb = 0x1ff; static bool kc = 2; static u_int kd = "
        "(short)0xffff; static long ke = (u_char)-1; static u_int kf = -(u_char)1;",
        "o0 = ka; o1 = kb; o2 = kc; gu = kd; gn = ke; gul = kf;",
        {"o0": 2**64 - 1, "o1": 255, "o2": 1, "gu": 2**32 - 1, "gn": 255, "gul": 2**32 - 1},
    ),
    "a parameter that points to the own CPU on one way": (
        "static void f(struct pcpu *p, int c) { if (c) p = __pmaplab_pcpu(); p->pc_rsp0 = 5; }",
        "f(&__pcpu[1], 0); ",
        {"__pcpu[0].rsp0": 0, "__pcpu[1].rsp0": 5},
    ),
    "a pointer to the own CPU": (
        "",
        "struct pcpu *p; p = __pmaplab_pcpu(); p->pc_rsp0 = 5;",
        {"__pcpu[0].rsp0": 5},
    ),
    "a pointer to the own CPU on one way": (
        "",
        "struct pcpu *p; if (gi > 0) p = __pmaplab_pcpu(); p->pc_rsp0 = 5;",
        "the local p may be read before it is assigned",
    ),
    "a condition that decides nothing": ("", "if (gu << gi) { }", FAILS),
    "a store through an array's first element": (
        "",
        "u_int *p = ga; p[1] = 3;",
        "a store to the model through what it cannot follow",
    ),
    "a store through another type": (
        "",
        "*(unsigned char *)&gu = 3;",
        "a store to the model through what it cannot follow",
    ),
    "an addition through another type": (
        "",
        "*(unsigned char *)&gu += 3;",
        "a store to the model through what it cannot follow",
    ),
    "a step through another type": (
        "",
        "(*(unsigned char *)&gu)++;",
        "a store to the model through what it cannot follow",
    ),
    "a store through a number": (
        "",
        "u_long x = (u_long)&gu; *(u_int *)x = 5;",
        "a store to the model through what it cannot follow",
    ),
    "a store through void *": (
        "",
        "void *p = &gu; *(u_int *)p = 5;",
        "a store to the model through what it cannot follow",
    ),
    "an atomic operation on an array": (
        "",
        "atomic_add_int(ga, 1);",
        "atomic_add_int of what the model has",
    ),
    "an array is zeroed": (
        "",
        "memset(ga, 0, sizeof(ga));",
        "memset of what the model has",
    ),
    "a local array is zeroed": (
        "",
        "int x[2]; x[1] = 2; memset(x, 0, sizeof(x)); o0 = x[1];",
        "memset of what the model has",
    ),
    "an effect in what is expected": (
        "",
        "o0 = __builtin_expect(gi, gu++);",
        "evaluating this argument has an effect",
    ),
    "an array whose length has an effect": (
        "",
        "int a[gi++ + 7]; o0 = gi;",
        "an array whose length is no constant",
    ),
    "a type whose size has an effect": (
        "",
        "typedef int t[gi++ + 7]; o0 = gi;",
        "an array whose length is no constant",
    ),
    "a number for a narrower parameter of the model": ("", "take(200);", {"go.w": 200}),
    "a number too large for a parameter of the model": (
        "",
        "take(300);",
        "does not always fit into u8 of take",
    ),
    "values that no operand evaluates": (
        "",
        "int z = 0; o0 = gi ? 1 : 5 / z; o1 = z != 0 && 5 / z; o2 = z ? 5 / z : 3;",
        {"o0": 1, "o1": 0, "o2": 3},
    ),
}

needs_compiler = pytest.mark.skipif(bool(why_not_compiled()), reason=why_not_compiled())


def program_of(name: str, number: int = 0) -> CText:
    functions, body, _ = CASES[name]
    return CText(f"{functions}\nvoid entry_{number}(void) {{ {body} }}\n", number)


@pytest.mark.parametrize("name", CASES)
def test_a_program(name: str) -> None:
    expected = CASES[name][2]
    found = modelled(program_of(name))
    if expected == FAILS:
        assert isinstance(found, Failed)
    elif isinstance(expected, str):
        assert isinstance(found, Refused) and expected in found.message
    else:
        assert isinstance(found, dict)
        assert {path: found[path] for path in expected} == expected


@needs_compiler
def test_the_compiler_agrees() -> None:
    taken = {n: e for n, (_, _, e) in CASES.items() if e == FAILS or isinstance(e, dict)}
    programs = [program_of(name, number) for number, name in enumerate(taken)]
    for name, program, real in zip(taken, programs, compiled(programs), strict=True):
        if taken[name] == FAILS:
            assert isinstance(real, Failed), name
        else:
            assert real == modelled(program), name


def test_a_pointer_to_the_own_cpu_stays_behind_a_thread_that_migrates() -> None:
    program = program_of("a pointer to the own CPU")
    for preemptions, address in ((0, "store field(index(@__pcpu"), (1, "store field(%p")):
        made = lowered(program, preemptions=preemptions)
        assert address in print_function(made.functions["entry_0"])


def compare(programs: Sequence[CText]) -> Counter[str]:
    """How often both agree, and how often there is nothing to compare."""
    count: Counter[str] = Counter()
    try:
        ended = compiled(programs)
    except NotCompiled as error:
        # GCC 12: (bool)(1, 2) with sanitizers.
        assert "internal compiler error" in str(error), error
        return Counter({"compiler": len(programs)})
    for program, real in zip(programs, ended, strict=True):
        found = modelled(program)
        if isinstance(found, Refused):
            count["refused"] += 1
        elif isinstance(real, Failed):
            if "left shift of negative value" in real.message:
                count["shifted"] += 1  # compilers define it, and so does the model
                continue
            assert isinstance(found, Failed), f"undefined: {real.message}\n{program.text}"
            count["undefined"] += 1
        else:
            assert found == real, program.text
            count["same"] += 1
    return count


@needs_compiler
def test_random_programs() -> None:
    count: Counter[str] = Counter()

    @settings(quick, max_examples=8, deadline=None)
    @given(batches(6))
    def agree(programs: tuple[CText, ...]) -> None:
        count.update(compare(programs))

    agree()
    assert count["same"] > 0.8 * count.total()


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize("start", range(0, 2000, 500))
def test_many_random_programs(start: int) -> None:
    count: Counter[str] = Counter()
    for first in range(start, start + 500, 20):
        count.update(compare([seeded(first + number, number) for number in range(20)]))
    assert count["same"] > 0.8 * count.total()
    assert count["undefined"] > 0
