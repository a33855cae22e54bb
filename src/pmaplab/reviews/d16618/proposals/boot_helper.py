"""pmap_activate_boot puts the boot CPU and, once proc0 exists, each AP onto
vmspace0's pmap."""

from __future__ import annotations

from pmaplab.kernel_python import CPU_FOREACH, NULL, ia32_pause, u64
from pmaplab.kernels.freebsd.amd64.mp_machdep import bootAP, mp_naps
from pmaplab.kernels.freebsd.amd64.pcpu import PCPU, TSS, __pcpu
from pmaplab.kernels.freebsd.amd64.pmap import (
    PMAP_NO_CR3,
    PMAP_PCID_KERN,
    PMAP_PCID_NONE,
    KPML4phys,
    kernel_pmap,
    pmap,
    pmap_flags,
    pmap_pcid_enabled,
    pti,
)
from pmaplab.kernels.freebsd.sys.cpuset import CPU_FILL, CPU_SET_ATOMIC, CPU_ZERO
from pmaplab.kernels.freebsd.sys.proc import proc0
from pmaplab.kernels.freebsd.vm.vm_map import vmspace_pmap
from pmaplab.kernels.freebsd.x86.mp_x86 import aps_ready, init_secondary_tail
from pmaplab.machine.x86_64 import CR3_PCID_SAVE


def pmap_activate_boot(pm: pmap) -> None:
    cpuid = PCPU.cpuid
    CPU_SET_ATOMIC(cpuid, pm.pm_active)
    PCPU.curpmap = pm
    if pti:
        kcr3: u64 = pm.pm_cr3
        if pmap_pcid_enabled:
            kcr3 |= pm.pm_pcids[cpuid].pm_pcid | CR3_PCID_SAVE
        PCPU.kcr3 = kcr3
        PCPU.ucr3 = PMAP_NO_CR3


def pmap_pinit0(pm: pmap) -> None:
    pm.pm_cr3 = KPML4phys
    pm.pm_ucr3 = PMAP_NO_CR3
    CPU_ZERO(pm.pm_active)
    pm.pm_flags = pmap_flags
    for i in CPU_FOREACH():
        pm.pm_pcids[i].pm_pcid = PMAP_PCID_NONE
        pm.pm_pcids[i].pm_gen = 0
        if not pti:
            __pcpu[i].kcr3 = PMAP_NO_CR3
    pmap_activate_boot(pm)
    CPU_FILL(kernel_pmap.pm_active)


def init_secondary() -> None:
    global mp_naps
    cpu = bootAP
    PCPU.cpuid = cpu
    PCPU.curthread = NULL
    PCPU.rsp0 = 0
    PCPU.pcid_gen = 1
    PCPU.pcid_next = PMAP_PCID_KERN + 1
    TSS.tss_rsp0 = 0
    mp_naps += 1
    while aps_ready == 0:
        ia32_pause()
    pmap_activate_boot(vmspace_pmap(proc0.p_vmspace))
    init_secondary_tail()
