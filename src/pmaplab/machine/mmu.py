"""What code does with page tables and the TLB, beside MOV to CR3 and CR4 and
INVPCID (machine/x86_64.py).

Kernel Python.  Each function is one machine event with the name that
sys/amd64/include/{cpufunc,pmap}.h has for it, if any.  Section numbers are those
of the Intel SDM, volume 3A.

Under tso the walks read memory itself (``walk`` is a direct function there), and
the refill for a store that has waited in a buffer is ``tlb_settle``.
"""

from __future__ import annotations

from pmaplab.kernel_python import (
    CPU_FOREACH,
    atomic,
    atomic_thread_fence_seq_cst,
    this_cpu,
    u32,
    u64,
)
from pmaplab.machine.paging import X86_PG_V, pt_entry_t, pte_read, pte_write, walk
from pmaplab.machine.tlb import (
    current_pcid,
    permits,
    tlb_cached,
    tlb_drop_all,
    tlb_drop_global_page,
    tlb_drop_page,
    tlb_refill,
    tlb_refill_page,
)
from pmaplab.machine.x86_64 import CPU, CR3_PCID_MASK

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
def pte_store(table: u32, page: u32, pte: pt_entry_t) -> None:
    """A plain store: it invalidates nothing, on no CPU (4.10.4)."""
    pte_write(table, page, pte)
    tlb_refill_everywhere(page)


@atomic
def pte_load_store(table: u32, page: u32, pte: pt_entry_t) -> pt_entry_t:
    """XCHG; the old entry."""
    atomic_thread_fence_seq_cst()
    old = pte_read(table, page)
    pte_write(table, page, pte)
    tlb_refill_everywhere(page)
    return old


@atomic
def pte_load_clear(table: u32, page: u32) -> pt_entry_t:
    return pte_load_store(table, page, 0)


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
