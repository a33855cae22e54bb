"""Short programs that ask which translation an access can use.

Each begins with page X mapped to frame A, and cached so, under PCID 5 on both
CPUs; ``micro_test`` says which one runs.  CPU 0 runs it, and of those with two
CPUs CPU 1 runs the second half.
"""

from __future__ import annotations

from typing import Final

from pmaplab.kernel_python import (
    atomic,
    bring_up_context,
    ia32_pause,
    option,
    sometimes,
    static,
    this_cpu,
    thread_context,
    u32,
    u64,
)
from pmaplab.machine.mmu import (
    invlpg,
    mmu_access,
    mmu_may_fault,
    page_fault,
    pte_load_clear,
    pte_store,
)
from pmaplab.machine.paging import (
    PROCESS_ROOTS,
    X86_PG_G,
    X86_PG_RW,
    X86_PG_U,
    X86_PG_V,
)
from pmaplab.machine.tlb import translations_of, translations_to
from pmaplab.machine.x86_64 import (
    CR3_PCID_SAVE,
    CR4_PCIDE,
    CR4_PGE,
    CR4_SMEP,
    invpcid,
    load_cr3,
    load_cr4,
    rcr4,
)

MICRO_TEST: Final[u32] = option("micro_test")
# Whether X is global.
GLOBAL: Final[u32] = option("global")

X: Final[u32] = 0
Y: Final[u32] = 1
FRAME_A: Final[u32] = 1
FRAME_B: Final[u32] = 2
RIGHTS_OF_X: Final[u64] = X86_PG_RW | X86_PG_U | (X86_PG_G if GLOBAL else 0)
A: Final[u64] = 0x1000 | X86_PG_V | RIGHTS_OF_X
B: Final[u64] = 0x2000 | X86_PG_V | RIGHTS_OF_X

ROOT: Final[u64] = PROCESS_ROOTS
ROOT2: Final[u64] = PROCESS_ROOTS + 0x1000


class Flag:
    value: u32


flag: Flag = static()
ready: Flag = static()


@bring_up_context
def cpu_bring_up() -> None:
    if this_cpu() == 0:
        if MICRO_TEST == 20:
            pte_store(0, X, A & ~X86_PG_RW)
        elif MICRO_TEST == 21:
            pte_store(0, X, A & ~X86_PG_V)
        else:
            pte_store(0, X, A)
        pte_store(0, Y, A)
        ready.value = 1
    else:
        while ready.value == 0:
            ia32_pause()
    load_cr4(CR4_PCIDE | CR4_PGE)
    load_cr3(ROOT | 5)


@atomic
def read_x() -> None:
    """Which frames a read of X can reach."""
    found = mmu_access(X, False, False)
    if found & translations_to(FRAME_A) != 0:
        sometimes("x is read from A")
    if found & translations_to(FRAME_B) != 0:
        sometimes("x is read from B")
    if mmu_may_fault(X, False, False):
        sometimes("a read of x faults")


@atomic
def write_x() -> None:
    if mmu_access(X, True, False) != 0:
        sometimes("x is written")
    if mmu_may_fault(X, True, False):
        sometimes("a write of x faults")


@atomic
def write_x_again() -> None:
    if mmu_may_fault(X, True, False):
        sometimes("a write of x faults again")


def reloaded(value: u64) -> None:
    pte_store(0, X, B)
    load_cr3(value)
    read_x()


def switched(operation: u32) -> None:
    """What is done while another address space is loaded."""
    pte_store(0, X, B)
    load_cr3(ROOT2 | 6)
    if operation == 9:
        invlpg(X)
    elif operation == 10:
        invpcid(0, 5, X)
    load_cr3(ROOT | 5 | CR3_PCID_SAVE)
    read_x()


def invalidated(kind: u32, pcid: u64) -> None:
    pte_store(0, X, B)
    invpcid(kind, pcid, X)
    read_x()


def toggled(bit: u64) -> None:
    pte_store(0, X, B)
    load_cr4(rcr4() ^ bit)
    load_cr4(rcr4() ^ bit)
    read_x()


@atomic
def read_x_of_another() -> None:
    """X, while the second address space is loaded."""
    if mmu_access(X, False, False) & ~translations_of(1) != 0:
        sometimes("x is read by a table that is not loaded")


def reused() -> None:
    """PCID 5 goes to another address space, which maps X to B."""
    pte_store(1, X, B & ~X86_PG_G)
    load_cr3(ROOT2 | 5 | (CR3_PCID_SAVE if MICRO_TEST == 31 else 0))
    read_x()
    read_x_of_another()


def first_cpu() -> None:
    if MICRO_TEST == 1:
        pte_store(0, X, B)
        read_x()
    elif MICRO_TEST == 2:
        pte_store(0, X, B)
        invlpg(X)
        read_x()
    elif MICRO_TEST == 4:
        pte_store(0, X, B)
        invlpg(Y)
        read_x()
    elif MICRO_TEST == 5:
        reloaded(ROOT | 5)
    elif MICRO_TEST == 6:
        reloaded(ROOT | 5 | CR3_PCID_SAVE)
    elif MICRO_TEST == 8 or MICRO_TEST == 9 or MICRO_TEST == 10:
        switched(MICRO_TEST)
    elif MICRO_TEST == 11:
        invalidated(1, 5)
    elif MICRO_TEST == 12:
        invalidated(3, 0)
    elif MICRO_TEST == 13:
        invalidated(2, 0)
    elif MICRO_TEST == 14:
        toggled(CR4_PGE)
    elif MICRO_TEST == 17:
        pte_store(0, X, B)
        invlpg(X)
        flag.value = 1
    elif MICRO_TEST == 18:
        pte_store(0, X, B)
        flag.value = 1
    elif MICRO_TEST == 19:
        flag.value = 1
        pte_store(0, X, B)
    elif MICRO_TEST == 20:
        pte_store(0, X, A)
        write_x()
        page_fault(X)
        write_x_again()
    elif MICRO_TEST == 21:
        pte_store(0, X, B)
        read_x()
    elif MICRO_TEST == 30:
        toggled(CR4_SMEP)
    elif MICRO_TEST == 31 or MICRO_TEST == 32:
        reused()
    elif MICRO_TEST == 33:
        pte_load_clear(0, X)
        flag.value = 1
        invlpg(X)
        flag.value = 2


def second_cpu() -> None:
    if MICRO_TEST == 17 or MICRO_TEST == 18 or MICRO_TEST == 19:
        r1 = flag.value
        if MICRO_TEST != 17:
            invlpg(X)
        if r1 == 1:
            read_x()
    elif MICRO_TEST == 33:
        r1 = flag.value
        invlpg(X)
        if r1 >= 1:
            read_x()


@thread_context
def cpu_main() -> None:
    if this_cpu() == 0:
        first_cpu()
    else:
        second_cpu()
