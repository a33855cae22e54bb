"""The names of the kernel Python language, for editors and type checkers.

Kernel Python is compiled through ``ast`` into IR and never executed, so
nothing here runs: the declarations give every name its type and its meaning.
The language is described in docs/kernel-python.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Any, NoReturn, TypeAlias, TypeVar

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

# Integers with a width.  Called, they convert as a C cast does: u32(x).
u8: TypeAlias = int
u16: TypeAlias = int
u32: TypeAlias = int
u64: TypeAlias = int
i32: TypeAlias = int
i64: TypeAlias = int

# ``ptr[thread]`` is a pointer; a bare structure in a structure is embedded.
ptr = Annotated[T, "pointer"]

# A statistics counter: it can only go up, and is no part of the searched state.
counter: TypeAlias = int

NULL: Any = None


class Range:
    """``Annotated[u32, Range(lo, hi)]``: the values a cell may hold, inclusive."""

    def __init__(self, lo: int, hi: int) -> None:
        raise NotImplementedError


class OutsideKernelPython(NotImplementedError):
    """Kernel Python is compiled, not executed."""


def _never(*_: object) -> Any:
    raise OutsideKernelPython("kernel Python is compiled by pmaplab, not executed by Python")


def option(name: str) -> int:
    """A number that the mode or the bounds of the run fix."""
    return int(_never(name))


def static(**fields: Any) -> Any:
    """A global object; the fields that are not named start at 0."""
    return _never(fields)


def own(array: list[T]) -> T:
    """The running CPU's own element of a per-CPU array."""
    result: T = _never(array)
    return result


def atomic(function: F) -> F:
    """The whole function is one action: a locked instruction, a machine event."""
    result: F = _never(function)
    return result


def thread_context(function: F) -> F:
    """What every CPU runs: from power-on, or after its bring-up context."""
    result: F = _never(function)
    return result


def interrupt_context(function: F) -> F:
    """What every CPU runs when it takes an interrupt, again and again; its
    first action waits for one (an atomic function with an assume)."""
    result: F = _never(function)
    return result


def bring_up_context(function: F) -> F:
    """What every CPU runs, on one schedule, before the search begins."""
    result: F = _never(function)
    return result


def invariant(property: str) -> Callable[[F], F]:
    """``function(cpu)`` asserts what must hold after every step."""
    result: Callable[[F], F] = _never(property)
    return result


def observer(function: F) -> F:
    """``function(cpu)`` looks at every state, for the sake of its sometimes()."""
    result: F = _never(function)
    return result


def must_reach(label: str) -> None:
    """The search is vacuous unless some state passes ``sometimes(label)``."""
    _never(label)


def sometimes(label: str) -> None:
    """A point worth reaching."""
    _never(label)


def choose(count: int) -> u32:
    """Any number from 0 to ``count`` - 1: the search tries them all."""
    return int(_never(count))


def assume(condition: object) -> None:
    """Only in atomic functions: the action waits until the condition holds."""
    _never(condition)


def within(cpu: u32, region: str) -> bool:
    """Whether the CPU is in a region of properties/exemptions.toml."""
    return bool(_never(cpu, region))


def this_cpu() -> u32:
    """The number of the running CPU, as the machine knows it."""
    return int(_never())


def popcount(value: u64) -> u32:
    return int(_never(value))


def ffs(value: u64) -> u32:
    """The number of the lowest set bit, counted from 1; 0 for none."""
    return int(_never(value))


def CPU_FOREACH() -> Iterator[int]:
    """The CPUs of the machine, in order: for i in CPU_FOREACH()."""
    result: Iterator[int] = _never()
    return result


def SYSINIT(name: str, subsystem: int, order: int, function: Callable[[], None]) -> None:
    """Run ``function`` on the boot CPU, in the order of the numbers."""
    _never(name, subsystem, order, function)


def run_sysinits() -> None:
    """Call all SYSINITs in order."""
    _never()


def SYSCTL(name: str, handler: Callable[[], int]) -> None:
    """A sysctl node; ``handler`` is atomic and only reads."""
    _never(name, handler)


def SYSCTL_COUNTER(name: str, field: str) -> None:
    """A sysctl node that sums a statistics counter over the CPUs."""
    _never(name, field)


def printf(format: str, *arguments: object) -> None:
    """To the console."""
    _never(format, arguments)


def KASSERT(condition: object, message: str, *arguments: object) -> None:
    _never(condition, message, arguments)


def MPASS(condition: object) -> None:
    _never(condition)


def panic(message: str, *arguments: object) -> NoReturn:
    raise OutsideKernelPython(message)


def ia32_pause() -> None:
    """The body of a spin loop: ``while CONDITION: ia32_pause()`` is a wait."""
    _never()


# atomic(9): the first argument is the place, as &place in C.


def atomic_set_int(place: int, value: int) -> None:
    _never(place, value)


def atomic_set_long(place: int, value: int) -> None:
    _never(place, value)


def atomic_clear_int(place: int, value: int) -> None:
    _never(place, value)


def atomic_clear_long(place: int, value: int) -> None:
    _never(place, value)


def atomic_add_int(place: int, value: int) -> None:
    _never(place, value)


def atomic_subtract_int(place: int, value: int) -> None:
    _never(place, value)


def atomic_fetchadd_int(place: int, value: int) -> int:
    return int(_never(place, value))


def atomic_swap_int(place: int, value: int) -> int:
    return int(_never(place, value))


def atomic_swap_ptr(place: T, value: T) -> T:
    result: T = _never(place, value)
    return result


def atomic_cmpset_int(place: int, expected: int, value: int) -> bool:
    return bool(_never(place, expected, value))


def atomic_cmpset_ptr(place: T, expected: T, value: T) -> bool:
    return bool(_never(place, expected, value))


def atomic_load_acq_int(place: int) -> int:
    return int(_never(place))


def atomic_store_rel_int(place: int, value: int) -> None:
    _never(place, value)


def atomic_store_rel_ptr(place: T, value: T) -> None:
    _never(place, value)


def atomic_thread_fence_seq_cst() -> None:
    _never()
