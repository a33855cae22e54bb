"""The handlers of IPI_INVLPG acknowledge a shootdown before they read which page
it is about."""

from __future__ import annotations

from pmaplab.kernels.freebsd.amd64.invl_handlers import descr_pcid
from pmaplab.kernels.freebsd.amd64.pcpu import PCPU
from pmaplab.kernels.freebsd.amd64.pmap import PMAP_NO_CR3, PMAP_PCID_USER_PT
from pmaplab.kernels.freebsd.amd64.support import pmap_pti_pcid_invlpg
from pmaplab.kernels.freebsd.x86.smp_tlb import smp_tlb_addr1, smp_tlb_generation, smp_tlb_pmap
from pmaplab.machine.mmu import invlpg
from pmaplab.machine.x86_64 import CR3_PCID_SAVE, INVPCID_ADDR, invpcid


def invlpg_handler() -> None:
    PCPU.smp_tlb_done = smp_tlb_generation
    invlpg(smp_tlb_addr1)


def invlpg_invpcid_handler() -> None:
    PCPU.smp_tlb_done = smp_tlb_generation
    addr = smp_tlb_addr1
    invlpg(addr)
    if smp_tlb_pmap.pm_ucr3 != PMAP_NO_CR3:
        invpcid(INVPCID_ADDR, descr_pcid(smp_tlb_pmap) | PMAP_PCID_USER_PT, addr)


def invlpg_pcid_handler() -> None:
    PCPU.smp_tlb_done = smp_tlb_generation
    addr = smp_tlb_addr1
    invlpg(addr)
    pm = smp_tlb_pmap
    if pm == PCPU.curpmap and pm.pm_ucr3 != PMAP_NO_CR3:
        pcid = pm.pm_pcids[PCPU.cpuid].pm_pcid
        kcr3 = pm.pm_cr3 | pcid | CR3_PCID_SAVE
        ucr3 = pm.pm_ucr3 | pcid | PMAP_PCID_USER_PT | CR3_PCID_SAVE
        pmap_pti_pcid_invlpg(ucr3, kcr3, addr)
