# violated: curpmap, assertions (curpmap uses the kernel's PCID) in pcid, pcid+pti
# holds: nopcid
# run: switch
"""vmspace0 begins with the kernel's PCID, of an older generation."""

from __future__ import annotations

from pmaplab.kernel_python import CPU_FOREACH
from pmaplab.kernels.freebsd.amd64.pcpu import __pcpu
from pmaplab.kernels.freebsd.amd64.pmap import (
    PMAP_NO_CR3,
    PMAP_PCID_KERN,
    KPML4phys,
    pmap,
    pmap_flags,
    pti,
)
from pmaplab.kernels.freebsd.sys.cpuset import CPU_ZERO
from pmaplab.reviews.d16618.proposals.committed import pmap_activate_boot


def pmap_pinit0(pm: pmap) -> None:
    pm.pm_cr3 = KPML4phys
    pm.pm_ucr3 = PMAP_NO_CR3
    CPU_ZERO(pm.pm_active)
    pm.pm_flags = pmap_flags
    for i in CPU_FOREACH():
        pm.pm_pcids[i].pm_pcid = PMAP_PCID_KERN
        pm.pm_pcids[i].pm_gen = 0
        if not pti:
            __pcpu[i].kcr3 = PMAP_NO_CR3
    pmap_activate_boot(pm)
