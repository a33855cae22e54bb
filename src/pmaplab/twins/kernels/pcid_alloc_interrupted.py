"""A PCID is chosen with interrupts enabled, as in August 2018."""

from __future__ import annotations

from pmaplab.kernel_python import u32
from pmaplab.kernels.freebsd.amd64.pmap import (
    pmap,
    pmap_activate_sw_nopcid,
    pmap_activate_sw_pcid,
    pmap_pcid_enabled,
)
from pmaplab.machine.x86_64 import rcr3


def pmap_activate_sw_root(pm: pmap, cpuid: u32) -> None:
    cr3 = rcr3()
    if pmap_pcid_enabled:
        pmap_activate_sw_pcid(pm, cpuid, cr3)
    else:
        pmap_activate_sw_nopcid(pm, cr3)
