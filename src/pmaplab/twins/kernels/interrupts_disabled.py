"""pmap_invalidate_page stays on its CPU by disabling interrupts, where sched_pin
would do, and the panic that would tell is gone."""

from __future__ import annotations

from pmaplab.kernel_python import CPU_FOREACH, ia32_pause, sometimes, u32, u64
from pmaplab.kernels.freebsd.amd64.pcpu import PCPU, __pcpu
from pmaplab.kernels.freebsd.amd64.pmap import PMAP_NO_CR3, kernel_pmap, pmap, pmap_pcid_enabled
from pmaplab.kernels.freebsd.amd64.pmap_invalidate import (
    pmap_invalidate_gens,
    pmap_invalidate_user_page,
)
from pmaplab.kernels.freebsd.sys.mutex import mtx_lock_spin, mtx_unlock_spin
from pmaplab.kernels.freebsd.x86.smp_tlb import (
    pmap_invalidate_cpu_mask,
    smp_ipi_mtx,
    smp_masked_invlpg,
    smp_tlb_generation,
    smp_tlb_request,
)
from pmaplab.machine.local_apic import lapic_ipi
from pmaplab.machine.mmu import invlpg
from pmaplab.machine.x86_64 import intr_disable, intr_restore


def pmap_invalidate_page(pm: pmap, va: u32) -> None:
    rflags = intr_disable()
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
    intr_restore(rflags)


def smp_targeted_tlb_shootdown(mask: u64, vector: u32, pm: pmap, addr1: u32, addr2: u32) -> None:
    other_cpus = mask & ~(u64(1) << PCPU.cpuid)
    if other_cpus == 0:
        return
    mtx_lock_spin(smp_ipi_mtx)
    generation = smp_tlb_generation + 1
    smp_tlb_request(pm, addr1, addr2, generation)
    for cpu in CPU_FOREACH():
        if other_cpus >> cpu & 1 != 0:
            lapic_ipi(cpu, vector)
    for cpu in CPU_FOREACH():
        if other_cpus >> cpu & 1 != 0:
            while __pcpu[cpu].smp_tlb_done != generation:
                ia32_pause()
    mtx_unlock_spin(smp_ipi_mtx)
    sometimes("a shootdown is acknowledged")
