"""Sets of CPUs: sys/sys/cpuset.h over sys/sys/bitset.h.

A set of at most 64 CPUs is one word, and so one access; a larger one is
several, and its operations are several steps.
"""

from __future__ import annotations

from typing import Annotated, Final

from pmaplab.kernel_python import (
    KASSERT,
    atomic,
    atomic_clear_long,
    atomic_set_long,
    popcount,
    u32,
    u64,
)
from pmaplab.machine.x86_64 import MAXCPU, mp_ncpus

_NCPUWORDS: Final[u32] = (MAXCPU + 63) // 64
# The model fills MAXCPU bits; the kernel fills whole words, which is the same
# for every MAXCPU that it is built with above 64.
_LAST_WORD: Final[u64] = 0xFFFFFFFFFFFFFFFF if MAXCPU % 64 == 0 else (1 << (MAXCPU % 64)) - 1


class cpuset_t:
    """struct bitset"""

    __bits: Annotated[list[u64], _NCPUWORDS]


@atomic
def CPU_SET_ATOMIC(n: u32, p: cpuset_t) -> None:
    atomic_set_long(p.__bits[n // 64], u64(1) << (n % 64))


@atomic
def CPU_CLR_ATOMIC(n: u32, p: cpuset_t) -> None:
    atomic_clear_long(p.__bits[n // 64], u64(1) << (n % 64))


@atomic
def CPU_ISSET(n: u32, p: cpuset_t) -> bool:
    return p.__bits[n // 64] >> (n % 64) & 1 != 0


@atomic
def CPU_ZERO(p: cpuset_t) -> None:
    """One step, as is right for a set that no other CPU uses yet."""
    for i in range(_NCPUWORDS):
        p.__bits[i] = 0


def CPU_FILL(p: cpuset_t) -> None:
    for i in range(_NCPUWORDS - 1):
        p.__bits[i] = 0xFFFFFFFFFFFFFFFF
    p.__bits[_NCPUWORDS - 1] = _LAST_WORD


@atomic
def CPU_COPY(p: cpuset_t) -> u64:
    """A set by value, as a function's local is: one load.  CPUs beyond the
    first 64 do not exist where this is used."""
    KASSERT(mp_ncpus <= 64, "a set of %d CPUs is no word", mp_ncpus)
    return p.__bits[0]


def CPU_EMPTY(p: cpuset_t) -> bool:
    for i in range(_NCPUWORDS):
        if p.__bits[i] != 0:
            return False
    return True


@atomic
def CPU_COUNT(p: cpuset_t) -> u32:
    """Only for sysctl handlers, which look at a machine that stands still."""
    count: u32 = 0
    for i in range(_NCPUWORDS):
        count += popcount(p.__bits[i])
    return count
