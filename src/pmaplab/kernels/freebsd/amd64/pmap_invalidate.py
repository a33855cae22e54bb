"""Invalidating what CPUs have cached of a pmap: the part of
sys/amd64/amd64/pmap.c, as of August 2018.

A pmap that other CPUs use is invalidated there by an interrupt.  On a CPU that
does not use it, pm_gen is cleared instead: the next activation there takes a
fresh PCID.
"""

from __future__ import annotations

from pmaplab.kernel_python import (
    CPU_FOREACH,
    atomic_thread_fence_seq_cst,
    u32,
    u64,
)
from pmaplab.kernels.freebsd.amd64.pcpu import PCPU
from pmaplab.kernels.freebsd.amd64.pmap import (
    PMAP_NO_CR3,
    PMAP_PCID_USER_PT,
    invpcid_works,
    kernel_pmap,
    pmap,
    pmap_pcid_enabled,
)
from pmaplab.kernels.freebsd.amd64.support import (
    invltlb,
    invltlb_glob,
    pmap_pti_pcid_invalidate,
    pmap_pti_pcid_invlpg,
    pmap_pti_pcid_invlrng,
)
from pmaplab.kernels.freebsd.sys.mutex import critical_enter, critical_exit, sched_pin, sched_unpin
from pmaplab.kernels.freebsd.x86.smp_tlb import (
    pmap_invalidate_cpu_mask,
    smp_masked_invlpg,
    smp_masked_invlpg_range,
    smp_masked_invltlb,
)
from pmaplab.machine.mmu import invlpg
from pmaplab.machine.x86_64 import (
    CR3_PCID_SAVE,
    INVPCID_ADDR,
    INVPCID_CTX,
    INVPCID_CTXGLOB,
    invpcid,
    load_cr3,
)


def pmap_invalidate_gens(pm: pmap) -> None:
    """On CPUs that use the pmap later, it gets a fresh PCID."""
    if PCPU.curpmap != pm:
        pm.pm_pcids[PCPU.cpuid].pm_gen = 0
    for i in CPU_FOREACH():
        if i != PCPU.cpuid:
            pm.pm_pcids[i].pm_gen = 0
    # Between the stores to pm_gen and the load of pm_active: else a CPU that
    # activates the pmap now could be missed, while it still sees the old
    # pm_gen.  There the locked operation on pm_active is the counterpart.
    atomic_thread_fence_seq_cst()


def pmap_invalidate_user_page(pm: pmap, va: u32) -> None:
    """Under PTI, the page is cached under the user PCID too."""
    # A switch would compute pm_pcid anew.
    critical_enter()
    pcid = pm.pm_pcids[PCPU.cpuid].pm_pcid
    if invpcid_works:
        invpcid(INVPCID_ADDR, u64(pcid | PMAP_PCID_USER_PT), va)
    else:
        kcr3 = pm.pm_cr3 | pcid | CR3_PCID_SAVE
        ucr3 = pm.pm_ucr3 | pcid | PMAP_PCID_USER_PT | CR3_PCID_SAVE
        pmap_pti_pcid_invlpg(ucr3, kcr3, va)
    critical_exit()


def pmap_invalidate_page(pm: pmap, va: u32) -> None:
    sched_pin()
    if pm == kernel_pmap:
        invlpg(va)
    else:
        if pm == PCPU.curpmap:
            invlpg(va)
            if pmap_pcid_enabled and pm.pm_ucr3 != PMAP_NO_CR3:
                pmap_invalidate_user_page(pm, va)
        if pmap_pcid_enabled:
            pmap_invalidate_gens(pm)
    smp_masked_invlpg(pmap_invalidate_cpu_mask(pm), va, pm)
    sched_unpin()


def pmap_invalidate_user_range(pm: pmap, sva: u32, eva: u32) -> None:
    critical_enter()
    pcid = pm.pm_pcids[PCPU.cpuid].pm_pcid
    if invpcid_works:
        for va in range(sva, eva):
            invpcid(INVPCID_ADDR, u64(pcid | PMAP_PCID_USER_PT), va)
    else:
        kcr3 = pm.pm_cr3 | pcid | CR3_PCID_SAVE
        ucr3 = pm.pm_ucr3 | pcid | PMAP_PCID_USER_PT | CR3_PCID_SAVE
        pmap_pti_pcid_invlrng(ucr3, kcr3, sva, eva)
    critical_exit()


def pmap_invalidate_range(pm: pmap, sva: u32, eva: u32) -> None:
    """The pages from ``sva`` up to ``eva``."""
    sched_pin()
    if pm == kernel_pmap:
        for va in range(sva, eva):
            invlpg(va)
    else:
        if pm == PCPU.curpmap:
            for va in range(sva, eva):
                invlpg(va)
            if pmap_pcid_enabled and pm.pm_ucr3 != PMAP_NO_CR3:
                pmap_invalidate_user_range(pm, sva, eva)
        if pmap_pcid_enabled:
            pmap_invalidate_gens(pm)
    smp_masked_invlpg_range(pmap_invalidate_cpu_mask(pm), sva, eva, pm)
    sched_unpin()


def pmap_invalidate_context(pm: pmap) -> None:
    """All that is cached of the loaded pmap, with PCIDs."""
    critical_enter()
    pcid = pm.pm_pcids[PCPU.cpuid].pm_pcid
    if invpcid_works:
        invpcid(INVPCID_CTX, u64(pcid), 0)
        if pm.pm_ucr3 != PMAP_NO_CR3:
            invpcid(INVPCID_CTX, u64(pcid | PMAP_PCID_USER_PT), 0)
    else:
        kcr3 = pm.pm_cr3 | pcid
        if pm.pm_ucr3 != PMAP_NO_CR3:
            pmap_pti_pcid_invalidate(pm.pm_ucr3 | pcid | PMAP_PCID_USER_PT, kcr3)
        else:
            load_cr3(kcr3)
    critical_exit()


def pmap_invalidate_all(pm: pmap) -> None:
    sched_pin()
    if pm == kernel_pmap:
        if pmap_pcid_enabled and invpcid_works:
            invpcid(INVPCID_CTXGLOB, 0, 0)
        else:
            invltlb_glob()
    else:
        if pm == PCPU.curpmap:
            if pmap_pcid_enabled:
                pmap_invalidate_context(pm)
            else:
                invltlb()
        if pmap_pcid_enabled:
            pmap_invalidate_gens(pm)
    smp_masked_invltlb(pmap_invalidate_cpu_mask(pm), pm)
    sched_unpin()
