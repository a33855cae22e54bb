"""Integer expressions, held to a model of C's arithmetic made of ctypes."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from frontends.kernel_python.support import compiled
from pmaplab.ir.cut import cut
from pmaplab.ir.verify import verify
from pmaplab.search.interpreter import Interpreter

CTYPES = {
    "u8": ctypes.c_uint8,
    "u16": ctypes.c_uint16,
    "u32": ctypes.c_uint32,
    "u64": ctypes.c_uint64,
    "i32": ctypes.c_int32,
    "i64": ctypes.c_int64,
}
BITS = {"u8": 8, "u16": 16, "u32": 32, "u64": 64, "i32": 32, "i64": 64}


class Undefined(Exception):
    """C leaves the value open; kernel Python reports a violation."""


@dataclass(frozen=True)
class Term:
    """An expression with its type; ``leaves`` are its variables' values."""

    text: str
    kind: str
    value: int | None
    undefined: bool = False


def limited(kind: str, exact: int) -> int:
    """``exact`` in the type: wrapped, or undefined for a signed type."""
    value = int(CTYPES[kind](exact).value)
    if kind[0] == "i" and value != exact:
        raise Undefined
    return value


def calculated(op: str, kind: str, a: int, b: int) -> int:
    match op:
        case "+":
            return limited(kind, a + b)
        case "-":
            return limited(kind, a - b)
        case "*":
            return limited(kind, a * b)
        case "&":
            return a & b
        case "|":
            return a | b
        case "^":
            return a ^ b
        case "<<" | ">>":
            if not 0 <= b < BITS[kind]:
                raise Undefined
            return limited(kind, a << b) if op == "<<" else a >> b
    if b == 0:
        raise Undefined
    quotient = limited(kind, abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1))
    return quotient if op == "//" else a - b * quotient


def edges(kind: str) -> st.SearchStrategy[int]:
    low = -(1 << (BITS[kind] - 1)) if kind[0] == "i" else 0
    high = low + (1 << BITS[kind]) - 1
    return st.sampled_from([low, low + 1, 0, 1, 2, 7, high - 1, high]) | st.integers(low, high)


@st.composite
def terms(draw: st.DrawFn, kind: str, variables: list[tuple[str, int]], depth: int = 3) -> Term:
    """A random expression of the type, with what C makes of it."""

    def sub(wanted: str) -> Term:
        return draw(terms(wanted, variables, depth - 1))

    def known(text: str, ask: str, *parts: Term) -> Term:
        """The value, None where it is undefined."""
        values = [part.value for part in parts]
        if any(value is None for value in values):
            return Term(text, kind, None)
        try:
            a, b, c = ([value or 0 for value in values] + [0, 0, 0])[:3]
            match ask:
                case "neg":
                    value = limited(kind, -a)
                case "inv":
                    value = int(CTYPES[kind](~a).value)
                case "cast":
                    value = int(CTYPES[kind](a).value)
                case "==" | "<" | ">=" | "!=":
                    value = {"==": a == b, "<": a < b, ">=": a >= b, "!=": a != b}[ask]
                case "if":
                    value = b if a else c
                case _:
                    value = calculated(ask, kind, a, b)
        except Undefined:
            return Term(text, kind, None)
        return Term(text, kind, int(value))

    if depth == 0 or draw(st.integers(0, 5)) == 0:
        value = draw(edges(kind))
        if draw(st.booleans()):
            return Term(f"{kind}({value})", kind, value)
        name = f"v{len(variables)}_{kind}"
        variables.append((name, value))
        return Term(name, kind, value)
    way = draw(st.sampled_from(["binary", "binary", "shift", "unary", "cast", "compare", "if"]))
    if way == "binary":
        op = draw(st.sampled_from(["+", "-", "*", "&", "|", "^", "//", "%"]))
        a, b = sub(kind), sub(kind)
        return known(f"({a.text} {op} {b.text})", op, a, b)
    if way == "shift":
        op = draw(st.sampled_from(["<<", ">>"]))
        a, b = sub(kind), sub(draw(st.sampled_from(["u8", "u32"])))
        return known(f"({a.text} {op} {b.text})", op, a, b)
    if way == "unary":
        op = draw(st.sampled_from(["-", "~"]))
        a = sub(kind)
        return known(f"({op}{a.text})", "neg" if op == "-" else "inv", a)
    if way == "cast":
        a = sub(draw(st.sampled_from(list(CTYPES))))
        return known(f"{kind}({a.text})", "cast", a)
    other = draw(st.sampled_from(list(CTYPES)))
    a, b = sub(other), sub(other)
    op = draw(st.sampled_from(["==", "<", ">=", "!="]))
    test = known(f"({a.text} {op} {b.text})", op, a, b)
    if way == "compare":
        return Term(f"{kind}{test.text}", kind, test.value)
    c, d = sub(kind), sub(kind)
    text = f"({c.text} if {test.text} else {d.text})"
    # Only the arm that is taken counts.
    if test.value is not None and (taken := (c if test.value else d).value) is not None:
        return Term(text, kind, taken)
    return Term(text, kind, None)


@given(st.data(), st.sampled_from(list(CTYPES)))
def test_arithmetic_is_that_of_c(data: st.DataObject, kind: str) -> None:
    variables: list[tuple[str, int]] = []
    term = data.draw(terms(kind, variables))
    objects = "".join(f"{name}: {name.split('_')[1]} = {value}\n" for name, value in variables)
    text = (
        f"{objects}result: {kind} = 0\ndone: u32 = 0\n\n\n@thread_context\ndef main() -> None:\n"
        f"    global result, done\n    result = {term.text}\n    done = 1\n"
    )
    program = compiled(text, cpus=1).program
    verify(program)
    interpreter = Interpreter(cut(program))
    state, failure = interpreter.initial(), None
    while failure is None and not interpreter.done(state, 0):
        (outcome,) = interpreter.outcomes(state, 0)
        state, failure = outcome.state, outcome.failure
    if term.value is None:
        assert failure is not None and failure.kind in ("overflow", "divide error")
    else:
        assert failure is None
        assert state[interpreter.layout.address("result")] == term.value
