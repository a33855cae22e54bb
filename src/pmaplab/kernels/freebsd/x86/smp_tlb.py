"""Shooting down what other CPUs have cached: smp_targeted_tlb_shootdown, its
callers and the handlers without PCIDs, of sys/x86/x86/mp_x86.c.

One shootdown is under way at a time, under smp_ipi_mtx.
"""

from __future__ import annotations

from typing import Final

from pmaplab.kernel_python import (
    CPU_FOREACH,
    NULL,
    atomic,
    ia32_pause,
    panic,
    ptr,
    sometimes,
    static,
    u32,
    u64,
)
from pmaplab.kernels.freebsd.amd64.pcpu import PCPU, __pcpu
from pmaplab.kernels.freebsd.amd64.pmap import kernel_pmap, pmap
from pmaplab.kernels.freebsd.amd64.support import invltlb, invltlb_glob
from pmaplab.kernels.freebsd.sys.cpuset import CPU_COPY
from pmaplab.kernels.freebsd.sys.mutex import mtx, mtx_lock_spin, mtx_unlock_spin
from pmaplab.kernels.freebsd.x86.mp_x86 import smp_started
from pmaplab.machine.local_apic import lapic_ipi
from pmaplab.machine.mmu import invlpg
from pmaplab.machine.x86_64 import mp_ncpus, read_rflags_if

IPI_INVLTLB: Final[u32] = 0
IPI_INVLPG: Final[u32] = 1
IPI_INVLRNG: Final[u32] = 2

smp_ipi_mtx: mtx = static()

# The request, which the handlers read.
smp_tlb_addr1: u32 = 0
smp_tlb_addr2: u32 = 0
smp_tlb_pmap: ptr[pmap] = NULL
smp_tlb_generation: u32 = 0

ALL_CPUS: Final[u64] = (1 << mp_ncpus) - 1


@atomic
def smp_tlb_request(pm: pmap, addr1: u32, addr2: u32, generation: u32) -> None:
    """Four stores, one step: nobody reads them before the IPI."""
    global smp_tlb_addr1, smp_tlb_addr2, smp_tlb_pmap, smp_tlb_generation
    smp_tlb_addr1 = addr1
    smp_tlb_addr2 = addr2
    smp_tlb_pmap = pm
    smp_tlb_generation = generation


def smp_targeted_tlb_shootdown(mask: u64, vector: u32, pm: pmap, addr1: u32, addr2: u32) -> None:
    """Interrupt the other CPUs of the set, and wait until all have answered."""
    other_cpus = mask & ~(u64(1) << PCPU.cpuid)
    if other_cpus == 0:
        return
    if not read_rflags_if():
        panic("smp_targeted_tlb_shootdown: interrupts disabled")
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


def pmap_invalidate_cpu_mask(pm: pmap) -> u64:
    """The CPUs to interrupt: any may have cached a mapping of the kernel."""
    if pm == kernel_pmap:
        return ALL_CPUS
    return CPU_COPY(pm.pm_active)


def smp_masked_invltlb(mask: u64, pm: pmap) -> None:
    if smp_started != 0:
        smp_targeted_tlb_shootdown(mask, IPI_INVLTLB, pm, 0, 0)


def smp_masked_invlpg(mask: u64, addr: u32, pm: pmap) -> None:
    if smp_started != 0:
        smp_targeted_tlb_shootdown(mask, IPI_INVLPG, pm, addr, 0)


def smp_masked_invlpg_range(mask: u64, addr1: u32, addr2: u32, pm: pmap) -> None:
    if smp_started != 0:
        smp_targeted_tlb_shootdown(mask, IPI_INVLRNG, pm, addr1, addr2)


# --- handlers ------------------------------------------------------------------


def invltlb_handler() -> None:
    generation = smp_tlb_generation
    if smp_tlb_pmap == kernel_pmap:
        invltlb_glob()
    else:
        invltlb()
    PCPU.smp_tlb_done = generation


def invlpg_handler() -> None:
    generation = smp_tlb_generation
    invlpg(smp_tlb_addr1)
    PCPU.smp_tlb_done = generation


def invlrng_handler() -> None:
    addr = smp_tlb_addr1
    addr2 = smp_tlb_addr2
    generation = smp_tlb_generation
    while True:
        invlpg(addr)
        addr += 1
        if addr >= addr2:
            break
    PCPU.smp_tlb_done = generation
