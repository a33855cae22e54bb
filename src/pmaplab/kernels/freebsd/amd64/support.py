"""What is written in assembler: sys/amd64/amd64/support.S, and invltlb and its
kin of sys/amd64/include/cpufunc.h.

Without INVPCID, what is cached under a user PCID is flushed by loading the user
root for a moment, with interrupts disabled, since nothing of the kernel is
mapped there.
"""

from __future__ import annotations

from pmaplab.kernel_python import u32, u64
from pmaplab.machine.mmu import invlpg
from pmaplab.machine.x86_64 import (
    CR4_PGE,
    intr_disable,
    intr_restore,
    load_cr3,
    load_cr4,
    rcr3,
    rcr4,
)


def invltlb() -> None:
    load_cr3(rcr3())


def invltlb_glob() -> None:
    """Global translations too."""
    cr4 = rcr4()
    load_cr4(cr4 & ~CR4_PGE)
    load_cr4(cr4 | CR4_PGE)


def pmap_pti_pcid_invalidate(ucr3: u64, kcr3: u64) -> None:
    """Flush the user PCID, and come back to the kernel's root."""
    flags = intr_disable()
    load_cr3(ucr3)
    load_cr3(kcr3)
    intr_restore(flags)


def pmap_pti_pcid_invlpg(ucr3: u64, kcr3: u64, va: u32) -> None:
    """Flush one page of the user PCID."""
    flags = intr_disable()
    load_cr3(ucr3)
    invlpg(va)
    load_cr3(kcr3)
    intr_restore(flags)


def pmap_pti_pcid_invlrng(ucr3: u64, kcr3: u64, sva: u32, eva: u32) -> None:
    """Flush the pages from ``sva`` up to ``eva`` of the user PCID."""
    flags = intr_disable()
    load_cr3(ucr3)
    va = sva
    while True:
        invlpg(va)
        va += 1
        if va >= eva:
            break
    load_cr3(kcr3)
    intr_restore(flags)
