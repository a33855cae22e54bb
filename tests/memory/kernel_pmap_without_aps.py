"""kernel_pmap's set is filled with the boot CPU alone, by a plain store."""

from __future__ import annotations

from pmaplab.kernels.freebsd.amd64.pmap import (
    PMAP_NO_CR3,
    KPML4phys,
    kernel_pmap,
    pmap_flags,
)
from pmaplab.machine.x86_64 import CR4_PGE, load_cr3, load_cr4, rcr4


def pmap_bootstrap() -> None:
    load_cr4(rcr4() | CR4_PGE)
    load_cr3(KPML4phys)
    kernel_pmap.pm_cr3 = KPML4phys
    kernel_pmap.pm_ucr3 = PMAP_NO_CR3
    kernel_pmap.pm_active.__bits[0] = 1
    kernel_pmap.pm_flags = pmap_flags
