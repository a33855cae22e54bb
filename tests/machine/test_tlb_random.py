"""The sets of translations that may be cached, against a TLB that is explored
entry by entry, on random sequences of operations of two CPUs."""

from __future__ import annotations

import functools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from machine.bruteforce_tlb import BruteForceTLB, Memory, TooManyEntriesError, Translation
from machine.tlbmachine import (
    KERNEL_ROOT,
    PCIDE,
    PGE,
    PROCESS_ROOTS,
    RW,
    SAVE,
    SMEP,
    USER_ROOTS,
    Change,
    G,
    Machine,
    U,
    V,
    pte,
)

PAGES, TABLES, CPUS = 1, 2, 2
OPTIONS = {"pages": PAGES, "page_tables": TABLES, "tlb_pcids": 3}
ROOTS = [KERNEL_ROOT, *(base + n * 0x1000 for base in (PROCESS_ROOTS, USER_ROOTS) for n in (0, 1))]
PCIDS = [0, 1, 2, 0x801]
FLAGS = [0, V, V | U, V | RW | U, V | RW | U, V | G, V | RW | G, V | RW | U | G, RW | U]
OPERATIONS = [
    *["store"] * 5,
    "clear",
    *["invlpg"] * 2,
    *["page_fault"] * 2,
    *["invpcid"] * 5,
    *["load_cr3"] * 6,
    *["PGE", "PCIDE", "SMEP"],
    "restart_paging",
]
LONGEST = 40

# (CPU, operation, and numbers of which each operation takes what it needs)
Step = tuple[int, int, int, int, int, int]
LIMITS = (CPUS, len(OPERATIONS), len(ROOTS), len(PCIDS), 8, len(FLAGS))


class Both:
    """The machine and the TLB that is explored, side by side."""

    def __init__(self, machine: Machine) -> None:
        machine.reset()
        self.machine = machine
        self.memory = Memory(TABLES, PAGES)
        self.tlbs = [BruteForceTLB(self.memory) for _ in range(CPUS)]
        self.store(0, 0, pte(0, V | RW | U))
        self.store(TABLES, PAGES, pte(1, V | RW | G))
        for cpu in range(CPUS):
            self.load_cr4(cpu, PGE | PCIDE)
            self.load_cr3(cpu, PROCESS_ROOTS | 1)

    def store(self, table: int, page: int, entry: int) -> None:
        self.machine("pte_store", table, page, entry)
        self.memory.entries[table, page] = entry

    def load_cr3(self, cpu: int, value: int) -> None:
        self.machine("load_cr3", value, cpu=cpu)
        self.tlbs[cpu].load_cr3(value)

    def load_cr4(self, cpu: int, value: int) -> None:
        self.machine("load_cr4", value, cpu=cpu)
        self.tlbs[cpu].load_cr4(value)

    def step(self, step: Step) -> str:
        """Take one; what it is, for a message."""
        cpu, operation, root, number, small, flags = step
        machine, tlb = self.machine, self.tlbs[cpu]
        pcid = PCIDS[number] if tlb.cr4 & PCIDE else 0
        table, page = (small & 1, 0) if small & 2 else (TABLES, PAGES)
        match name := OPERATIONS[operation]:
            case "store":
                self.store(table, page, pte(small >> 2, FLAGS[flags]))
            case "clear":
                assert machine("pte_load_clear", table, page, cpu=cpu) == self.memory.entries.get(
                    (table, page), 0
                )
                self.memory.entries[table, page] = 0
            case "invlpg" | "page_fault":
                machine(name, page, cpu=cpu)
                getattr(tlb, name)(page)
            case "invpcid":
                machine("invpcid", root % 4, pcid, page, cpu=cpu)
                tlb.invpcid(root % 4, pcid, page)
            case "load_cr3":
                save = SAVE if small & 4 and tlb.cr4 & PCIDE else 0
                self.load_cr3(cpu, ROOTS[root] | pcid | save)
            case "PGE":
                self.load_cr4(cpu, tlb.cr4 ^ PGE)
            case "SMEP":
                self.load_cr4(cpu, tlb.cr4 ^ SMEP)
            case "PCIDE":
                if not tlb.cr4 & PCIDE:
                    # Else #GP.
                    self.load_cr3(cpu, tlb.cr3 & ~0xFFF)
                self.load_cr4(cpu, tlb.cr4 ^ PCIDE)
            case "restart_paging":
                machine(name, cpu=cpu)
                tlb.restart_paging()
        return f"{name} on CPU {cpu}"

    def compare(self, after: str) -> None:
        for cpu, tlb in enumerate(self.tlbs):
            tlb.load_and_evict()
            for page in range(2 * PAGES):
                for write, user in ((0, 0), (0, 1), (1, 0), (1, 1)):
                    access = f"after {after}, page {page} on CPU {cpu}"
                    used, faults = tlb.access(page, bool(write), bool(user))
                    assert self._used(cpu, page, write, user) == used, access
                    may = self.machine("mmu_may_fault", page, write, user, cpu=cpu)
                    assert bool(may) == faults, access

    def _used(self, cpu: int, page: int, write: int, user: int) -> set[Translation]:
        found = self.machine("mmu_access", page, write, user, cpu=cpu)
        return self.machine.members(found, page)


