"""Every handler acknowledges when it has read the request, and flushes then."""

from __future__ import annotations

from pmaplab.kernel_python import u32
from pmaplab.kernels.freebsd.amd64.invl_handlers import descr_pcid
from pmaplab.kernels.freebsd.amd64.pcpu import PCPU
from pmaplab.kernels.freebsd.amd64.pmap import PMAP_NO_CR3, PMAP_PCID_USER_PT, kernel_pmap
from pmaplab.kernels.freebsd.amd64.support import (
    invltlb,
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
    CR3_PCID_SAVE,
    INVPCID_ADDR,
    INVPCID_CTX,
    INVPCID_CTXGLOB,
    invpcid,
    load_cr3,
)


def invltlb_handler() -> None:
    generation = smp_tlb_generation
    pm = smp_tlb_pmap
    PCPU.smp_tlb_done = generation
    if pm == kernel_pmap:
        invltlb_glob()
    else:
        invltlb()


def invlpg_handler() -> None:
    generation = smp_tlb_generation
    addr = smp_tlb_addr1
    PCPU.smp_tlb_done = generation
    invlpg(addr)


def invlrng_handler() -> None:
    addr = smp_tlb_addr1
    addr2 = smp_tlb_addr2
    generation = smp_tlb_generation
    PCPU.smp_tlb_done = generation
    while True:
        invlpg(addr)
        addr += 1
        if addr >= addr2:
            break


def invltlb_invpcid_handler() -> None:
    generation = smp_tlb_generation
    pm = smp_tlb_pmap
    PCPU.smp_tlb_done = generation
    invpcid(INVPCID_CTXGLOB if pm == kernel_pmap else INVPCID_CTX, descr_pcid(pm), 0)


def invltlb_invpcid_pti_handler() -> None:
    generation = smp_tlb_generation
    pm = smp_tlb_pmap
    PCPU.smp_tlb_done = generation
    pcid = descr_pcid(pm)
    if pm == kernel_pmap:
        invpcid(INVPCID_CTXGLOB, pcid, 0)
    else:
        invpcid(INVPCID_CTX, pcid, 0)
        invpcid(INVPCID_CTX, pcid | PMAP_PCID_USER_PT, 0)


def invltlb_pcid_handler() -> None:
    generation = smp_tlb_generation
    pm = smp_tlb_pmap
    PCPU.smp_tlb_done = generation
    if pm == kernel_pmap:
        invltlb_glob()
    elif PCPU.curpmap == pm:
        pcid = pm.pm_pcids[PCPU.cpuid].pm_pcid
        kcr3 = pm.pm_cr3 | pcid
        if pm.pm_ucr3 != PMAP_NO_CR3:
            pmap_pti_pcid_invalidate(pm.pm_ucr3 | PMAP_PCID_USER_PT | pcid, kcr3)
        else:
            load_cr3(kcr3)


def invlpg_invpcid_handler() -> None:
    generation = smp_tlb_generation
    addr = smp_tlb_addr1
    pm = smp_tlb_pmap
    PCPU.smp_tlb_done = generation
    invlpg(addr)
    if pm.pm_ucr3 != PMAP_NO_CR3:
        invpcid(INVPCID_ADDR, descr_pcid(pm) | PMAP_PCID_USER_PT, addr)


def invlpg_pcid_handler() -> None:
    generation = smp_tlb_generation
    addr = smp_tlb_addr1
    pm = smp_tlb_pmap
    PCPU.smp_tlb_done = generation
    invlpg(addr)
    if pm == PCPU.curpmap and pm.pm_ucr3 != PMAP_NO_CR3:
        pcid = pm.pm_pcids[PCPU.cpuid].pm_pcid
        kcr3 = pm.pm_cr3 | pcid | CR3_PCID_SAVE
        ucr3 = pm.pm_ucr3 | pcid | PMAP_PCID_USER_PT | CR3_PCID_SAVE
        pmap_pti_pcid_invlpg(ucr3, kcr3, addr)


def invlrng_invpcid_handler() -> None:
    addr = smp_tlb_addr1
    addr2 = smp_tlb_addr2
    generation = smp_tlb_generation
    pm = smp_tlb_pmap
    PCPU.smp_tlb_done = generation
    va: u32 = addr
    while True:
        invlpg(va)
        va += 1
        if va >= addr2:
            break
    if pm.pm_ucr3 != PMAP_NO_CR3:
        pcid = descr_pcid(pm) | PMAP_PCID_USER_PT
        va = addr
        while True:
            invpcid(INVPCID_ADDR, pcid, va)
            va += 1
            if va >= addr2:
                break


def invlrng_pcid_handler() -> None:
    addr = smp_tlb_addr1
    addr2 = smp_tlb_addr2
    generation = smp_tlb_generation
    pm = smp_tlb_pmap
    PCPU.smp_tlb_done = generation
    va: u32 = addr
    while True:
        invlpg(va)
        va += 1
        if va >= addr2:
            break
    if pm == PCPU.curpmap and pm.pm_ucr3 != PMAP_NO_CR3:
        pcid = pm.pm_pcids[PCPU.cpuid].pm_pcid
        kcr3 = pm.pm_cr3 | pcid | CR3_PCID_SAVE
        ucr3 = pm.pm_ucr3 | pcid | PMAP_PCID_USER_PT | CR3_PCID_SAVE
        pmap_pti_pcid_invlrng(ucr3, kcr3, addr, addr2)
