"""Mistakes in litmus tests: each points at its place."""

from __future__ import annotations

import pytest

from pmaplab.errors import LitmusError
from pmaplab.frontends.litmus.herd import parse_herd
from pmaplab.frontends.litmus.oneline import parse_oneline
from pmaplab.frontends.litmus.source import LitmusSource
from pmaplab.litmus import run_litmus


def fails(source: LitmusSource, herd: bool) -> LitmusError:
    with pytest.raises(LitmusError) as caught:
        for test in [parse_herd(source)] if herd else parse_oneline(source):
            run_litmus(test)
    assert caught.value.location is not None and caught.value.source is not None
    return caught.value


def at(error: LitmusError) -> str:
    """The text that the carets underline."""
    loc, source = error.location, error.source
    assert loc is not None and source is not None
    return source[loc.column - 1 : loc.end_column - 1]


@pytest.mark.parametrize(
    ("text", "message", "place"),
    [
        ("t\tallowed\tP0: x=1", "4 or 5 columns", "t\tallowed\tP0: x=1"),
        ("t allowed", "4 or 5 columns", "t allowed"),
        (" \tallowed\tP0: x=1\tx=1", "no name", "\t"),
        ("t\tmaybe\tP0: x=1\tx=1", "'maybe' is no verdict", "maybe"),
        ("t\tallowed\tP1: x=1\tx=1", "P0: is expected", "P1: x=1"),
        ("t\tallowed\tP0: x=1 | P0: x=1\tx=1", "P1: is expected", "P0: x=1"),
        ("t\tallowed\tP0: x+1\tx=1", "'x+1' is no operation", "x+1"),
        ("t\tallowed\tP0: x=1;\tx=1", "'' is no operation", "\t"),
        ("t\tallowed\tP0: r0=r1\t0:r0=1", "r1 is a register", "r0=r1"),
        ("t\tallowed\tP0: r0=1\t0:r0=1", "r0 is a register", "r0=1"),
        ("t\tallowed\tP0: x=99999999999999999999\tx=1", "does not fit", "x=99999999999999999999"),
        ("t\tallowed\tP0: x=1\ty=1", "no location y", "y=1"),
        ("t\tallowed\tP0: x=1\t0:r0=1", "no operation of P0 writes r0", "0:r0=1"),
        ("t\tallowed\tP0: r0=x\t1:r0=1", "no operation of P1 writes r0", "1:r0=1"),
        ("t\tallowed\tP0: x=1\tx==1", "'x==1' is no condition", "x==1"),
        ("t\tallowed\tP0: x=1\tx=1 &", "'' is no condition", ""),
        ("t\tallowed\tP0: x=1\tx=1\nt\tallowed\tP0: x=1\tx=1", "line 1 has a test t", "t"),
    ],
)
def test_one_line(text: str, message: str, place: str) -> None:
    error = fails(LitmusSource("t.txt", text), herd=False)
    assert message in error.message and at(error) == place