def compare(machine: Machine, steps: list[Step]) -> int:
    """Raises AssertionError where the two differ; how many steps were compared
    before there were too many contents."""
    both = Both(machine)
    both.compare("the start")
    for count, step in enumerate(steps):
        after = both.step(step)
        try:
            both.compare(after)
        except TooManyEntriesError:
            return count
    return len(steps)


@functools.cache
def right() -> Machine:
    return Machine(OPTIONS)


@given(
    st.lists(
        st.tuples(*(st.integers(0, limit - 1) for limit in LIMITS)), min_size=8, max_size=LONGEST
    )
)
@settings(max_examples=250)
def test_an_access_can_use_what_the_set_has(steps: list[Step]) -> None:
    compare(right(), steps)


def sequences(count: int) -> list[list[Step]]:
    """Always the same ones."""
    rng = random.Random(3)

    def step() -> Step:
        a, b, c, d, e, f = (rng.randrange(limit) for limit in LIMITS)
        return a, b, c, d, e, f

    return [[step() for _ in range(LONGEST)] for _ in range(count)]


SEQUENCES = 150


def test_fixed_sequences() -> None:
    """Those that the broken machines are told by, nearly all to their end."""
    compared = sum(compare(right(), steps) for steps in sequences(SEQUENCES))
    assert compared > 0.9 * SEQUENCES * LONGEST


