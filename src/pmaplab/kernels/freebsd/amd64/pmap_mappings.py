"""Changing mappings, as far as it drives invalidation: the part of
sys/amd64/amd64/pmap.c, as of August 2018.

A page is named by its number.  There are no physical pages behind the frames;
pv entries, superpages and page-table pages are not modelled.  The revocation of
what a mapping granted belongs to the unlocking of the pmap, which ends each
operation.
"""

from __future__ import annotations

from typing import Final

from pmaplab.kernel_python import KASSERT, NULL, atomic, atomic_thread_fence_seq_cst, u32, u64
from pmaplab.kernels.freebsd.amd64.pcpu import PCPU
from pmaplab.kernels.freebsd.amd64.pmap import PML4_PAGES, kernel_pmap, pmap, pti
from pmaplab.kernels.freebsd.amd64.pmap_invalidate import (
    pmap_invalidate_all,
    pmap_invalidate_page,
    pmap_invalidate_range,
)
from pmaplab.kernels.freebsd.sys.mutex import mtx_lock
from pmaplab.machine.mmu import fresh_frame, pte_load_clear, pte_load_store, pte_store, revoke
from pmaplab.machine.paging import (
    KERNEL_TABLE,
    PAGE_SHIFT,
    PAGES,
    PT_ENTRIES,
    X86_PG_G,
    X86_PG_RW,
    X86_PG_U,
    X86_PG_V,
    pt_entry_t,
    pte_read,
)

# The addresses of two pages next to each other: what invalidation is told are
# numbers of pages here, where a tree's own C has addresses (tree/hand.py).
VA_STEP: Final[u32] = 1
# Kernel mappings are global unless a user must not see them (pmap_bootstrap).
pg_g: Final[u64] = 0 if pti else X86_PG_G


@atomic
def pmap_table(pm: pmap) -> u32:
    """The machine's number of the page table that the pmap owns."""
    return KERNEL_TABLE if pm == kernel_pmap else u32((pm.pm_pml4 - PML4_PAGES) >> PAGE_SHIFT)


@atomic
def pmap_first(pm: pmap) -> u32:
    """The number of its first page."""
    return PAGES if pm == kernel_pmap else 0


@atomic
def pmap_newpte(pm: pmap, frame: u32) -> pt_entry_t:
    """A writable mapping."""
    bits = X86_PG_V | X86_PG_RW | (u64(frame) << PAGE_SHIFT)
    return bits | pg_g if pm == kernel_pmap else bits | X86_PG_U


def PMAP_LOCK(pm: pmap) -> None:
    mtx_lock(pm.pm_mtx)


@atomic
def PMAP_UNLOCK(pm: pmap) -> None:
    """The end of an operation: what it took away is revoked."""
    atomic_thread_fence_seq_cst()  # LOCK CMPXCHG
    KASSERT(pm.pm_mtx.mtx_lock == PCPU.curthread, "mtx_unlock: not owned")
    pm.pm_mtx.mtx_lock = NULL
    for i in range(PT_ENTRIES):
        revoke(pmap_table(pm), pmap_first(pm) + i)


@atomic
def pmap_pte(pm: pmap, va: u32) -> pt_entry_t:
    return pte_read(pmap_table(pm), va)


@atomic
def pmap_enter_pte(pm: pmap, va: u32) -> None:
    table = pmap_table(pm)
    pte_store(table, va, pmap_newpte(pm, fresh_frame(table, va)))


def pmap_enter(pm: pmap, va: u32) -> None:
    """Map the page to another frame than before, writable."""
    PMAP_LOCK(pm)
    if pmap_pte(pm, va) & X86_PG_V != 0:
        # The physical page has changed: all threads lose the old mapping before
        # any gets the new one.
        pte_load_clear(pmap_table(pm), va)
        pmap_invalidate_page(pm, va * VA_STEP)
    pmap_enter_pte(pm, va)
    PMAP_UNLOCK(pm)


def pmap_remove(pm: pmap, large: bool) -> None:
    """pmap_remove of all pages, in one batch: by range, as global pages go, and
    those that may be cached out of a superpage (pmap_invalidate_pde_page); or
    everything, as others go, and as pmap_invalidate_range has it above
    PMAP_INVLPG_THRESHOLD."""
    PMAP_LOCK(pm)
    anyvalid = False
    first = pmap_first(pm)
    for va in range(first, first + PAGES):
        if pmap_pte(pm, va) & X86_PG_V != 0:
            pte_load_clear(pmap_table(pm), va)
            anyvalid = True
    if anyvalid:
        if large:
            pmap_invalidate_all(pm)
        else:
            pmap_invalidate_range(pm, first * VA_STEP, (first + PAGES) * VA_STEP)
    PMAP_UNLOCK(pm)


def pmap_protect(pm: pmap) -> None:
    """Take the right to write from all pages."""
    PMAP_LOCK(pm)
    anychanged = False
    first = pmap_first(pm)
    for va in range(first, first + PAGES):
        obits = pmap_pte(pm, va)
        if obits & X86_PG_V != 0 and obits & X86_PG_RW != 0:
            pte_load_store(pmap_table(pm), va, obits & ~X86_PG_RW)
            if obits & X86_PG_G != 0:
                pmap_invalidate_page(pm, va * VA_STEP)
            else:
                anychanged = True
    if anychanged:
        pmap_invalidate_all(pm)
    PMAP_UNLOCK(pm)
