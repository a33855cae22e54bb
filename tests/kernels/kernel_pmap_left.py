# violated: pm_active (kernel_pmap's pm_active has lost CPU 0) in nopcid, pcid+pti
# holds:
# run: switch
"""A CPU leaves kernel_pmap's pm_active when it starts on vmspace0."""

from __future__ import annotations

from pmaplab.kernel_python import MPASS, u64
from pmaplab.kernels.freebsd.amd64.pcpu import PCPU
from pmaplab.kernels.freebsd.amd64.pmap import (
    PMAP_NO_CR3,
    kernel_pmap,
    pmap,
    pmap_pcid_enabled,
    pti,
)
from pmaplab.kernels.freebsd.sys.cpuset import CPU_CLR_ATOMIC, CPU_SET_ATOMIC
from pmaplab.machine.x86_64 import CR3_PCID_SAVE


def pmap_activate_boot(pm: pmap) -> None:
    MPASS(pm != kernel_pmap)
    cpuid = PCPU.cpuid
    CPU_SET_ATOMIC(cpuid, pm.pm_active)
    CPU_CLR_ATOMIC(cpuid, kernel_pmap.pm_active)
    PCPU.curpmap = pm
    if pti:
        kcr3: u64 = pm.pm_cr3
        if pmap_pcid_enabled:
            kcr3 |= pm.pm_pcids[cpuid].pm_pcid | CR3_PCID_SAVE
        PCPU.kcr3 = kcr3
        PCPU.ucr3 = PMAP_NO_CR3