TWINS = {
    "INVLPG drops the page of every PCID": Change(
        "mmu",
        "    tlb_drop_page(this_cpu(), current_pcid(this_cpu()), page)\n    tlb_drop_global",
        "    for context in range(CONTEXTS):\n"
        "        tlbs[this_cpu()].contexts[context].pages[page] = 0\n    tlb_drop_global",
    ),
    "INVLPG leaves the global translation": Change(
        "mmu", "    tlb_drop_global_page(this_cpu(), page)\n", ""
    ),
    "INVLPG drops the whole PCID": Change(
        "mmu",
        "    tlb_drop_page(this_cpu(), current_pcid(this_cpu()), page)\n    tlb_drop_global",
        "    tlb_drop_pcid(this_cpu(), current_pcid(this_cpu()))\n"
        "    tlb_refill(this_cpu())\n    tlb_drop_global",
    ),
    "no refill after INVLPG": Change(
        "mmu",
        "    tlb_drop_global_page(this_cpu(), page)\n    tlb_refill_page(this_cpu(), page)\n",
        "    tlb_drop_global_page(this_cpu(), page)\n",
    ),
    "#PF drops nothing": Change(
        "mmu",
        "    tlb_drop_page(this_cpu(), current_pcid(this_cpu()), page)\n    tlb_refill",
        "    tlb_refill",
    ),
    "#PF drops the global translation": Change(
        "mmu",
        "    tlb_drop_page(this_cpu(), current_pcid(this_cpu()), page)\n    tlb_refill",
        "    tlb_drop_page(this_cpu(), current_pcid(this_cpu()), page)\n"
        "    tlb_drop_global_page(this_cpu(), page)\n    tlb_refill",
    ),
    "no refill after #PF": Change(
        "mmu",
        "current_pcid(this_cpu()), page)\n    tlb_refill_page(this_cpu(), page)\n",
        "current_pcid(this_cpu()), page)\n",
    ),
    "a stale translation cannot make an access fault": Change(
        "mmu", "    if cached != permits(cached, write, user):\n        return True\n", ""
    ),
    "a store to an entry invalidates it": Change(
        "mmu",
        "    pte_write(table, page, pte)\n    tlb_refill_everywhere(page)\n\n\n",
        "    pte_write(table, page, pte)\n    for cpu in CPU_FOREACH():\n"
        "        tlb_drop_page(cpu, current_pcid(cpu), page)\n"
        "    tlb_refill_everywhere(page)\n\n\n",
    ),
    "a store to an entry refills on the own CPU only": Change(
        "mmu",
        "    for cpu in CPU_FOREACH():\n        tlb_refill_page(cpu, page)\n",
        "    tlb_refill_page(this_cpu(), page)\n",
    ),
    "INVPCID 0 takes the current PCID": Change(
        "x86_64",
        "tlb_drop_page(this_cpu(), pcid, page)",
        "tlb_drop_page(this_cpu(), current_pcid(this_cpu()), page)",
    ),
    "INVPCID 0 drops the whole PCID": Change(
        "x86_64", "tlb_drop_page(this_cpu(), pcid, page)", "tlb_drop_pcid(this_cpu(), pcid)"
    ),
    "INVPCID 1 drops every PCID": Change(
        "x86_64", "tlb_drop_pcid(this_cpu(), pcid)", "tlb_drop_contexts(this_cpu())"
    ),
    "INVPCID 2 leaves global translations": Change(
        "x86_64",
        "elif kind == INVPCID_CTXGLOB:\n            tlb_drop_all(",
        "elif kind == INVPCID_CTXGLOB:\n            tlb_drop_contexts(",
    ),
    "INVPCID 3 drops global translations": Change(
        "x86_64",
        "            tlb_drop_contexts(this_cpu())",
        "            tlb_drop_all(this_cpu())",
    ),
    "MOV CR3 drops the old PCID": Change(
        "x86_64",
        "    CPU.cr3 = value & ~CR3_PCID_SAVE\n    if PAGES:\n"
        "        if value & CR3_PCID_SAVE == 0:\n"
        "            tlb_drop_pcid(this_cpu(), current_pcid(this_cpu()))\n",
        "    if PAGES and value & CR3_PCID_SAVE == 0:\n"
        "        tlb_drop_pcid(this_cpu(), current_pcid(this_cpu()))\n"
        "    CPU.cr3 = value & ~CR3_PCID_SAVE\n    if PAGES:\n"
        "        if False:\n            pass\n",
    ),
    "MOV CR3 drops global translations": Change(
        "x86_64",
        "value & CR3_PCID_SAVE == 0:\n            tlb_drop_pcid(",
        "value & CR3_PCID_SAVE == 0:\n            tlb_drop_all(this_cpu())\n"
        "            tlb_drop_pcid(",
    ),
    "MOV CR3 drops nothing": Change(
        "x86_64", "        if value & CR3_PCID_SAVE == 0:\n", "        if value == 0:\n"
    ),
    "MOV CR3 ignores bit 63": Change(
        "x86_64", "        if value & CR3_PCID_SAVE == 0:\n", "        if value != 0:\n"
    ),
    "no refill after MOV CR3": Change(
        "x86_64",
        '            sometimes("bit 63 of %cr3 keeps a translation")\n'
        "        tlb_refill(this_cpu())\n",
        '            sometimes("bit 63 of %cr3 keeps a translation")\n',
    ),
    "a change of PGE drops the current PCID only": Change(
        "x86_64", "if changed & CR4_PGE != 0 or", "if"
    ),
    "clearing PCIDE drops nothing": Change("x86_64", " or changed & ~value & CR4_PCIDE != 0", ""),
    "setting PCIDE drops everything": Change(
        "x86_64", "changed & ~value & CR4_PCIDE != 0", "changed & CR4_PCIDE != 0"
    ),
    "setting SMEP drops nothing": Change("x86_64", " or changed & value & CR4_SMEP != 0", ""),
    "no refill after MOV CR4": Change(
        "x86_64",
        "    CPU.cr4 = value\n    if PAGES:\n        tlb_refill(this_cpu())\n",
        "    CPU.cr4 = value\n",
    ),
    "an entry that is not present is cached": Change(
        "tlb", "    if pte & X86_PG_V == 0:\n", "    if pte == 0:\n"
    ),
    "global translations belong to a PCID": Change(
        "tlb", "pte & X86_PG_G != 0 and", "pte == 0 and"
    ),
    "the global bit counts without PGE": Change(
        "tlb", "pte & X86_PG_G != 0 and cpus[cpu].cr4 & CR4_PGE != 0", "pte & X86_PG_G != 0"
    ),
    "the PCID counts without PCIDE": Change("tlb", " if cpus[cpu].cr4 & CR4_PCIDE != 0 else 0", ""),
    "global translations match under no PCID": Change(
        "tlb", "    return own | tlbs[cpu].globals[page]\n", "    return own\n"
    ),
    "PCIDs with bit 11 are the ones without": Change(
        "tlb", "    return high * LOW_PCIDS + low\n", "    return low\n"
    ),
    "the right to write is not looked at": Change(
        "tlb", "        translations &= WRITABLE\n", "        pass\n"
    ),
    "the right of user mode is not looked at": Change(
        "tlb", "        translations &= USER\n", "        pass\n"
    ),
    "a user root maps the kernel": Change(
        "paging",
        "if both < USER_TABLES or",
        "if (root - USER_ROOTS) >> PAGE_SHIFT < USER_TABLES or",
    ),
}


@pytest.mark.parametrize("change", TWINS.values(), ids=TWINS)
def test_a_broken_machine_is_told(change: Change) -> None:
    machine = Machine(OPTIONS, change)
    with pytest.raises(AssertionError, match="after"):
        for steps in sequences(SEQUENCES):
            compare(machine, steps)
