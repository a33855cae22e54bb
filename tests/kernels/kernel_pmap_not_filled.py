# violated: pm_active (no pmap that owns the loaded root) in nopcid, pcid
# holds:
# run: switch
"""kernel_pmap's pm_active starts empty."""

from __future__ import annotations

from pmaplab.kernels.freebsd.amd64.pcpu import PCPU
from pmaplab.kernels.freebsd.amd64.pmap import (
    PMAP_NO_CR3,
    PMAP_PCID_KERN,
    KPML4phys,
    kernel_pmap,
    pmap_flags,
    pmap_pcid_enabled,
)
from pmaplab.machine.x86_64 import CR4_PCIDE, CR4_PGE, MAXCPU, load_cr3, load_cr4, rcr4


def pmap_bootstrap() -> None:
    load_cr4(rcr4() | CR4_PGE)
    load_cr3(KPML4phys)
    kernel_pmap.pm_cr3 = KPML4phys
    kernel_pmap.pm_ucr3 = PMAP_NO_CR3
    kernel_pmap.pm_flags = pmap_flags
    if pmap_pcid_enabled:
        for i in range(MAXCPU):
            kernel_pmap.pm_pcids[i].pm_pcid = PMAP_PCID_KERN
            kernel_pmap.pm_pcids[i].pm_gen = 1
        PCPU.pcid_next = PMAP_PCID_KERN + 2
        PCPU.pcid_gen = 1
        load_cr4(rcr4() | CR4_PCIDE)
