"""The TLB of each CPU: which translations may be cached.

Kernel Python.  Section numbers are those of the Intel SDM, volume 3A.

A processor may cache the translation of any page that a walk from the loaded
root yields, whenever it likes, and may drop any it holds, whenever it likes
(4.10.2, 4.10.4.1).  None of this is explored.  For each CPU, PCID and page there
is the *set of the translations that may be cached*, and one such set by CPU and
page for global ones, which match under any PCID (4.10.2.4).  An operation drops
from the sets what it is guaranteed to flush, and nothing else.  And after every
step

    the sets of a CPU contain whatever a walk from its root yields now, in the
    set of its current PCID, or in the global set where the entry is global;

so whatever changes a root, a control register, an entry in memory or a set ends
with ``tlb_refill``.  An entry that is not present adds nothing (4.10.2.3).

**Why this is exact.**  Compare with a TLB that holds any number of entries for
a page, and loads and evicts at will.  *An access can use T there if and only if
T is in the set*:

- Only if: each entry of that TLB is in the set.  Entries come only from walks,
  between two steps, and then the set has what the walk yields; of the entries
  in the set, an operation here drops none that it does not drop there as well.
- If: at some moment a walk under this PCID yielded T, and no operation since was
  guaranteed to drop it, else it were gone from the set.  The TLB that loaded T
  at that moment, and of its own accord evicts nothing, still holds it.

The TLB that always loads all it can and never evicts is one and the same for
every T, so this also holds of several accesses in one run; for those of them
that end in #PF too, since a processor *may* use an entry (4.10.2.2), and may as
well walk.

**Bounds.**  A set is one u64 with a bit for each translation: the table that it
came from, the frame and the two rights; whether it is global follows from where
it is kept.  A set of a user page knows ``USER_TABLES`` tables, one of a kernel
page only the kernel's, so frames have the numbers below ``FRAMES``, which is 16
divided by USER_TABLES.  Of the PCIDs there are the ``LOW_PCIDS`` lowest and,
where a kernel keeps bit 11 for a process's second root, those with bit 11 set.
What exceeds one of these is an error at the place that exceeds it.

**Not modelled**: paging-structure caches, large pages, the accessed and dirty
flags (every entry has them set: a walk before a first write, which could only
notice more, does not happen).  AMD's INVLPG drops the global entry too, as here;
INVLPGB would be an operation of its own beside ``tlb_drop_page``.
"""

from __future__ import annotations

from typing import Annotated, Final

from pmaplab.kernel_python import Range, atomic, option, static, u32, u64
from pmaplab.machine.paging import (
    KERNEL_TABLE,
    NPAGE,
    PAGE_SHIFT,
    PAGES,
    PG_FRAME,
    USER_TABLES,
    X86_PG_G,
    X86_PG_V,
    page_table_of,
    pt_entry_t,
    walk,
)
from pmaplab.machine.x86_64 import (
    CR3_PCID_MASK,
    CR4_PCIDE,
    CR4_PGE,
    cpu_has_pcid,
    cpus,
    mp_ncpus,
)

SET_BITS: Final[u32] = 64
# Writable or not, for user mode or not.
RIGHTS: Final[u32] = 4
FRAMES: Final[Annotated[u32, Range(1, SET_BITS)]] = SET_BITS // (RIGHTS * USER_TABLES)
# The members of a set that have the right: those whose number has the bit.
WRITABLE: Final[u64] = 0xAAAAAAAAAAAAAAAA
USER: Final[u64] = 0xCCCCCCCCCCCCCCCC

LOW_PCIDS: Final[Annotated[u32, Range(1, 64)]] = option("tlb_pcids") if PAGES else 1
HIGH_PCIDS: Final[u32] = option("pti") if PAGES and cpu_has_pcid else 0
CONTEXTS: Final[u32] = LOW_PCIDS * (1 + HIGH_PCIDS)


class tlb_context:
    """What may be cached of one PCID, without the global translations."""

    pages: Annotated[list[u64], NPAGE]


class tlb:
    contexts: Annotated[list[tlb_context], CONTEXTS]
    globals: Annotated[list[u64], NPAGE]


tlbs: Annotated[list[tlb], mp_ncpus] = static()


# --- translations ------------------------------------------------------------


