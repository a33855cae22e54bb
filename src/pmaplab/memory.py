"""What the memory model tso leaves out of the reference kernel: its list, read
from kernels/freebsd/store_buffers.toml, which says what the entries mean."""

from __future__ import annotations

import functools
from collections.abc import Collection
from dataclasses import dataclass

from pmaplab.frontends.kernel_python.source import PACKAGE_ROOT, display_name
from pmaplab.ir.access import key_of
from pmaplab.ir.callgraph import reachable_functions
from pmaplab.ir.nodes import Program, Store
from pmaplab.ir.walk import instructions
from pmaplab.tomldata import read_toml

# Entries of a store buffer where nothing else is asked for.
DEFAULT_STORE_BUFFER = 2
_FILE = PACKAGE_ROOT / "kernels/freebsd/store_buffers.toml"


@dataclass(frozen=True)
class LeftOut:
    """``outside`` has the reason by name, ``at_once`` the lock by function,
    ``direct`` the reason by function, ``open`` the machine event by function."""

    outside: dict[str, str]
    at_once: dict[str, str]
    direct: dict[str, str]
    open: dict[str, str]


@functools.cache
def left_out() -> LeftOut:
    """The list."""
    data = read_toml(_FILE, display_name(_FILE)).data
    return LeftOut(
        {entry["name"]: entry["reason"] for entry in data["outside"]},
        {name: entry["lock"] for entry in data["at_once"] for name in entry["functions"]},
        {entry["function"]: entry["reason"] for entry in data["direct"]},
        {entry["function"]: entry["event"] for entry in data["open"]},
    )


def outside(program: Program) -> tuple[str, ...]:
    """What of the list a program has: a scenario of its own may be without the
    reference kernel."""
    return tuple(
        name
        for name in left_out().outside
        if name.split(".")[0] in program.structs or name[1:] in program.globals
    )


def direct(program: Program) -> tuple[str, ...]:
    """The functions of a program that read memory past the store buffers."""
    return tuple(name for name in left_out().direct if name in program.functions)


def memory_assumptions(
    program: Program, bound: int, *, drains: bool = False, forwards: bool = False
) -> list[str]:
    """What a verdict under tso rests on, in words; ``bound`` and what is
    disputed, whether INVPCID ``drains`` and the walker ``forwards``, as in Bounds."""
    reached = reachable_functions(program, program.entries)
    entries = f"{bound} {'entry' if bound == 1 else 'entries'}"
    result = [f"memory model tso, store buffers of at most {entries}"]
    if program.invariants:
        result.append(
            "a property sees memory through the store buffer of the CPU that it is asked for: "
            "a store counts for that CPU before others see it"
        )
    stored = _stored(program, reached)
    used = [n for n in outside(program) if n.split(".")[0] in stored or n[1:] in stored]
    for reason, names in _by_reason(left_out().outside, used).items():
        result.append(f"outside of the store buffers: {', '.join(names)}: {reason}")
    for lock, names in _by_reason(left_out().at_once, reached).items():
        result.append(
            f"a section under a lock reaches memory as one: {', '.join(names)}, under {lock}"
        )
    for reason in _by_reason(left_out().direct, reached):
        result.append("the page walker sees the CPU's own store buffer" if forwards else reason)
    for event in _by_reason(left_out().open, reached):
        result.append(f"{event} {'drains' if drains else 'does not drain'} the store buffer")
    return result


def _stored(program: Program, functions: Collection[str]) -> frozenset[str]:
    """The structures and scalar globals to which the functions store."""
    keys = {
        key_of(item.address)
        for name in functions
        for item in instructions(program.functions[name])
        if isinstance(item, Store)
    }
    return frozenset(key[key[0] == "@"] for key in keys if key is not None)


def _by_reason(entries: dict[str, str], wanted: Collection[str]) -> dict[str, list[str]]:
    result: dict[str, list[str]] = {}
    for name, reason in entries.items():
        if name in wanted:
            result.setdefault(reason, []).append(name)
    return result
