# violated: curpmap (ucr3 is) in nopcid+pti
# holds: nopcid, pcid+pti
# run: switch
"""ucr3 is not stored under PTI."""

from __future__ import annotations

from pmaplab.kernel_python import sometimes, u64
from pmaplab.kernels.freebsd.amd64.pcpu import PCPU
from pmaplab.kernels.freebsd.amd64.pmap import pmap, pti
from pmaplab.machine.x86_64 import load_cr3


def pmap_activate_sw_nopcid(pm: pmap, cr3: u64) -> None:
    """The arm of pmap_activate_sw without PCIDs."""
    pm_cr3 = pm.pm_cr3
    if cr3 != pm_cr3:
        load_cr3(pm_cr3)
        PCPU.curpmap = pm
        if pti:
            PCPU.kcr3 = pm_cr3
    elif PCPU.cpuid == 0:
        sometimes("the boot CPU switches to a root that is loaded already")
    else:
        sometimes("an AP switches to a root that is loaded already")
