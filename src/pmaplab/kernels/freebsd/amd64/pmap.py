"""Address spaces: sys/amd64/amd64/pmap.c and its header, as of August 2018,
just before review D16618.
"""

from __future__ import annotations

from typing import Annotated, Final

from pmaplab.kernel_python import (
    CPU_FOREACH,
    KASSERT,
    SYSCTL,
    SYSCTL_COUNTER,
    atomic,
    option,
    sometimes,
    static,
    u32,
    u64,
)
from pmaplab.kernels.freebsd.amd64.pcpu import PCPU, TSS, __pcpu
from pmaplab.kernels.freebsd.amd64.support import pmap_pti_pcid_invalidate
from pmaplab.kernels.freebsd.sys.cpuset import (
    CPU_CLR_ATOMIC,
    CPU_COUNT,
    CPU_EMPTY,
    CPU_FILL,
    CPU_SET_ATOMIC,
    CPU_ZERO,
    cpuset_t,
)
from pmaplab.kernels.freebsd.sys.mutex import critical_enter, critical_exit, mtx
from pmaplab.kernels.freebsd.sys.proc import thread
from pmaplab.kernels.freebsd.vm.vm_map import vmspace_pmap
from pmaplab.machine.x86_64 import (
    CR3_PCID_MASK,
    CR3_PCID_SAVE,
    CR4_PCIDE,
    CR4_PGE,
    INVPCID_CTX,
    MAXCPU,
    intr_disable,
    intr_restore,
    invpcid,
    load_cr3,
    load_cr4,
    rcr3,
    rcr4,
)

# Tunables, as they stand once pmap_bootstrap has looked at CPUID.
pmap_pcid_enabled: Final[u32] = option("pmap_pcid_enabled")
invpcid_works: Final[u32] = option("invpcid_works")
pti: Final[u32] = option("pti")

PMAP_PCID_NONE: Final[u32] = 0xFFFFFFFF
PMAP_PCID_KERN: Final[u32] = 0
PMAP_PCID_OVERMAX: Final[u32] = option("PMAP_PCID_OVERMAX")
PMAP_PCID_OVERMAX_KERN: Final[u32] = option("PMAP_PCID_OVERMAX_KERN")
PMAP_PCID_USER_PT: Final[u32] = 0x800
PMAP_NO_CR3: Final[u64] = 0xFFFFFFFFFFFFFFFF

# Physical addresses of top-level page-table pages.
KPML4phys: Final[u64] = 0x1000
PML4_PAGES: Final[u64] = 0x100000
PML4U_PAGES: Final[u64] = 0x200000

pmap_flags: Final[u32] = option("pmap_pcid_enabled")  # PMAP_PDE_SUPERPAGE and the like


class pmap_pcids:
    pm_pcid: u32
    pm_gen: u32


class pmap:
    pm_mtx: mtx
    # The pages of pm_pml4 and, under PTI, pm_pml4u: their physical addresses.
    pm_pml4: u64
    pm_pml4u: u64
    pm_cr3: u64
    pm_ucr3: u64
    pm_active: cpuset_t
    pm_flags: u32
    pm_pcids: Annotated[list[pmap_pcids], MAXCPU]


kernel_pmap: pmap = static(pm_pml4=KPML4phys)


def pmap_bootstrap() -> None:
    """On the boot CPU, from hammer_time."""
    load_cr4(rcr4() | CR4_PGE)
    load_cr3(KPML4phys)
    kernel_pmap.pm_cr3 = KPML4phys
    kernel_pmap.pm_ucr3 = PMAP_NO_CR3
    CPU_FILL(kernel_pmap.pm_active)  # don't allow deactivation
    kernel_pmap.pm_flags = pmap_flags
    if pmap_pcid_enabled:
        for i in range(MAXCPU):
            kernel_pmap.pm_pcids[i].pm_pcid = PMAP_PCID_KERN
            kernel_pmap.pm_pcids[i].pm_gen = 1
        PCPU.pcid_next = PMAP_PCID_KERN + 1
        PCPU.pcid_gen = 1
        load_cr4(rcr4() | CR4_PCIDE)


