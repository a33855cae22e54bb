"""Single instructions: registers of all widths, flags and jumps, compared with
arithmetic on Python's integers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pmaplab.frontends.litmus.herd import parse_herd
from pmaplab.frontends.litmus.source import LitmusSource
from pmaplab.litmus import run_litmus
from pmaplab.machine.modes import SC, TSO

SUFFIX = {8: "b", 16: "w", 32: "l", 64: "q"}
NAMES = {8: "bl", 16: "bx", 32: "ebx", 64: "rbx"}
SOURCES = {8: "cl", 16: "cx", 32: "ecx", 64: "rcx"}


def signed(value: int, bits: int) -> int:
    value %= 1 << bits
    return value - (1 << bits) if value >> bits - 1 else value


def final(code: str, shown: str, start: str = "") -> list[dict[str, int]]:
    """The final states of one thread, unsigned."""
    rows = "\n".join(f" {line} ;" for line in code.split("\n"))
    shown = " ".join(f"{place};" for place in shown.split())
    text = f"X86_64 t\n{{ {start} }}\n P0 ;\n{rows}\nlocations [{shown}]\nexists (true)\n"
    test = parse_herd(LitmusSource("t.litmus", text))
    states = run_litmus(test).states
    assert states == run_litmus(test, memory=SC).states
    return [
        {part.split("=")[0]: int(part.split("=")[1]) for part in state.rstrip(";").split("; ")}
        for state in states
    ]


OPERATIONS: dict[str, Callable[[int, int], int]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "cmp": lambda a, b: a - b,
    "and": lambda a, b: a & b,
    "or": lambda a, b: a | b,
    "xor": lambda a, b: a ^ b,
    "test": lambda a, b: a & b,
}


def taken(op: str, a: int, b: int, bits: int) -> dict[str, bool]:
    """Which conditional jumps are taken after ``op b, a``, from what they mean
    for numbers rather than from flags."""
    exact = OPERATIONS[op](signed(a, bits), signed(b, bits))
    result = exact % (1 << bits)
    zero, negative = result == 0, bool(result >> bits - 1)
    overflow = exact != signed(result, bits)
    if op in ("sub", "cmp"):
        below, less = a < b, signed(a, bits) < signed(b, bits)
    elif op == "add":
        below, less = a + b >= 1 << bits, exact < 0
    else:
        below, less = False, signed(result, bits) < 0
    return {
        "e": zero,
        "ne": not zero,
        "s": negative,
        "ns": not negative,
        "o": overflow,
        "no": not overflow,
        "b": below,
        "ae": not below,
        "be": below or zero,
        "a": not (below or zero),
        "l": less,
        "ge": not less,
        "le": less or zero,
        "g": not (less or zero),
    }


INTERESTING = st.sampled_from((0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0x7FFFFFFF, 0x80000000))
VALUES = INTERESTING | st.integers(0, (1 << 64) - 1) | st.integers(0, 300).map(lambda n: -n)


@settings(max_examples=60)
@given(st.sampled_from(sorted(OPERATIONS)), st.sampled_from(sorted(SUFFIX)), VALUES, VALUES)
def test_arithmetic_and_jumps(op: str, bits: int, left: int, right: int) -> None:
    a, b = left % (1 << bits), right % (1 << bits)
    jumps = taken(op, a, b, bits)
    lines = [f"{op}{SUFFIX[bits]} %{SOURCES[bits]},%{NAMES[bits]}"]
    for number, name in enumerate(jumps):
        # Only MOV between the operation and the jumps: it leaves the flags.
        lines += [f"j{name} L{number}", f"movb $1,({name})", f"L{number}: nop"]
    start = f"0:rbx={left % (1 << 64)}; 0:rcx={right % (1 << 64)};"
    start += "".join(f" int8_t {name};" for name in jumps)
    (state,) = final("\n".join(lines), "0:rbx " + " ".join(jumps), start)
    whole = left % (1 << 64)
    if op not in ("cmp", "test"):
        result = OPERATIONS[op](a, b) % (1 << bits)
        kept = 0 if bits == 32 else whole >> bits << bits
        whole = kept | result
    assert state.pop("0:rbx") % (1 << 64) == whole
    assert {name.strip("[]"): not value for name, value in state.items()} == jumps


@pytest.mark.parametrize(
    ("code", "shown", "start", "found"),
    [
        ("movl $-1,%eax", "0:rax", "0:rax=-1;", {"0:rax": 0xFFFFFFFF}),
        ("movw $-1,%ax", "0:rax", "", {"0:rax": 0xFFFF}),
        ("movb $1,%ah", "0:rax 0:ah", "", {"0:rax": 0x100, "0:ah": 1}),
        ("movb %ah,%bl", "0:rbx", "0:rax=0x1234;", {"0:rbx": 0x12}),
        ("xchgw %ax,%bx", "0:rax 0:rbx", "0:rax=1; 0:rbx=2;", {"0:rax": 2, "0:rbx": 1}),
        ("xchgb %al,%ah", "0:rax", "0:rax=0x1234;", {"0:rax": 0x3412}),
        ("xaddl %eax,%ebx", "0:rax 0:rbx", "0:rax=1; 0:rbx=2;", {"0:rax": 2, "0:rbx": 3}),
        ("xaddl %eax,%eax", "0:rax", "0:rax=3;", {"0:rax": 6}),
        ("xaddl %eax,(x)", "0:rax x", "0:rax=1; int x=2;", {"0:rax": 2, "[x]": 3}),
        ("lock xaddl %eax,(x)", "0:rax x", "0:rax=1; int x=2;", {"0:rax": 2, "[x]": 3}),
        ("incb (x)", "x", "int8_t x=127;", {"[x]": -128}),
        ("lock decl (x)", "x", "", {"[x]": -1}),
        ("lock notw (x)", "x", "uint16_t x=1;", {"[x]": 0xFFFE}),
        ("lock andl %eax,(x)", "x", "0:rax=6; int x=3;", {"[x]": 2}),
        ("lock orl $4,(x)", "x", "int x=3;", {"[x]": 7}),
        ("negl %eax", "0:eax", "0:rax=5;", {"0:eax": -5}),
        ("stc: subl $1,%eax\nincl %ebx\njb End\nmovl $9,%ecx\nEnd: nop", "0:ecx", "", {"0:ecx": 0}),
        ("movl $1,%eax\nnegl %eax\njb End\nmovl $9,%ecx\nEnd: nop", "0:ecx", "", {"0:ecx": 0}),
        ("notl %eax\nje End\nmovl $9,%ecx\nEnd: nop", "0:ecx", "", {"0:ecx": 9}),
        ("jmp End\nmovl $9,%ecx\nEnd: nop", "0:ecx", "", {"0:ecx": 0}),
        ("Up: addl $1,%eax\ncmpl $5,%eax\njne Up", "0:eax", "", {"0:eax": 5}),
    ],
)
def test_single_results(code: str, shown: str, start: str, found: dict[str, int]) -> None:
    assert final(code, shown, start) == [found]


@pytest.mark.parametrize("lock", ["", "lock "])
@pytest.mark.parametrize(
    ("memory", "found"),
    [
        (5, {"0:rax": 0xA00000005, "0:rdx": 1, "[x]": 7}),
        (6, {"0:rax": 6, "0:rdx": 0, "[x]": 6}),
    ],
)
def test_compare_exchange(lock: str, memory: int, found: dict[str, int]) -> None:
    code = f"{lock}cmpxchgl %ecx,(x)\njne End\nmovl $1,%edx\nEnd: nop"
    start = f"0:rax=0xA00000005; 0:rcx=7; int x={memory};"
    assert final(code, "0:rax 0:rdx x", start) == [found]


def test_compare_exchange_of_registers() -> None:
    for value, found in ((1, 7), (2, 2)):
        (state,) = final("cmpxchgl %ecx,%ebx", "0:rbx", f"0:rax=1; 0:rcx=7; 0:rbx={value};")
        assert state == {"0:rbx": found}


def test_unlocked_memory_operation_is_two_accesses() -> None:
    text = "X86_64 t\n{}\n P0 | P1 ;\n OPincl (x) | OPincl (x) ;\nlocations [x;]\nexists (true)\n"
    for lock, states in (("", ("[x]=1;", "[x]=2;")), ("lock ", ("[x]=2;",))):
        test = parse_herd(LitmusSource("t.litmus", text.replace("OP", lock)))
        for memory in (SC, TSO):
            assert run_litmus(test, memory=memory).states == states
