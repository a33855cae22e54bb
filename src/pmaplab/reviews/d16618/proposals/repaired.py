"""What holds.

vmspace0 owns a valid PCID from the start: the first one after the kernel's, in
every CPU's first generation; the CPUs hand out the ones behind it.  And
interrupts are disabled from pmap_pcid_alloc until curpmap is stored, whether
there is INVPCID or not: a shootdown that comes in between finds neither the PCID
loaded nor curpmap changed, flushes nothing of the new pmap, and clears pm_gen
when it has been looked at already.
"""

from __future__ import annotations

from pmaplab.kernel_python import CPU_FOREACH, NULL, ia32_pause, u32
from pmaplab.kernels.freebsd.amd64.mp_machdep import bootAP, mp_naps
from pmaplab.kernels.freebsd.amd64.pcpu import PCPU, TSS, __pcpu
from pmaplab.kernels.freebsd.amd64.pmap import (
    PMAP_NO_CR3,
    PMAP_PCID_KERN,
    KPML4phys,
    kernel_pmap,
    pmap,
    pmap_activate_sw_nopcid,
    pmap_activate_sw_pcid,
    pmap_flags,
    pmap_pcid_enabled,
    pti,
)
from pmaplab.kernels.freebsd.sys.cpuset import (
    CPU_FILL,
    CPU_ZERO,
)
from pmaplab.kernels.freebsd.x86.mp_x86 import aps_ready
from pmaplab.machine.x86_64 import (
    CR4_PCIDE,
    CR4_PGE,
    MAXCPU,
    intr_disable,
    intr_restore,
    load_cr3,
    load_cr4,
    rcr3,
    rcr4,
)
from pmaplab.reviews.d16618.proposals.committed import pmap_activate_boot
from pmaplab.reviews.d16618.proposals.tail import init_secondary_tail


def pmap_bootstrap() -> None:
    load_cr4(rcr4() | CR4_PGE)
    load_cr3(KPML4phys)
    kernel_pmap.pm_cr3 = KPML4phys
    kernel_pmap.pm_ucr3 = PMAP_NO_CR3
    CPU_FILL(kernel_pmap.pm_active)
    kernel_pmap.pm_flags = pmap_flags
    if pmap_pcid_enabled:
        for i in range(MAXCPU):
            kernel_pmap.pm_pcids[i].pm_pcid = PMAP_PCID_KERN
            kernel_pmap.pm_pcids[i].pm_gen = 1
        PCPU.pcid_next = PMAP_PCID_KERN + 2
        PCPU.pcid_gen = 1
        load_cr4(rcr4() | CR4_PCIDE)


def pmap_pinit0(pm: pmap) -> None:
    pm.pm_cr3 = KPML4phys
    pm.pm_ucr3 = PMAP_NO_CR3
    CPU_ZERO(pm.pm_active)
    pm.pm_flags = pmap_flags
    for i in CPU_FOREACH():
        pm.pm_pcids[i].pm_pcid = PMAP_PCID_KERN + 1
        pm.pm_pcids[i].pm_gen = 1
        if not pti:
            __pcpu[i].kcr3 = PMAP_NO_CR3
    pmap_activate_boot(pm)


def pmap_activate_sw_root(pm: pmap, cpuid: u32) -> None:
    cr3 = rcr3()
    if pmap_pcid_enabled:
        rflags = intr_disable()
        pmap_activate_sw_pcid(pm, cpuid, cr3)
        intr_restore(rflags)
    else:
        pmap_activate_sw_nopcid(pm, cr3)


def init_secondary() -> None:
    global mp_naps
    cpu = bootAP
    PCPU.cpuid = cpu
    PCPU.curthread = NULL
    PCPU.rsp0 = 0
    PCPU.pcid_gen = 1
    PCPU.pcid_next = PMAP_PCID_KERN + 2
    TSS.tss_rsp0 = 0
    mp_naps += 1
    while aps_ready == 0:
        ia32_pause()
    init_secondary_tail()
