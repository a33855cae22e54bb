"""The pass ``tso`` against store buffers in plain Python, on random programs."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from machine.storebuffers import Operation, Thread, final_states
from pmaplab.frontends.litmus.herd import parse_herd
from pmaplab.frontends.litmus.source import LitmusSource
from pmaplab.litmus import run_litmus
from pmaplab.machine.modes import SC, TSO

LOCATIONS = ("x", "y")


@st.composite
def programs(draw: st.DrawFn) -> tuple[Thread, ...]:
    """Two or three threads with seven operations at most."""
    values = st.integers(0, 3)
    room = 7
    threads: list[Thread] = []
    for _ in range(draw(st.integers(2, 3))):
        code: list[Operation] = []
        for number in range(draw(st.integers(1, min(4, room)))):
            name, register = draw(st.sampled_from(LOCATIONS)), f"r{8 + number}"
            kind = draw(st.sampled_from(("store", "store", "load", "load", "fence", "locked")))
            if kind == "store":
                code.append(("store", name, draw(values)))
            elif kind == "load":
                code.append(("load", register, name))
            elif kind == "fence":
                code.append(("fence",))
            else:
                op = draw(st.sampled_from(("xchg", "xadd", "cmpxchg")))
                operands = [draw(values) for _ in range(2 if op == "cmpxchg" else 1)]
                code.append((op, register, name, *operands))
        room -= len(code)
        threads.append(tuple(code))
        if not room:
            break
    return tuple(threads)


def assembly(operation: Operation) -> list[str]:
    match operation:
        case ("store", name, value):
            return [f"movq ${value},({name})"]
        case ("load", register, name):
            return [f"movq ({name}),%{register}"]
        case ("fence",):
            return ["mfence"]
        case ("xchg", register, name, value):
            return [f"movq ${value},%{register}", f"xchgq %{register},({name})"]
        case ("xadd", register, name, value):
            return [f"movq ${value},%{register}", f"lock xaddq %{register},({name})"]
        case ("cmpxchg", register, name, expected, desired):
            return [
                f"movq ${expected},%rax",
                f"movq ${desired},%rcx",
                f"lock cmpxchgq %rcx,({name})",
                f"movq %rax,%{register}",
            ]
    raise AssertionError(operation)


def registers(threads: tuple[Thread, ...]) -> list[tuple[int, str]]:
    return sorted(
        {
            (number, str(operation[1]))
            for number, thread in enumerate(threads)
            for operation in thread
            if operation[0] not in ("store", "fence")
        }
    )


def litmus_text(threads: tuple[Thread, ...]) -> str:
    columns = [[line for operation in t for line in assembly(operation)] for t in threads]
    rows = [f"P{number}" for number in range(len(threads))]
    lines = [" | ".join(rows) + " ;"]
    for number in range(max(map(len, columns))):
        cells = [column[number] if number < len(column) else "" for column in columns]
        lines.append(" | ".join(cells) + " ;")
    places = [*LOCATIONS, *(f"{thread}:{name}" for thread, name in registers(threads))]
    start = "{" + " ".join(f"uint64_t {name};" for name in LOCATIONS) + "}"
    shown = "locations [" + " ".join(f"{place};" for place in places) + "]"
    return "\n".join(["X86_64 random", start, *lines, shown, "exists (true)"])


def expected(threads: tuple[Thread, ...], bound: int | None) -> set[str]:
    result: set[str] = set()
    for memory, values in final_states(threads, LOCATIONS, bound):
        found = dict(values)
        parts = [f"{t}:{name}={found[t, name]};" for t, name in registers(threads)]
        parts += [f"[{name}]={value};" for name, value in memory]
        result.add(" ".join(parts))
    return result


def in_order(states: set[str]) -> set[str]:
    """Registers are shown in an order of their own."""
    return {" ".join(sorted(state.split())) for state in states}


@settings(max_examples=60)
@given(programs())
def test_same_final_states_as_plain_store_buffers(threads: tuple[Thread, ...]) -> None:
    test = parse_herd(LitmusSource("random.litmus", litmus_text(threads)))
    for bound in (1, 2, 3, None):
        outcome = run_litmus(test, memory=TSO, store_buffer=bound)
        assert in_order(set(outcome.states)) == in_order(expected(threads, bound)), bound
    outcome = run_litmus(test, memory=SC)
    assert in_order(set(outcome.states)) == in_order(expected(threads, 0))
