"""What a tree's C meets and the model writes by hand: the boot CPU before C that
is modelled, processors' features and numbers, the page allocator.

These declarations replace the reference kernel's where a tree is checked.
"""

from __future__ import annotations

from typing import Annotated, Final

from pmaplab.kernel_python import (
    CPU_FOREACH,
    KASSERT,
    NULL,
    SYSINIT,
    atomic,
    atomic_thread_fence_seq_cst,
    counter,
    option,
    own,
    panic,
    printf,
    ptr,
    sometimes,
    static,
    this_cpu,
    u16,
    u32,
    u64,
)
from pmaplab.kernels.freebsd.amd64.exception import doreti, interrupt_entry
from pmaplab.kernels.freebsd.amd64.pcpu import (
    PC_PTI_STACK_SZ,
    PTI_STACKS,
    TSS,
    amd64tss,
)
from pmaplab.kernels.freebsd.amd64.pmap import (
    PMAP_NO_CR3,
    PML4_PAGES,
    PML4U_PAGES,
    kernel_pmap,
    pmap,
    pmap_pinit,
)
from pmaplab.kernels.freebsd.kern.sched_ule import sched_throw
from pmaplab.kernels.freebsd.sys.cpuset import cpuset_t
from pmaplab.kernels.freebsd.sys.kernel import (
    SI_ORDER_ANY,
    SI_ORDER_FIRST,
    SI_SUB_CPU,
    SI_SUB_SMP,
)
from pmaplab.kernels.freebsd.sys.proc import (
    NVMSPACE,
    sched_lock,
    thread,
    thread0,
    vmspace,
    vmspace_zone,
)
from pmaplab.kernels.freebsd.vm.vm_map import uma_zalloc_vmspace, vmspace_pmap
from pmaplab.machine.local_apic import lapic_ipi
from pmaplab.machine.mmu import invlpg
from pmaplab.machine.paging import KERNEL_TABLE, NPAGE, PAGE_SHIFT, PAGES
from pmaplab.machine.x86_64 import (
    INVPCID_ADDR,
    MAXCPU,
    intr_disable,
    intr_restore,
    invpcid,
    load_cr3,
    mp_ncpus,
    read_rflags_if,
)

# What CPUID reports, as far as the C asks: PCID and INVPCID by the mode.
cpu_feature: Final[u32] = 0
cpu_feature2: Final[u32] = 0x00020000 if option("pmap_pcid_enabled") else 0
cpu_stdext_feature: Final[u32] = 0x00000400 if option("invpcid_works") else 0
cpu_stdext_feature2: Final[u32] = 0
# Intel's: others have a fence where no pmap is switched.
cpu_vendor_id: Final[u32] = 0x8086
# Five levels of page tables are not in use.
la57: Final[u32] = 0
# P_MD_KPTI: under PTI every process has a user root.
mdproc_flags: Final[u32] = 1 if option("pti") else 0
# How much the kernel prints.
bootverbose: Final[u32] = 0
# 0: the direct map is not limited yet, or covers everything.
dmaplimit: Final[u64] = 0
# Entries of the kernel's part of a page-table root, which are not modelled.
ndmpdpphys: Final[u32] = 0
mp_maxid: Final[u32] = option("mp_ncpus") - 1