def pmap_pinit0(pm: pmap) -> None:
    pm.pm_cr3 = KPML4phys
    # hack to keep pmap_pti_pcid_invalidate() alive
    pm.pm_ucr3 = PMAP_NO_CR3
    CPU_ZERO(pm.pm_active)
    pm.pm_flags = pmap_flags
    for i in CPU_FOREACH():
        pm.pm_pcids[i].pm_pcid = PMAP_PCID_NONE
        pm.pm_pcids[i].pm_gen = 0
        if not pti:
            __pcpu[i].kcr3 = PMAP_NO_CR3
    PCPU.curpmap = kernel_pmap
    pmap_activate(PCPU.curthread)
    CPU_FILL(kernel_pmap.pm_active)


@atomic
def pmap_pinit(pm: pmap) -> None:
    """A pmap in a fresh vmspace: one step, since nobody else knows it yet."""
    for i in CPU_FOREACH():
        pm.pm_pcids[i].pm_pcid = PMAP_PCID_NONE
        pm.pm_pcids[i].pm_gen = 0
    pm.pm_cr3 = pm.pm_pml4
    if pti:
        pm.pm_ucr3 = pm.pm_pml4u
    else:
        pm.pm_ucr3 = PMAP_NO_CR3
    CPU_ZERO(pm.pm_active)
    pm.pm_flags = pmap_flags


def pmap_release(pm: pmap) -> None:
    KASSERT(CPU_EMPTY(pm.pm_active), "releasing active pmap")


def pmap_pcid_next_gen(gen: u32) -> u32:
    """All PCIDs are handed out: those of the old generation count no more."""
    new_gen = gen + 1
    if new_gen == 0:
        new_gen = 1
    PCPU.pcid_gen = new_gen
    return new_gen


def pmap_pcid_alloc(pm: pmap, cpuid: u32) -> u64:
    """CR3_PCID_SAVE when the CPU may still hold translations of the pmap's
    PCID, 0 when the PCID was just handed out."""
    td = PCPU.curthread
    KASSERT(td.td_critnest >= 1, "curthread not in critical section")
    gen = PCPU.pcid_gen
    if pm.pm_pcids[cpuid].pm_pcid == PMAP_PCID_KERN:
        return 0 if pti else CR3_PCID_SAVE
    if pm.pm_pcids[cpuid].pm_gen == gen:
        return CR3_PCID_SAVE
    pcid_next = PCPU.pcid_next
    KASSERT(
        (not pti and pcid_next <= PMAP_PCID_OVERMAX)
        or (pti and pcid_next <= PMAP_PCID_OVERMAX_KERN),
        "pcid_next %#x",
        pcid_next,
    )
    if (not pti and pcid_next == PMAP_PCID_OVERMAX) or (
        pti and pcid_next == PMAP_PCID_OVERMAX_KERN
    ):
        new_gen = pmap_pcid_next_gen(gen)
        pcid_next = PMAP_PCID_KERN + 1
        sometimes("a PCID generation rolled over")
    else:
        new_gen = gen
    pm.pm_pcids[cpuid].pm_pcid = pcid_next
    pm.pm_pcids[cpuid].pm_gen = new_gen
    PCPU.pcid_next = pcid_next + 1
    return 0


def pmap_activate_load_cr3(kcr3: u64, cached: u64, cr3: u64) -> None:
    """The kernel's root; under PTI its PCID is always flushed."""
    kern_pti_cached: u64 = 0 if pti else cached
    if kern_pti_cached == 0 or cr3 & ~CR3_PCID_MASK != kcr3 & ~CR3_PCID_MASK:
        load_cr3(kcr3 | kern_pti_cached)


def pmap_activate_pti(pm: pmap, pcid: u32, cached: u64, kcr3: u64) -> None:
    """The roots for the way into the kernel and back."""
    pm_ucr3 = pm.pm_ucr3
    ucr3 = pm_ucr3 | pcid | PMAP_PCID_USER_PT
    if cached == 0 and pm_ucr3 != PMAP_NO_CR3:
        # The load of the kernel's root has not flushed what is cached from the
        # user's.
        if invpcid_works:
            invpcid(INVPCID_CTX, u64(PMAP_PCID_USER_PT | pcid), 0)
        else:
            pmap_pti_pcid_invalidate(ucr3, kcr3)
    PCPU.kcr3 = kcr3 | CR3_PCID_SAVE
    PCPU.ucr3 = ucr3 | CR3_PCID_SAVE


