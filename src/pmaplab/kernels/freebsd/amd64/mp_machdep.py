"""Starting the application processors: sys/amd64/amd64/mp_machdep.c."""

from __future__ import annotations

from pmaplab.kernel_python import NULL, SYSINIT, ia32_pause, u32
from pmaplab.kernels.freebsd.amd64.pcpu import PCPU, TSS
from pmaplab.kernels.freebsd.amd64.pmap import PMAP_PCID_KERN, KPML4phys, kernel_pmap
from pmaplab.kernels.freebsd.sys.kernel import SI_ORDER_THIRD, SI_SUB_CPU
from pmaplab.kernels.freebsd.x86.mp_x86 import aps_ready, init_secondary_tail
from pmaplab.machine.x86_64 import CR4_PGE, ipi_startup, load_cr3, load_cr4, mp_ncpus

bootAP: u32 = 0
mp_naps: u32 = 0


def mptramp() -> None:
    """sys/amd64/amd64/mpboot.S: the kernel's page table, then C."""
    load_cr4(CR4_PGE)
    load_cr3(KPML4phys)
    init_secondary()


def init_secondary() -> None:
    global mp_naps
    cpu = bootAP
    PCPU.cpuid = cpu
    PCPU.curthread = NULL
    PCPU.rsp0 = 0
    PCPU.curpmap = kernel_pmap
    PCPU.pcid_gen = 1
    PCPU.pcid_next = PMAP_PCID_KERN + 1
    TSS.tss_rsp0 = 0
    # signal our startup to the BSP
    mp_naps += 1
    # Spin until the BSP releases the AP's.
    while aps_ready == 0:
        ia32_pause()
    init_secondary_tail()


def start_all_aps() -> None:
    """One AP after another: each has run init_secondary up to its spin loop
    before the next is started."""
    global bootAP
    for cpu in range(1, mp_ncpus):
        bootAP = cpu
        ipi_startup(cpu)
        while mp_naps != cpu:
            ia32_pause()


SYSINIT("cpu_mp", SI_SUB_CPU, SI_ORDER_THIRD, start_all_aps)
