"""What code does with page tables and the TLB, beside MOV to CR3 and CR4 and
INVPCID (machine/x86_64.py).

Kernel Python.  Each function is one machine event with the name that
sys/amd64/include/{cpufunc,pmap}.h has for it, if any.  Section numbers are those
of the Intel SDM, volume 3A.

Under tso the walks read memory itself (``walk`` is a direct function there), and
the refill for a store that has waited in a buffer is ``tlb_settle``.
"""

from __future__ import annotations

from typing import Annotated

from pmaplab.kernel_python import (
    CPU_FOREACH,
    atomic,
    atomic_thread_fence_seq_cst,
    sometimes,
    static,
    this_cpu,
    u32,
    u64,
)
from pmaplab.machine.paging import (
    KERNEL_TABLE,
    PT_ENTRIES,
    USER_TABLES,
    X86_PG_RW,
    X86_PG_V,
    page_index,
    pt_entry_t,
    pte_read,
    pte_write,
    walk,
)
from pmaplab.machine.tlb import (
    FRAMES,
    RIGHTS,
    current_pcid,
    permits,
    tlb_cached,
    tlb_cached_anywhere,
    tlb_drop_all,
    tlb_drop_global_page,
    tlb_drop_page,
    tlb_refill,
    tlb_refill_page,
    translation,
)
from pmaplab.machine.x86_64 import CPU, CR3_PCID_MASK


class page_grants:
    pages: Annotated[list[u64], PT_ENTRIES]


# Ghost: what accesses may use without doing harm.  An entry that is stored adds
# its translation; the operation that replaced it takes away the old one at its
# end, with `revoke`.
granted: Annotated[list[page_grants], USER_TABLES + 1] = static()

# --- entries -----------------------------------------------------------------


@atomic
def tlb_refill_everywhere(page: u32) -> None:
    """An entry has changed: any CPU that has loaded a root which leads to it may
    cache the new one from now on."""
    for cpu in CPU_FOREACH():
        tlb_refill_page(cpu, page)


@atomic
def tlb_settle() -> None:
    """The same after a store of which it is not known to what: it has reached
    memory from a store buffer."""
    for cpu in CPU_FOREACH():
        tlb_refill(cpu)


@atomic
def _grant(table: u32, page: u32, pte: pt_entry_t) -> None:
    if pte & X86_PG_V != 0:
        granted[table].pages[page_index(table, page)] |= translation(table, pte)


@atomic
def revoke(table: u32, page: u32) -> None:
    """Ghost: the operation is over.  From now on only what the entry says is
    granted: its frame, with its rights or fewer."""
    pte = pte_read(table, page)
    rights: u64 = 0
    if pte & X86_PG_V != 0:
        rights = translation(table, pte) | translation(table, pte & ~X86_PG_RW)
    granted[table].pages[page_index(table, page)] = rights


@atomic
def granted_to(table: u32, page: u32) -> u64:
    """The translations of the page that code which uses the table may use."""
    return granted[table].pages[page_index(table, page)]


@atomic
def pte_store(table: u32, page: u32, pte: pt_entry_t) -> None:
    """A plain store: it invalidates nothing, on no CPU (4.10.4)."""
    _grant(table, page, pte)
    pte_write(table, page, pte)
    tlb_refill_everywhere(page)


@atomic
def pte_load_store(table: u32, page: u32, pte: pt_entry_t) -> pt_entry_t:
    """XCHG; the old entry."""
    atomic_thread_fence_seq_cst()
    old = pte_read(table, page)
    _grant(table, page, pte)
    pte_write(table, page, pte)
    tlb_refill_everywhere(page)
    return old


@atomic
def pte_load_clear(table: u32, page: u32) -> pt_entry_t:
    return pte_load_store(table, page, 0)


@atomic
def fresh_frame(table: u32, page: u32) -> u32:
    """A frame for a page that is not mapped: one that no CPU may hold a
    translation to, so that a stale one is never taken for the new one.  Where
    there is none, a stale use may go unnoticed."""
    owner = 0 if table == KERNEL_TABLE else table
    for frame in range(FRAMES):
        if not tlb_cached_anywhere(page, 0xF << ((owner * FRAMES + frame) * RIGHTS)):
            return frame
    sometimes("no frame is left that nobody caches")
    return 0


# --- invalidation ------------------------------------------------------------


@atomic
def invlpg(page: u32) -> None:
    """INVLPG: the page under the current PCID, and its global translations
    (4.10.4.1).  A serializing instruction (8.3)."""
    atomic_thread_fence_seq_cst()
    tlb_drop_page(this_cpu(), current_pcid(this_cpu()), page)
    tlb_drop_global_page(this_cpu(), page)
    tlb_refill_page(this_cpu(), page)


@atomic
def restart_paging() -> None:
    """MOV to CR0 that clears PG, and one that sets it again: everything goes
    (4.10.4.1).  Outside of 64-bit mode only: CPU start-up and wake-up code."""
    atomic_thread_fence_seq_cst()
    tlb_drop_all(this_cpu())
    tlb_refill(this_cpu())


# --- accesses ----------------------------------------------------------------


@atomic
def mmu_access(page: u32, write: bool, user: bool) -> u64:
    """The translations with which an access to the page can succeed now."""
    return permits(tlb_cached(this_cpu(), page), write, user)


@atomic
def mmu_may_fault(page: u32, write: bool, user: bool) -> bool:
    """Whether the access can end in #PF: by a cached translation that does not
    allow it, also where memory does by now (4.10.4.3), or by a walk, which is
    always possible, since nothing is sure to be cached."""
    cached = tlb_cached(this_cpu(), page)
    if cached != permits(cached, write, user):
        return True
    return walk(CPU.cr3 & ~CR3_PCID_MASK, page) & X86_PG_V == 0


@atomic
def page_fault(page: u32) -> None:
    """#PF drops the page under the current PCID, so that a fault for a stale
    translation does not come again (4.10.4.1); a global one may stay."""
    tlb_drop_page(this_cpu(), current_pcid(this_cpu()), page)
    tlb_refill_page(this_cpu(), page)
