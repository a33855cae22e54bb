"""With INVPCID too the handlers look at curpmap, and leave other pmaps to
pm_gen."""

from __future__ import annotations

from pmaplab.kernel_python import u32
from pmaplab.kernels.freebsd.amd64.invl_handlers import descr_pcid
from pmaplab.kernels.freebsd.amd64.pcpu import PCPU
from pmaplab.kernels.freebsd.amd64.pmap import PMAP_NO_CR3, PMAP_PCID_USER_PT, kernel_pmap
from pmaplab.kernels.freebsd.x86.smp_tlb import (
    smp_tlb_addr1,
    smp_tlb_addr2,
    smp_tlb_generation,
    smp_tlb_pmap,
)
from pmaplab.machine.mmu import invlpg
from pmaplab.machine.x86_64 import INVPCID_ADDR, INVPCID_CTX, INVPCID_CTXGLOB, invpcid


def invltlb_invpcid_handler() -> None:
    generation = smp_tlb_generation
    pm = smp_tlb_pmap
    if pm == kernel_pmap:
        invpcid(INVPCID_CTXGLOB, 0, 0)
    elif PCPU.curpmap == pm:
        invpcid(INVPCID_CTX, descr_pcid(pm), 0)
    PCPU.smp_tlb_done = generation


def invltlb_invpcid_pti_handler() -> None:
    generation = smp_tlb_generation
    pm = smp_tlb_pmap
    if pm == kernel_pmap:
        invpcid(INVPCID_CTXGLOB, 0, 0)
    elif PCPU.curpmap == pm:
        pcid = descr_pcid(pm)
        invpcid(INVPCID_CTX, pcid, 0)
        invpcid(INVPCID_CTX, pcid | PMAP_PCID_USER_PT, 0)
    PCPU.smp_tlb_done = generation


def invlpg_invpcid_handler() -> None:
    generation = smp_tlb_generation
    pm = smp_tlb_pmap
    addr = smp_tlb_addr1
    if pm == kernel_pmap:
        invlpg(addr)
    elif PCPU.curpmap == pm:
        invlpg(addr)
        if pm.pm_ucr3 != PMAP_NO_CR3:
            invpcid(INVPCID_ADDR, descr_pcid(pm) | PMAP_PCID_USER_PT, addr)
    PCPU.smp_tlb_done = generation


def invlrng_invpcid_handler() -> None:
    generation = smp_tlb_generation
    pm = smp_tlb_pmap
    addr = smp_tlb_addr1
    addr2 = smp_tlb_addr2
    if pm == kernel_pmap or PCPU.curpmap == pm:
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
    PCPU.smp_tlb_done = generation