all_cpus: cpuset_t = static(
    __bits=[
        0xFFFFFFFFFFFFFFFF
        if option("mp_ncpus") >= 64 * i + 64
        else 0
        if option("mp_ncpus") <= 64 * i
        else (1 << (option("mp_ncpus") - 64 * i)) - 1
        for i in range((MAXCPU + 63) // 64)
    ]
)
# APIC ids are the numbers of the CPUs.
cpu_apic_ids: Annotated[list[u32], MAXCPU] = [i for i in range(MAXCPU)]


PMAP_UCR3_NOMASK: Final[u64] = 0xFFFFFFFFFFFFFFFF


class pcpu:
    cpuid: u32
    apic_id: u32
    curthread: ptr[thread]
    idlethread: ptr[thread]
    curpmap: ptr[pmap]
    tssp: ptr[amd64tss]
    rsp0: u64
    pti_stack: u64
    kcr3: u64
    ucr3: u64
    ucr3_load_mask: u64
    pcid_gen: u32
    pcid_next: u32
    # Releases with an invl_scoreboard: the request of this CPU.
    smp_tlb_pmap: ptr[pmap]
    # While pmap_pinit runs here: the pages of which vmspace, counted from 1,
    # and how many of them it has taken.
    pinit_vmspace: u32
    pinit_pages: u32
    pm_save_cnt: counter


__pcpu: Annotated[list[pcpu], MAXCPU] = [
    static(pti_stack=PTI_STACKS + i * PC_PTI_STACK_SZ, ucr3_load_mask=PMAP_UCR3_NOMASK)
    for i in range(MAXCPU)
]
PCPU: pcpu = own(__pcpu)


class vm_page:
    phys_addr: u64
    flags: u16


# The page-table roots of each vmspace: the kernel's, and the user's under PTI.
vm_pages: Annotated[list[vm_page], 2 * NVMSPACE] = [
    static(phys_addr=(PML4_PAGES if i % 2 == 0 else PML4U_PAGES) + i // 2 * 0x1000)
    for i in range(2 * NVMSPACE)
]


@atomic
def vm_page_alloc() -> vm_page:
    """The pages stay with their vmspace, as if the allocator always gave back
    what was freed last: the first is pm_pml4's, the second pm_pml4u's."""
    KASSERT(PCPU.pinit_vmspace != 0, "a page is allocated outside of pmap_pinit")
    KASSERT(PCPU.pinit_pages < 2, "pmap_pinit takes more than two pages")
    page = vm_pages[2 * (PCPU.pinit_vmspace - 1) + PCPU.pinit_pages]
    PCPU.pinit_pages += 1
    return page


@atomic
def vmspace_number(vm: vmspace) -> u32:
    for i in range(NVMSPACE):
        if vm == vmspace_zone[i]:
            return i + 1
    panic("no vmspace of the zone")


@atomic
def vmspace_pinit(vm: vmspace) -> None:
    atomic_thread_fence_seq_cst()  # the page allocator's locks
    PCPU.pinit_vmspace = vmspace_number(vm)
    pmap_pinit(vmspace_pmap(vm))
    PCPU.pinit_vmspace = 0
    PCPU.pinit_pages = 0


def vmspace_alloc() -> vmspace:
    vm = uma_zalloc_vmspace()
    vmspace_pinit(vm)
    vm.vm_refcnt = 1
    return vm


def pmap_bootstrap(firstaddr: ptr[u64]) -> None:
    """The tree's own takes this place."""
    panic("the tree has no pmap_bootstrap")


def hammer_time() -> None:
    """sys/amd64/amd64/machdep.c, up to pmap_bootstrap."""
    PCPU.cpuid = 0
    PCPU.tssp = TSS
    thread0.td_lock = sched_lock
    PCPU.curthread = thread0
    PCPU.rsp0 = thread0.td_pcb
    TSS.tss_rsp0 = thread0.td_pcb
    pmap_bootstrap(NULL)
    printf("FreeBSD/SMP: Multiprocessor System Detected: %d CPUs\n", mp_ncpus)


@atomic
def pcpu_init(pc: pcpu, cpuid: u32) -> None:
    """sys/kern/subr_pcpu.c: everything in it is 0 at power-on already."""
    KASSERT(cpuid == this_cpu(), "a CPU initializes the data of CPU %d", cpuid)
    KASSERT(pc == PCPU, "a CPU initializes another one's data")
    PCPU.cpuid = cpuid


def sched_ap_entry() -> None:
    """sys/kern/sched_ule.c"""
    sched_throw(NULL)


@atomic
def lapic_id() -> u32:
    return this_cpu()


# --- addresses -----------------------------------------------------------------
# The model numbers pages; C has addresses, which are the page's number times
# PAGE_SIZE.  It steps and compares, and every address that it hands to the
# machine comes back here.

VA_STEP: Final[u64] = 1 << PAGE_SHIFT
smp_tlb_addr1: u64 = 0
smp_tlb_addr2: u64 = 0


@atomic
def pmap_table(pm: pmap) -> u32:
    """As pmap_mappings.py has it.  The C's stores to pm_pml4 are left out, but
    the page stays with its vmspace (vm_page_alloc)."""
    if pm == kernel_pmap:
        return KERNEL_TABLE
    for i in range(NVMSPACE):
        if pm == vmspace_zone[i].vm_pmap:
            return i
    panic("no pmap of the zone")


@atomic
def invlpg_addr(addr: u64) -> None:
    """INVLPG of any address: one that no page has is only serializing."""
    if addr >> PAGE_SHIFT < NPAGE:
        invlpg(u32(addr >> PAGE_SHIFT))
    else:
        atomic_thread_fence_seq_cst()


@atomic
def invpcid_descr(kind: u32, pcid: u64, pad: u64, addr: u64) -> None:
    """INVPCID of a descriptor, whose bits 63:12 are reserved (SDM vol. 2, INVPCID);
    of an address that no page has, nothing is cached."""
    KASSERT(pad == 0, "#GP: INVPCID with reserved bits of the descriptor set")
    if kind == INVPCID_ADDR and addr >> PAGE_SHIFT >= PAGES + PAGES:
        KASSERT(PAGES != 0, "INVPCID of an address, in a system without pages")
    else:
        invpcid(kind, pcid, u32(addr >> PAGE_SHIFT) if kind == INVPCID_ADDR else 0)


def pmap_pti_pcid_invlpg(ucr3: u64, kcr3: u64, va: u64) -> None:
    """sys/amd64/amd64/support.S"""
    flags = intr_disable()
    load_cr3(ucr3)
    invlpg_addr(va)
    load_cr3(kcr3)
    intr_restore(flags)


def pmap_pti_pcid_invlrng(ucr3: u64, kcr3: u64, sva: u64, eva: u64) -> None:
    """sys/amd64/amd64/support.S"""
    flags = intr_disable()
    load_cr3(ucr3)
    va = sva
    while True:
        invlpg_addr(va)
        va += VA_STEP
        if va >= eva:
            break
    load_cr3(kcr3)
    intr_restore(flags)


# --- interrupts ------------------------------------------------------------------

# No debugger is active, and the kernel has not panicked.
kdb_active: Final[u32] = 0
panicstr: Final[u64] = 0
panicked: Final[u32] = 0


@atomic
def read_rflags() -> u64:
    """PUSHF: the interrupt flag (PSL_I), as far as the model has the register."""
    return 0x200 if read_rflags_if() else 0


def ipi_all_but_self(vector: u32) -> None:
    """sys/x86/x86/mp_x86.c"""
    for cpu in CPU_FOREACH():
        if cpu != this_cpu():
            lapic_ipi(cpu, vector)


@atomic
def _to_user_root() -> None:
    """sys/amd64/amd64/exception.S: a mask without bit 63 takes CR3_PCID_SAVE off, once.
    Releases without ucr3_load_mask never store it."""
    if PCPU.ucr3 != PMAP_NO_CR3:
        load_cr3(PCPU.ucr3 & PCPU.ucr3_load_mask)
        PCPU.ucr3_load_mask = PMAP_UCR3_NOMASK


IPI_INVLOP: Final[u32] = 3
# A line for each CPU, in it a word for each initiator: 0 asks, the generation answers.
invl_scoreboard: Annotated[list[u32], mp_ncpus * mp_ncpus] = static()


def invl_ops() -> None:
    """Nothing in releases that have no invl_scoreboard_init."""


def invl_ops_of_tree() -> None:
    """SYSINIT of releases in which one vector stands for all invalidations."""
    invl_scoreboard_init(0)


SYSINIT("invl_ops", SI_SUB_SMP, SI_ORDER_FIRST, invl_ops)


def invl_scoreboard_init(arg: u64) -> None:
    """The tree's own takes this place, where it has one."""
    panic("the tree has no invl_scoreboard_init")


def pmap_cpu() -> None:
    """Nothing in releases that have no pmap_cpu_init."""


def pmap_cpu_of_tree() -> None:
    """SYSINIT of releases in which kernel_pmap's set becomes that of all CPUs."""
    pmap_cpu_init(0)


SYSINIT("pmap_cpu", SI_SUB_CPU + 1, SI_ORDER_ANY, pmap_cpu)


def pmap_cpu_init(arg: u64) -> None:
    """The tree's own takes this place, where it has one."""
    panic("the tree has no pmap_cpu_init")


def invlop_vector() -> None:
    """apic_vector of releases in which one vector stands for all invalidations."""
    vector = interrupt_entry()
    KASSERT(vector == IPI_INVLOP, "vector %d", vector)
    invlop_handler()
    sometimes("an IPI is delivered")
    doreti()


def invlop_handler() -> None:
    """The tree's own takes this place, where it has one."""
    panic("the tree has no invlop_handler")


def ipi_selected(cpus: u64, vector: u32) -> None:
    """sys/x86/x86/mp_x86.c"""
    for cpu in CPU_FOREACH():
        if cpus >> cpu & 1 != 0:
            lapic_ipi(cpu, vector)


# --- what a tree must have -----------------------------------------------------


def pmap_invalidate_ept(pm: pmap) -> None:
    """Nothing makes the pmap of a guest."""
    panic("the nested page tables of a guest are not modelled")


def pmap_invalidate_page(pm: pmap, va: u64) -> None:
    """The tree's own takes this place."""
    panic("the tree has no pmap_invalidate_page")


def pmap_invalidate_range(pm: pmap, sva: u64, eva: u64) -> None:
    """The tree's own takes this place."""
    panic("the tree has no pmap_invalidate_range")
