"""kernel_pmap's set is filled again after the activation in pmap_pinit0."""

from __future__ import annotations

from pmaplab.kernel_python import CPU_FOREACH
from pmaplab.kernels.freebsd.amd64.pcpu import __pcpu
from pmaplab.kernels.freebsd.amd64.pmap import (
    PMAP_NO_CR3,
    PMAP_PCID_KERN,
    KPML4phys,
    kernel_pmap,
    pmap,
    pmap_flags,
    pti,
)
from pmaplab.kernels.freebsd.sys.cpuset import CPU_FILL, CPU_ZERO
from pmaplab.reviews.d16618.proposals.committed import pmap_activate_boot


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
    CPU_FILL(kernel_pmap.pm_active)
