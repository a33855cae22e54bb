"""A TLB once more, in plain Python: the machine's sets are compared with it.

It holds entries, any number for a page.  Between any two operations it loads
and evicts what it likes; every content that it can come to have is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from machine.tlbmachine import (
    KERNEL_ROOT,
    PAE,
    PCIDE,
    PGE,
    PROCESS_ROOTS,
    RW,
    SAVE,
    SMEP,
    USER_ROOTS,
    G,
    U,
    V,
)

# More entries than this at once make too many contents.
MOST_ENTRIES = 10

# (table, frame, writable, user)
Translation = tuple[int, int, bool, bool]


class TooManyEntriesError(Exception):
    """The contents cannot be enumerated any more."""


@dataclass(frozen=True)
class Entry:
    pcid: int
    page: int
    is_global: bool
    translation: Translation


def everything(_: Entry) -> bool:
    return True


class Memory:
    """The page tables: ``tables`` of user pages with ``pages`` each, and the
    kernel's."""

    def __init__(self, tables: int, pages: int) -> None:
        self.tables = tables
        self.pages = pages
        self.entries: dict[tuple[int, int], int] = {}

    def walk(self, root: int, page: int) -> tuple[int, int]:
        """The table in which the walk ends, and the entry there; 0 for none."""
        numbers = range(self.tables)
        table = None
        if page >= self.pages:
            if root == KERNEL_ROOT or root in [PROCESS_ROOTS + n * 0x1000 for n in numbers]:
                table = self.tables
        else:
            for number in numbers:
                if root in (PROCESS_ROOTS + number * 0x1000, USER_ROOTS + number * 0x1000):
                    table = number
        return (0, 0) if table is None else (table, self.entries.get((table, page), 0))


class BruteForceTLB:
    """The TLB of one CPU, with the registers that it depends on."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self.cr3 = 0
        self.cr4 = 0
        self.numbers: dict[Entry, int] = {}
        # Each content is a set of entries, by their numbers, as bits.
        self.contents = {0}

    @property
    def pcid(self) -> int:
        return self.cr3 & 0xFFF if self.cr4 & PCIDE else 0

    def _loadable(self) -> list[int]:
        result = []
        for page in range(2 * self.memory.pages):
            table, pte = self.memory.walk(self.cr3 & ~0xFFF, page)
            if pte & V:
                is_global = bool(pte & G and self.cr4 & PGE)
                translation = (table, pte >> 12, bool(pte & RW), bool(pte & U))
                entry = Entry(self.pcid, page, is_global, translation)
                result.append(1 << self.numbers.setdefault(entry, len(self.numbers)))
        return result

    def load_and_evict(self) -> None:
        """Anything that may happen by itself."""
        loadable = self._loadable()
        work = list(self.contents)
        while work:
            content = work.pop()
            if content.bit_count() > MOST_ENTRIES:
                raise TooManyEntriesError
            following = [content | bit for bit in loadable]
            rest = content
            while rest:
                following.append(content & ~(rest & -rest))
                rest &= rest - 1
            for after in following:
                if after not in self.contents:
                    self.contents.add(after)
                    work.append(after)

    def flush(self, flushed: Callable[[Entry], bool]) -> None:
        gone = sum(1 << number for entry, number in self.numbers.items() if flushed(entry))
        self.contents = {content & ~gone for content in self.contents}

    def _matching(self, page: int) -> list[tuple[int, Translation]]:
        return [
            (1 << number, entry.translation)
            for entry, number in self.numbers.items()
            if entry.page == page and (entry.is_global or entry.pcid == self.pcid)
        ]

    def access(self, page: int, write: bool, user: bool) -> tuple[set[Translation], bool]:
        """The translations with which the access can succeed, and whether it
        can fault, by an entry or, where there is none for the page, by a walk."""
        matching = self._matching(page)
        # What comes of a miss is what comes of loading first.
        can_walk = bool(self.memory.walk(self.cr3 & ~0xFFF, page)[1] & V)
        used: set[Translation] = set()
        faults = False
        for content in self.contents:
            hits = [translation for bit, translation in matching if content & bit]
            for translation in hits:
                if (translation[2] or not write) and (translation[3] or not user):
                    used.add(translation)
                else:
                    faults = True
            if not hits and not can_walk:
                faults = True
        return used, faults

    # --- operations ----------------------------------------------------------

    def invlpg(self, page: int) -> None:
        self.flush(lambda e: e.page == page and (e.is_global or e.pcid == self.pcid))

    def page_fault(self, page: int) -> None:
        self.flush(lambda e: e.page == page and not e.is_global and e.pcid == self.pcid)

    def invpcid(self, kind: int, pcid: int, page: int) -> None:
        self.flush(
            [
                lambda e: not e.is_global and e.pcid == pcid and e.page == page,
                lambda e: not e.is_global and e.pcid == pcid,
                everything,
                lambda e: not e.is_global,
            ][kind]
        )

    def load_cr3(self, value: int) -> None:
        target = value & 0xFFF if self.cr4 & PCIDE else 0
        if not value & SAVE:
            self.flush(lambda e: not e.is_global and e.pcid == target)
        self.cr3 = value & ~SAVE

    def load_cr4(self, value: int) -> None:
        before, pcid = self.cr4, self.pcid
        if (before ^ value) & PGE or before & ~value & PCIDE:
            self.flush(everything)
        elif (before ^ value) & PAE or value & ~before & SMEP:
            self.flush(lambda e: not e.is_global and e.pcid == pcid)
        self.cr4 = value

    def restart_paging(self) -> None:
        self.flush(everything)
