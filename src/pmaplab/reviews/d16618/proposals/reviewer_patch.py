"""init_secondary and pmap_pinit0 put their CPUs onto vmspace0's pmap by hand.

The KASSERT that goes with it is in assertion.py.
"""

from __future__ import annotations

from pmaplab.kernel_python import CPU_FOREACH, NULL, ia32_pause
from pmaplab.kernels.freebsd.amd64.mp_machdep import bootAP, mp_naps
from pmaplab.kernels.freebsd.amd64.pcpu import PCPU, TSS, __pcpu
from pmaplab.kernels.freebsd.amd64.pmap import (
    PMAP_NO_CR3,
    PMAP_PCID_KERN,
    PMAP_PCID_NONE,
    KPML4phys,
    pmap,
    pmap_flags,
    pti,
)
from pmaplab.kernels.freebsd.sys.cpuset import CPU_SET_ATOMIC, CPU_ZERO
from pmaplab.kernels.freebsd.sys.proc import vmspace0
from pmaplab.kernels.freebsd.vm.vm_map import vmspace_pmap
from pmaplab.kernels.freebsd.x86.mp_x86 import aps_ready, init_secondary_tail


def init_secondary() -> None:
    global mp_naps
    cpu = bootAP
    PCPU.cpuid = cpu
    PCPU.curthread = NULL
    PCPU.rsp0 = 0
    CPU_SET_ATOMIC(cpu, vmspace_pmap(vmspace0).pm_active)
    PCPU.curpmap = vmspace_pmap(vmspace0)
    PCPU.pcid_gen = 1
    PCPU.pcid_next = PMAP_PCID_KERN + 1
    TSS.tss_rsp0 = 0
    mp_naps += 1
    while aps_ready == 0:
        ia32_pause()
    init_secondary_tail()


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
    CPU_SET_ATOMIC(PCPU.cpuid, pm.pm_active)
    PCPU.curpmap = pm
