# violated: assertions (#GP: MOV CR3 of) in nopcid, nopcid+pti
# holds: pcid
# run: switch
"""Bit 63 of %cr3 is set without CR4.PCIDE."""

from __future__ import annotations

from pmaplab.kernel_python import sometimes, u64
from pmaplab.kernels.freebsd.amd64.pcpu import PCPU
from pmaplab.kernels.freebsd.amd64.pmap import pmap, pti
from pmaplab.machine.x86_64 import CR3_PCID_SAVE, load_cr3


def pmap_activate_sw_nopcid(pm: pmap, cr3: u64) -> None:
    """The arm of pmap_activate_sw without PCIDs."""
    pm_cr3 = pm.pm_cr3
    if cr3 != pm_cr3:
        load_cr3(pm_cr3 | CR3_PCID_SAVE)
        PCPU.curpmap = pm
        if pti:
            PCPU.kcr3 = pm_cr3
            PCPU.ucr3 = pm.pm_ucr3
    elif PCPU.cpuid == 0:
        sometimes("the boot CPU switches to a root that is loaded already")
    else:
        sometimes("an AP switches to a root that is loaded already")
