"""x86-TSO once more, in plain Python: the pass is compared with it.

An operation is a tuple: ``("store", location, value)``, ``("load", register,
location)``, ``("fence",)``, ``("xchg", register, location, value)``, ``("xadd",
register, location, value)`` or ``("cmpxchg", register, location, expected,
desired)``; the register receives the old value.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

T = TypeVar("T")
# A location, or a register.
K = TypeVar("K", str, tuple[int, str])
Operation = tuple[str | int, ...]
Thread = tuple[Operation, ...]
Buffer = tuple[tuple[str, int], ...]
Memory = tuple[tuple[str, int], ...]
# (thread, register) -> value
Registers = tuple[tuple[tuple[int, str], int], ...]
Machine = tuple[tuple[int, ...], tuple[Buffer, ...], Memory, Registers]


def final_states(
    threads: tuple[Thread, ...], locations: tuple[str, ...], bound: int | None
) -> set[tuple[Memory, Registers]]:
    """Memory and registers when all is done; ``bound`` None is unbounded, and 0
    stands for no buffers at all."""
    start: Machine = (
        tuple(0 for _ in threads),
        tuple(() for _ in threads),
        tuple((name, 0) for name in sorted(locations)),
        (),
    )
    seen, work = {start}, [start]
    result: set[tuple[Memory, Registers]] = set()
    while work:
        machine = work.pop()
        after = list(_moves(threads, machine, bound))
        if not after:
            done = all(at == len(t) for at, t in zip(machine[0], threads, strict=True))
            assert done and not any(machine[1]), "a machine that is stuck"
            result.add((machine[2], machine[3]))
        for following in after:
            if following not in seen:
                seen.add(following)
                work.append(following)
    return result


def _moves(threads: tuple[Thread, ...], machine: Machine, bound: int | None) -> Iterator[Machine]:
    counters, buffers, memory, registers = machine
    for number, thread in enumerate(threads):
        buffer = buffers[number]
        if buffer:
            (name, value), waiting = buffer[0], buffer[1:]
            drained = _with(buffers, number, waiting)
            yield counters, drained, _set(memory, name, value), registers
        if counters[number] == len(thread):
            continue
        onward = _with(counters, number, counters[number] + 1)
        values = dict(memory)
        match thread[counters[number]]:
            case ("store", str(name), int(value)):
                if bound == 0:
                    yield onward, buffers, _set(memory, name, value), registers
                elif bound is None or len(buffer) < bound:
                    longer = (*buffer, (name, value))
                    yield onward, _with(buffers, number, longer), memory, registers
            case ("load", str(register), str(name)):
                # The newest own store to the location, else memory.
                value = next((v for n, v in reversed(buffer) if n == name), values[name])
                yield onward, buffers, memory, _set(registers, (number, register), value)
            case ("fence",):
                if not buffer:
                    yield onward, buffers, memory, registers
            case (("xchg" | "xadd" | "cmpxchg") as op, str(register), str(name), *rest):
                if not buffer:
                    old = values[name]
                    new = _locked(op, old, [int(value) for value in rest])
                    changed = _set(registers, (number, register), old)
                    yield onward, buffers, _set(memory, name, new), changed
            case other:
                raise AssertionError(other)


def _locked(op: str | int, old: int, values: list[int]) -> int:
    if op == "xchg":
        return values[0]
    if op == "xadd":
        return (old + values[0]) % (1 << 64)
    return values[1] if old == values[0] else old


def _with(values: tuple[T, ...], number: int, value: T) -> tuple[T, ...]:
    return (*values[:number], value, *values[number + 1 :])


def _set(pairs: tuple[tuple[K, int], ...], key: K, value: int) -> tuple[tuple[K, int], ...]:
    return tuple(sorted({**dict(pairs), key: value}.items()))
