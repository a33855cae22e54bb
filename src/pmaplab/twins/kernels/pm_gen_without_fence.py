"""No fence between the stores to pm_gen and the load of pm_active."""

from __future__ import annotations

from pmaplab.kernel_python import CPU_FOREACH
from pmaplab.kernels.freebsd.amd64.pcpu import PCPU
from pmaplab.kernels.freebsd.amd64.pmap import pmap


def pmap_invalidate_gens(pm: pmap) -> None:
    if PCPU.curpmap != pm:
        pm.pm_pcids[PCPU.cpuid].pm_gen = 0
    for i in CPU_FOREACH():
        if i != PCPU.cpuid:
            pm.pm_pcids[i].pm_gen = 0