def pmap_activate_sw_pcid(pm: pmap, cpuid: u32, cr3: u64) -> None:
    """The arm of pmap_activate_sw with PCIDs, which later became functions of
    its own."""
    cached = pmap_pcid_alloc(pm, cpuid)
    # As a compiler does it, what nobody else may change is read once.
    pcid = pm.pm_pcids[cpuid].pm_pcid
    KASSERT(pcid < PMAP_PCID_OVERMAX, "cpu %d pcid %#x", cpuid, pcid)
    KASSERT(
        pcid != PMAP_PCID_KERN or pm == kernel_pmap, "non-kernel pmap cpu %d pcid %#x", cpuid, pcid
    )
    rflags = False
    if not invpcid_works:
        # The invltlb handler asks whether curpmap is the pmap to flush, so it
        # must not come between the load of %cr3 and the store to curpmap.
        rflags = intr_disable()
    kcr3 = pm.pm_cr3 | pcid
    pmap_activate_load_cr3(kcr3, cached, cr3)
    PCPU.curpmap = pm
    if pti:
        pmap_activate_pti(pm, pcid, cached, kcr3)
    if not invpcid_works:
        intr_restore(rflags)
    if cached != 0:
        PCPU.pm_save_cnt += 1
        sometimes("a PCID is kept by an activation")


def pmap_activate_sw_nopcid(pm: pmap, cr3: u64) -> None:
    """The arm of pmap_activate_sw without PCIDs."""
    pm_cr3 = pm.pm_cr3
    if cr3 != pm_cr3:
        load_cr3(pm_cr3)
        PCPU.curpmap = pm
        if pti:
            PCPU.kcr3 = pm_cr3
            PCPU.ucr3 = pm.pm_ucr3
    elif PCPU.cpuid == 0:
        sometimes("the boot CPU switches to a root that is loaded already")
    else:
        sometimes("an AP switches to a root that is loaded already")


def pmap_activate_sw_root(pm: pmap, cpuid: u32) -> None:
    cr3 = rcr3()
    if pmap_pcid_enabled:
        pmap_activate_sw_pcid(pm, cpuid, cr3)
    else:
        pmap_activate_sw_nopcid(pm, cr3)


def pmap_activate_sw(td: thread) -> None:
    oldpmap = PCPU.curpmap
    pm = vmspace_pmap(td.td_proc.p_vmspace)
    if oldpmap == pm:
        return
    cpuid = PCPU.cpuid
    CPU_SET_ATOMIC(cpuid, pm.pm_active)
    pmap_activate_sw_root(pm, cpuid)
    if pm.pm_ucr3 != PMAP_NO_CR3:
        TSS.tss_rsp0 = PCPU.pti_stack
    CPU_CLR_ATOMIC(cpuid, oldpmap.pm_active)
    sometimes("a pmap is activated")


def pmap_activate(td: thread) -> None:
    critical_enter()
    pmap_activate_sw(td)
    critical_exit()


@atomic
def sysctl_debug_count() -> u32:
    """The node that a patch in the review adds."""
    return CPU_COUNT(kernel_pmap.pm_active)


@atomic
def sysctl_pcid_enabled() -> u32:
    return pmap_pcid_enabled


@atomic
def sysctl_invpcid_works() -> u32:
    return invpcid_works


@atomic
def sysctl_pti() -> u32:
    return pti


SYSCTL("debug.count", sysctl_debug_count)
SYSCTL("vm.pmap.pcid_enabled", sysctl_pcid_enabled)
SYSCTL("vm.pmap.invpcid_works", sysctl_invpcid_works)
SYSCTL("vm.pmap.pti", sysctl_pti)
SYSCTL_COUNTER("vm.pmap.pcid_save_cnt", "pm_save_cnt")
