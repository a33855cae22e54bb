"""The processor: control registers, the interrupt flag, start-up.

Kernel Python.  Each function is one machine event.  Section numbers are those
of the Intel SDM, volume 3A.
"""

from __future__ import annotations

from typing import Annotated, Final

from pmaplab.kernel_python import (
    KASSERT,
    atomic,
    atomic_thread_fence_seq_cst,
    option,
    own,
    panic,
    sometimes,
    static,
    this_cpu,
    u32,
    u64,
)
from pmaplab.machine.paging import PAGES
from pmaplab.machine.tlb import (
    current_pcid,
    tlb_cached,
    tlb_drop_all,
    tlb_drop_contexts,
    tlb_drop_page,
    tlb_drop_pcid,
    tlb_refill,
    tlb_tells_apart,
)

MAXCPU: Final[u32] = option("MAXCPU")
mp_ncpus: Final[u32] = option("mp_ncpus")

CR3_PCID_MASK: Final[u64] = 0xFFF
CR3_PCID_SAVE: Final[u64] = 0x8000000000000000
# Bits 62:52 of a page-table root are reserved (4.5, table 4-12).
CR3_RESERVED: Final[u64] = 0x7FF0000000000000
CR4_PAE: Final[u64] = 0x20
CR4_PGE: Final[u64] = 0x80
CR4_PCIDE: Final[u64] = 0x20000
CR4_SMEP: Final[u64] = 0x100000

# Whether CPUID reports the features that the kernel was told to use.
cpu_has_pcid: Final[u32] = option("pmap_pcid_enabled")
cpu_has_invpcid: Final[u32] = option("invpcid_works")

invpcid_drains: Final[u32] = option("invpcid_drains")

INVPCID_ADDR: Final[u32] = 0
INVPCID_CTX: Final[u32] = 1
INVPCID_CTXGLOB: Final[u32] = 2
INVPCID_ALLCTX: Final[u32] = 3


class cpu_registers:
    """The registers of one logical processor, as far as the pmap goes."""

    cr3: u64
    cr4: u64
    rflags_if: bool
    started: bool
    # The CPU handles an interrupt; what it interrupted stands still.
    in_interrupt: bool
    # What runs, or was interrupted, runs at CPL 3.
    user_mode: bool
    # Ghost: a MOV to CR3 has been executed since CR4.PCIDE was set.
    cr3_loaded: bool


cpus: Annotated[list[cpu_registers], MAXCPU] = static()
CPU: cpu_registers = own(cpus)


@atomic
def rcr3() -> u64:
    return CPU.cr3


@atomic
def load_cr3(value: u64) -> None:
    """MOV to CR3 (4.10.4.1): bit 63 asks to keep the PCID's entries; it is not
    stored.  With CR4.PCIDE clear, bit 63 is reserved.

    Without bit 63, what is cached of the new PCID goes; what is of another one,
    the old one included, may stay, and so may global translations."""
    atomic_thread_fence_seq_cst()  # a serializing instruction (8.3)
    KASSERT(value & CR3_RESERVED == 0, "#GP: MOV CR3 of %#x sets reserved bits", value)
    if CPU.cr4 & CR4_PCIDE == 0:
        KASSERT(value & CR3_PCID_SAVE == 0, "#GP: MOV CR3 of %#x without CR4.PCIDE", value)
    else:
        CPU.cr3_loaded = True
    CPU.cr3 = value & ~CR3_PCID_SAVE
    if PAGES:
        if value & CR3_PCID_SAVE == 0:
            tlb_drop_pcid(this_cpu(), current_pcid(this_cpu()))
        elif tlb_cached(this_cpu(), 0) != 0:
            sometimes("bit 63 of %cr3 keeps a translation")
        tlb_refill(this_cpu())


@atomic
def rcr4() -> u64:
    return CPU.cr4


@atomic
def load_cr4(value: u64) -> None:
    """MOV to CR4: setting PCIDE needs the feature and PCID 0 (4.10.1).

    Everything cached goes where PGE changes or PCIDE is cleared, and what is of
    the current PCID where PAE changes or SMEP is set (4.10.4.1)."""
    atomic_thread_fence_seq_cst()  # a serializing instruction (8.3)
    if value & CR4_PCIDE != 0 and CPU.cr4 & CR4_PCIDE == 0:
        KASSERT(cpu_has_pcid != 0, "#GP: MOV CR4 sets PCIDE on a CPU without PCIDs")
        KASSERT(
            CPU.cr3 & CR3_PCID_MASK == 0, "#GP: MOV CR4 sets PCIDE while CR3[11:0] is %#x", CPU.cr3
        )
    if PAGES:
        changed = value ^ CPU.cr4
        if changed & CR4_PGE != 0 or changed & ~value & CR4_PCIDE != 0:
            tlb_drop_all(this_cpu())
        elif changed & CR4_PAE != 0 or changed & value & CR4_SMEP != 0:
            tlb_drop_pcid(this_cpu(), current_pcid(this_cpu()))
    CPU.cr4 = value
    if PAGES:
        tlb_refill(this_cpu())


@atomic
def invpcid(kind: u32, pcid: u64, page: u32) -> None:
    """INVPCID: #UD without the feature, #GP for a PCID above 4095 or one other
    than 0 while CR4.PCIDE is clear.

    It drops a page of the PCID, all of the PCID, everything, or everything that
    is not global.  Whether it also drains the store buffer is disputed."""
    if invpcid_drains:
        atomic_thread_fence_seq_cst()
    KASSERT(cpu_has_invpcid != 0, "#UD: INVPCID on a CPU without it")
    KASSERT(kind <= INVPCID_ALLCTX, "#GP: INVPCID of type %d", kind)
    KASSERT(pcid <= CR3_PCID_MASK, "#GP: INVPCID of PCID %#x", pcid)
    KASSERT(
        pcid == 0 or CPU.cr4 & CR4_PCIDE != 0, "#GP: INVPCID of PCID %#x without CR4.PCIDE", pcid
    )
    if PAGES:
        # Of a PCID that CR3 never held nothing is cached.
        if kind == INVPCID_ADDR:
            if tlb_tells_apart(pcid):
                tlb_drop_page(this_cpu(), pcid, page)
        elif kind == INVPCID_CTX:
            if tlb_tells_apart(pcid):
                tlb_drop_pcid(this_cpu(), pcid)
        elif kind == INVPCID_CTXGLOB:
            tlb_drop_all(this_cpu())
        else:
            tlb_drop_contexts(this_cpu())
        tlb_refill(this_cpu())


@atomic
def read_rflags_if() -> bool:
    """The interrupt flag out of PUSHF."""
    return CPU.rflags_if


@atomic
def intr_disable() -> bool:
    """PUSHF, CLI: the flag as it was."""
    flags = CPU.rflags_if
    CPU.rflags_if = False
    return flags


@atomic
def intr_restore(flags: bool) -> None:
    CPU.rflags_if = flags


@atomic
def enable_intr() -> None:
    CPU.rflags_if = True


@atomic
def ipi_startup(cpu: u32) -> None:
    """INIT and STARTUP IPIs: the processor begins to execute (8.4)."""
    atomic_thread_fence_seq_cst()  # the kernel sends an IPI behind its earlier stores
    if cpu >= mp_ncpus or cpu == this_cpu():
        panic("CPU %d cannot be started", cpu)
    cpus[cpu].started = True
