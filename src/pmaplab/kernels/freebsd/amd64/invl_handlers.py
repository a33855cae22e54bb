"""The handlers of invalidation IPIs with PCIDs: sys/amd64/amd64/mp_machdep.c."""

from __future__ import annotations

from pmaplab.kernel_python import u32, u64
from pmaplab.kernels.freebsd.amd64.pcpu import PCPU
from pmaplab.kernels.freebsd.amd64.pmap import (
    PMAP_NO_CR3,
    PMAP_PCID_USER_PT,
    kernel_pmap,
    pmap,
)
from pmaplab.kernels.freebsd.amd64.support import (
    invltlb_glob,
    pmap_pti_pcid_invalidate,
    pmap_pti_pcid_invlpg,
    pmap_pti_pcid_invlrng,
)
from pmaplab.kernels.freebsd.x86.smp_tlb import (
    smp_tlb_addr1,
    smp_tlb_addr2,
    smp_tlb_generation,
    smp_tlb_pmap,
)
from pmaplab.machine.mmu import invlpg
from pmaplab.machine.x86_64 import (
    CR3_PCID_MASK,
    CR3_PCID_SAVE,
    INVPCID_ADDR,
    INVPCID_CTX,
    INVPCID_CTXGLOB,
    invpcid,
    load_cr3,
)


def descr_pcid(pm: pmap) -> u64:
    """struct invpcid_descr has 12 bits for it: of PMAP_PCID_NONE, 0xfff stays."""
    return u64(pm.pm_pcids[PCPU.cpuid].pm_pcid) & CR3_PCID_MASK


def invltlb_invpcid_handler() -> None:
    generation = smp_tlb_generation
    pcid = descr_pcid(smp_tlb_pmap)
    invpcid(INVPCID_CTXGLOB if smp_tlb_pmap == kernel_pmap else INVPCID_CTX, pcid, 0)
    PCPU.smp_tlb_done = generation


def invltlb_invpcid_pti_handler() -> None:
    generation = smp_tlb_generation
    pcid = descr_pcid(smp_tlb_pmap)
    if smp_tlb_pmap == kernel_pmap:
        # The kernel's mappings are cached under the PCID of whatever runs.
        invpcid(INVPCID_CTXGLOB, pcid, 0)
    else:
        invpcid(INVPCID_CTX, pcid, 0)
        invpcid(INVPCID_CTX, pcid | PMAP_PCID_USER_PT, 0)
    PCPU.smp_tlb_done = generation


def invltlb_pcid_handler() -> None:
    generation = smp_tlb_generation
    pm = smp_tlb_pmap
    if pm == kernel_pmap:
        invltlb_glob()
    # Another pmap than the current one gets a fresh PCID when it is activated:
    # its pm_gen is clear.
    elif PCPU.curpmap == pm:
        pcid = pm.pm_pcids[PCPU.cpuid].pm_pcid
        kcr3 = pm.pm_cr3 | pcid
        if pm.pm_ucr3 != PMAP_NO_CR3:
            pmap_pti_pcid_invalidate(pm.pm_ucr3 | PMAP_PCID_USER_PT | pcid, kcr3)
        else:
            load_cr3(kcr3)
    PCPU.smp_tlb_done = generation


def invlpg_invpcid_handler() -> None:
    generation = smp_tlb_generation
    addr = smp_tlb_addr1
    invlpg(addr)
    if smp_tlb_pmap.pm_ucr3 != PMAP_NO_CR3:
        invpcid(INVPCID_ADDR, descr_pcid(smp_tlb_pmap) | PMAP_PCID_USER_PT, addr)
    PCPU.smp_tlb_done = generation


def invlpg_pcid_handler() -> None:
    generation = smp_tlb_generation
    addr = smp_tlb_addr1
    invlpg(addr)
    pm = smp_tlb_pmap
    if pm == PCPU.curpmap and pm.pm_ucr3 != PMAP_NO_CR3:
        pcid = pm.pm_pcids[PCPU.cpuid].pm_pcid
        kcr3 = pm.pm_cr3 | pcid | CR3_PCID_SAVE
        ucr3 = pm.pm_ucr3 | pcid | PMAP_PCID_USER_PT | CR3_PCID_SAVE
        pmap_pti_pcid_invlpg(ucr3, kcr3, addr)
    PCPU.smp_tlb_done = generation


def invlrng_invpcid_handler() -> None:
    addr = smp_tlb_addr1
    addr2 = smp_tlb_addr2
    generation = smp_tlb_generation
    va: u32 = addr
    while True:
        invlpg(va)
        va += 1
        if va >= addr2:
            break
    if smp_tlb_pmap.pm_ucr3 != PMAP_NO_CR3:
        pcid = descr_pcid(smp_tlb_pmap) | PMAP_PCID_USER_PT
        va = addr
        while True:
            invpcid(INVPCID_ADDR, pcid, va)
            va += 1
            if va >= addr2:
                break
    PCPU.smp_tlb_done = generation


def invlrng_pcid_handler() -> None:
    addr = smp_tlb_addr1
    addr2 = smp_tlb_addr2
    generation = smp_tlb_generation
    va: u32 = addr
    while True:
        invlpg(va)
        va += 1
        if va >= addr2:
            break
    pm = smp_tlb_pmap
    if pm == PCPU.curpmap and pm.pm_ucr3 != PMAP_NO_CR3:
        pcid = pm.pm_pcids[PCPU.cpuid].pm_pcid
        kcr3 = pm.pm_cr3 | pcid | CR3_PCID_SAVE
        ucr3 = pm.pm_ucr3 | pcid | PMAP_PCID_USER_PT | CR3_PCID_SAVE
        pmap_pti_pcid_invlrng(ucr3, kcr3, addr, addr2)
    PCPU.smp_tlb_done = generation
