# violated: curpmap, pm_active (the loaded root 0x1000 is not that of curpmap) in nopcid
# holds: pcid
# run: switch
"""The kernel's root is loaded in place of the pmap's."""

from __future__ import annotations

from pmaplab.kernel_python import sometimes, u64
from pmaplab.kernels.freebsd.amd64.pcpu import PCPU
from pmaplab.kernels.freebsd.amd64.pmap import KPML4phys, pmap, pti
from pmaplab.machine.x86_64 import load_cr3


def pmap_activate_sw_nopcid(pm: pmap, cr3: u64) -> None:
    """The arm of pmap_activate_sw without PCIDs."""
    pm_cr3 = pm.pm_cr3
    if cr3 != pm_cr3:
        load_cr3(KPML4phys)
        PCPU.curpmap = pm
        if pti:
            PCPU.kcr3 = pm_cr3
            PCPU.ucr3 = pm.pm_ucr3
    elif PCPU.cpuid == 0:
        sometimes("the boot CPU switches to a root that is loaded already")
    else:
        sometimes("an AP switches to a root that is loaded already")
