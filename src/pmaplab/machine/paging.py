"""Page tables of one level, and what a walk finds in them.

Kernel Python.  Section numbers are those of the Intel SDM, volume 3A.

There are ``2 * PAGES`` pages: first the user pages, then as many of the
kernel.  Each address space has a page table for its user pages, and there is
one table for the kernel's; an entry has the bits of a real one (4.5) that the
pmap uses.  What CR3 holds is the address of a top-level page.  What such a page maps
follows from where it lies, and never changes: as in the pmap, all those of
processes share the kernel's table, and under PTI both of a process share its
own.  So one store to an entry counts for every root that leads to it.
"""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

from pmaplab.kernel_python import atomic, option, static, u32, u64

PAGES: Final[u32] = option("pages")
PT_ENTRIES: Final[u32] = PAGES if PAGES else 1
NPAGE: Final[u32] = 2 * PAGES if PAGES else 1

# Top-level pages: the kernel's, then by address space those that map its user
# pages and the kernel's, and those that map its user pages only (PTI).
KERNEL_ROOT: Final[u64] = 0x1000
PROCESS_ROOTS: Final[u64] = 0x100000
USER_ROOTS: Final[u64] = 0x200000

# Page tables: one by address space, and the kernel's.
USER_TABLES: Final[u32] = option("page_tables") if PAGES else 1
KERNEL_TABLE: Final[u32] = USER_TABLES
NO_TABLE: Final[u32] = USER_TABLES + 1

pt_entry_t: TypeAlias = u64

X86_PG_V: Final[u64] = 0x001
X86_PG_RW: Final[u64] = 0x002
X86_PG_U: Final[u64] = 0x004
X86_PG_G: Final[u64] = 0x100
PG_FRAME: Final[u64] = 0x000FFFFFFFFFF000
PAGE_SHIFT: Final[u32] = 12


class page_table:
    pte: Annotated[list[pt_entry_t], PT_ENTRIES]


page_tables: Annotated[list[page_table], USER_TABLES + 1] = static()


@atomic
def page_table_of(root: u64, page: u32) -> u32:
    """The table in which a walk from ``root`` looks the page up, or NO_TABLE."""
    both = (root - PROCESS_ROOTS) >> PAGE_SHIFT
    if page >= PAGES:
        return KERNEL_TABLE if both < USER_TABLES or root == KERNEL_ROOT else NO_TABLE
    if both < USER_TABLES:
        return u32(both)
    user = (root - USER_ROOTS) >> PAGE_SHIFT
    return u32(user) if user < USER_TABLES else NO_TABLE


@atomic
def page_index(table: u32, page: u32) -> u32:
    """Where the table has the entry; an index outside of it is a page of the
    other half."""
    return page if table != KERNEL_TABLE else page - PAGES


@atomic
def pte_read(table: u32, page: u32) -> pt_entry_t:
    return page_tables[table].pte[page_index(table, page)]


@atomic
def pte_write(table: u32, page: u32, pte: pt_entry_t) -> None:
    """The store alone."""
    page_tables[table].pte[page_index(table, page)] = pte


@atomic
def walk(root: u64, page: u32) -> pt_entry_t:
    """The entry that a walk from ``root`` ends at; 0 where there is none (4.5).

    Walks read memory as it is.  Under tso the question whether they also see
    the stores that wait in the own store buffer, on which sources disagree,
    belongs here.
    """
    table = page_table_of(root, page)
    return 0 if table == NO_TABLE else pte_read(table, page)