@atomic
def translation(table: u32, pte: pt_entry_t) -> u64:
    """The set of the one translation that the entry of the table gives."""
    frame: Annotated[u32, Range(0, FRAMES - 1)] = u32((pte & PG_FRAME) >> PAGE_SHIFT)
    owner = 0 if table == KERNEL_TABLE else table
    # R/W and U/S are bits 1 and 2 of an entry.
    rights = u32(pte >> 1) & (RIGHTS - 1)
    return 1 << ((owner * FRAMES + frame) * RIGHTS + rights)


@atomic
def translations_to(frame: u32) -> u64:
    """The set of all translations to the frame."""
    result: u64 = 0
    for table in range(USER_TABLES):
        result |= 0xF << ((table * FRAMES + frame) * RIGHTS)
    return result


@atomic
def translations_of(table: u32) -> u64:
    """The set, of a user page, of all translations that come from the table."""
    result: u64 = 0
    for frame in range(FRAMES):
        result |= 0xF << ((table * FRAMES + frame) * RIGHTS)
    return result


@atomic
def permits(translations: u64, write: bool, user: bool) -> u64:
    """Those that allow the access (4.6, with CR0.WP set and SMAP not in the way)."""
    if write:
        translations &= WRITABLE
    if user:
        translations &= USER
    return translations


# --- the sets ----------------------------------------------------------------


@atomic
def tlb_tells_apart(pcid: u64) -> bool:
    """Whether there are sets for the PCID: CR3 can hold no other."""
    return pcid & 0x7FF < LOW_PCIDS and pcid >> 11 <= HIGH_PCIDS


@atomic
def tlb_context_of(pcid: u64) -> u32:
    low: Annotated[u32, Range(0, LOW_PCIDS - 1)] = u32(pcid & 0x7FF)
    high: Annotated[u32, Range(0, HIGH_PCIDS)] = u32(pcid >> 11)
    return high * LOW_PCIDS + low


@atomic
def current_pcid(cpu: u32) -> u64:
    """000H while CR4.PCIDE is clear (4.10.1)."""
    return cpus[cpu].cr3 & CR3_PCID_MASK if cpus[cpu].cr4 & CR4_PCIDE != 0 else 0


@atomic
def tlb_cached(cpu: u32, page: u32) -> u64:
    """The translations of the page that the CPU may use now, whatever their
    rights."""
    own = tlbs[cpu].contexts[tlb_context_of(current_pcid(cpu))].pages[page]
    return own | tlbs[cpu].globals[page]


@atomic
def tlb_cached_anywhere(page: u32, translations: u64) -> bool:
    """Whether some CPU may hold one of the translations, under any PCID."""
    for cpu in range(mp_ncpus):
        found = tlbs[cpu].globals[page]
        for context in range(CONTEXTS):
            found |= tlbs[cpu].contexts[context].pages[page]
        if found & translations != 0:
            return True
    return False


@atomic
def tlb_refill_page(cpu: u32, page: u32) -> None:
    """Add what a walk yields now."""
    root = cpus[cpu].cr3 & ~CR3_PCID_MASK
    pte = walk(root, page)
    if pte & X86_PG_V == 0:
        return
    found = translation(page_table_of(root, page), pte)
    if pte & X86_PG_G != 0 and cpus[cpu].cr4 & CR4_PGE != 0:
        tlbs[cpu].globals[page] |= found
    else:
        tlbs[cpu].contexts[tlb_context_of(current_pcid(cpu))].pages[page] |= found


@atomic
def tlb_refill(cpu: u32) -> None:
    for page in range(NPAGE):
        tlb_refill_page(cpu, page)


# --- what operations drop; each is followed by a refill ------------------------


@atomic
def tlb_drop_page(cpu: u32, pcid: u64, page: u32) -> None:
    """One page of one PCID, global translations not included."""
    tlbs[cpu].contexts[tlb_context_of(pcid)].pages[page] = 0


@atomic
def tlb_drop_context(cpu: u32, context: u32) -> None:
    for page in range(NPAGE):
        tlbs[cpu].contexts[context].pages[page] = 0


@atomic
def tlb_drop_pcid(cpu: u32, pcid: u64) -> None:
    tlb_drop_context(cpu, tlb_context_of(pcid))


@atomic
def tlb_drop_contexts(cpu: u32) -> None:
    """All PCIDs, global translations not included."""
    for context in range(CONTEXTS):
        tlb_drop_context(cpu, context)


@atomic
def tlb_drop_global_page(cpu: u32, page: u32) -> None:
    tlbs[cpu].globals[page] = 0


@atomic
def tlb_drop_all(cpu: u32) -> None:
    tlb_drop_contexts(cpu)
    for page in range(NPAGE):
        tlb_drop_global_page(cpu, page)
