# violated: pm_active (is not in pm_active of its curpmap) in nopcid, pcid+pti
# holds:
# run: switch
"""A CPU starts on vmspace0 without being in its pm_active."""

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
from pmaplab.machine.x86_64 import CR3_PCID_SAVE


def pmap_activate_boot(pm: pmap) -> None:
    MPASS(pm != kernel_pmap)
    cpuid = PCPU.cpuid
    PCPU.curpmap = pm
    if pti:
        kcr3: u64 = pm.pm_cr3
        if pmap_pcid_enabled:
            kcr3 |= pm.pm_pcids[cpuid].pm_pcid | CR3_PCID_SAVE
        PCPU.kcr3 = kcr3
        PCPU.ucr3 = PMAP_NO_CR3