@pytest.mark.parametrize(
    ("row", "message", "place"),
    [
        ("movz $1,(x)", "the instruction movz is not supported", "movz"),
        ("movnti %eax,(x)", "movnti is not supported", "movnti"),
        ("movl (x)", "mov has 2 operands, not 1", "movl"),
        ("mfence %eax", "more operands than", "%eax"),
        ("movl $1,%eax,%ebx", "mov has 2 operands, not 3", "movl"),
        ("mov $1,(x)", "does not say how wide", "mov"),
        ("movq %eax,(x)", "the register has 32 bits, mov works on 64", "%eax"),
        ("movb $256,(x)", "256 does not fit into 8 bits", "$256"),
        ("movl %eax,$1", "mov cannot write a number", "$1"),
        ("movl (x),(y)", "at most one operand in memory", "y"),
        ("xaddl $1,(x)", "the source of xadd is a register", "$1"),
        ("xchgl $1,(x)", "xchg cannot write a number", "$1"),
        ("lock movl $1,(x)", "mov cannot be locked", "lock"),
        ("lock addl $1,%eax", "add cannot be locked", "lock"),
        ("lock mfence", "mfence cannot be locked", "lock"),
        ("lock", "an instruction is expected", ";"),
        ("movl %foo,(x)", "there is no register %foo", "%foo"),
        ("movl (%foo),%eax", "there is no register %foo", "%foo"),
        ("movl 8(%rdi),%eax", "displacement", "8"),
        ("movl (%edi),%eax", "not in a register of 32 bits", "%edi"),
        ("movl (%rdi,%rcx),%eax", "')' is missing", ","),
        ("movl x,%eax", "'(' is missing behind x", ","),
        ("movl x(%rbx),%eax", "only %rip", "%rbx"),
        ("movl (),%eax", "a location or a register is expected", ")"),
        ("movl ,%eax", "an operand is expected", ","),
        ("movl $1,(%rdi)", "rdi holds no address", "%rdi"),
        ("movl (%rsi),%esi", "rsi holds the address of x", "%esi"),
        ("movl $1,(x) | nop", "this row has 2 columns, the table has 1", "movl"),
        ("movl $1,(x) ; movw $1,(x)", "16 bits to x, which has 32", "x"),
        ("jmp", "the label to jump to", ";"),
        ("jmp Nowhere", "P0 has no label Nowhere", "jmp"),
        ("A: nop ; A: nop", "P0 has a label A already", "A"),
        ("movl $1,(x) ? ", "'?' has no meaning here", "?"),
        ("movl $1,(x) (* open", "this comment does not end", "(*"),
        ("P1 = 3", "the instruction p1 is not supported", "P1"),
    ],
)
def test_instructions(row: str, message: str, place: str) -> None:
    text = f"X86_64 t\n{{ 0:rsi=x; }}\n P0 ;\n {row} ;\nexists (true)\n"
    error = fails(LitmusSource("t.litmus", text), herd=True)
    assert message in error.message and at(error) == place
    assert error.location is not None and error.location.line == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "begins with X86_64 and its name"),
        ("X86_64\n{}\n", "begins with X86_64 and its name"),
        ("AArch64 t\n{}\n P0 ;\nexists (true)", "AArch64 is not supported"),
        ("X86_64 t\n P0 ;\nexists (true)", "the initial values are missing"),
        ("X86_64 t\n{ x=1\n P0 ;\nexists (true)", "';' is missing behind an initial value"),
        ("X86_64 t\n{ x=1;", "'}' is missing"),
        ("X86_64 t\n{ x=1; x=2; }\n P0 ;\nexists (true)", "x has an initial value already"),
        ("X86_64 t\n{ 0:rax=1; 0:eax=2; }\n P0 ;\nexists (true)", "0:rax has an initial value"),
        ("X86_64 t\n{ 1:rax=1; }\n P0 ;\nexists (true)", "there is no thread P1"),
        ("X86_64 t\n{ 0:al=1; }\n P0 ;\nexists (true)", "the whole register"),
        ("X86_64 t\n{ 0:eax=x; }\n P0 ;\nexists (true)", "the whole register"),
        ("X86_64 t\n{ 0:rzx=1; }\n P0 ;\nexists (true)", "there is no register rzx"),
        ("X86_64 t\n{ float x; }\n P0 ;\nexists (true)", "the type float is not supported"),
        ("X86_64 t\n{ int *x; }\n P0 ;\nexists (true)", "pointers are not supported"),
        ("X86_64 t\n{ int x[2]; }\n P0 ;\nexists (true)", "arrays are not supported"),
        ("X86_64 t\n{ x=y; }\n P0 ;\nexists (true)", "holds an address is not supported"),
        ("X86_64 t\n{ int8_t x=300; }\n P0 ;\nexists (true)", "300 does not fit into 8 bits"),
        ("X86_64 t\n{}\n P1 ;\nexists (true)", "P0 is expected here"),
        ("X86_64 t\n{}\n P0 : a ;\nexists (true)", "only the thread's name stands here"),
        ("X86_64 t\n{}\n P0 ;\n nop\nexists (true)", "';' is missing at the end of the row"),
        ("X86_64 t\n{}\n P0 ;\n nop ;\n", "the condition is missing"),
        ("X86_64 t\n{}\n P0 ;\n nop ;\n~forall (true)", "'exists' is missing behind ~"),
        ("X86_64 t\n{}\n P0 ;\n nop ;\nexists (true) x", "nothing may follow"),
        ("X86_64 t\n{}\n P0 ;\n nop ;\nexists (true", "')' is missing in the condition"),
        ("X86_64 t\n{}\n P0 ;\n nop ;\nexists (x=1)", "the test has no location x"),
        ("X86_64 t\n{ xx=1; }\n P0 ;\n nop ;\nexists (xxx=1)", "the test has no location xxx"),
        ("X86_64 t\n{x;}\n P0 ;\n nop ;\nexists (x=y)", "comparison with an address"),
        ("X86_64 t\n{x;}\n P0 ;\n nop ;\nexists (x<1)", "'<' has no meaning"),
        ("X86_64 t\n{x;}\n P0 ;\n nop ;\nexists (x)", "'=' is missing behind [x]"),
        ("X86_64 t\n{}\n P0 ;\n nop ;\nexists (1:rax=1)", "there is no thread P1"),
        ("X86_64 t\n{0:rax=x;}\n P0 ;\n nop ;\nexists (0:rax=1)", "0:rax holds an address"),
        ("X86_64 t\n{x;}\n P0 ;\n nop ;\nlocations [x\n", "']' is missing"),
        ("X86_64 t\n{x;}\n P0 ;\n nop ;\nexists " + "(" * 200, "nested deeper than 100"),
        ("X86_64 t\n{x;}\n P0 ;\n nop ;\nexists " + "not " * 200, "nested deeper than 100"),
    ],
)
def test_the_rest(text: str, message: str) -> None:
    assert message in fails(LitmusSource("t.litmus", text), herd=True).message
