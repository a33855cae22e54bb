"""The normal form of PCIDs and their generations, so that operations need no bound.

A generation of PCIDs counts up for ever, but what a pmap has of it is only ever
compared with the CPU's own: it is that one or it is not.  Between two operations,
when none of its own code holds one, a CPU gives its own the number 1, and all that
differ the number 0, which is nobody's.  No comparison comes out otherwise then.
pmaplab/generations.py refuses a kernel that does anything else with them.

Which PCID a pmap had in another generation is forgotten, if that is asked for:
pmaplab/pcids.py notices a kernel that looks at it.
"""

from __future__ import annotations

from typing import Final

from pmaplab.kernel_python import atomic, option, u32
from pmaplab.kernels.freebsd.amd64.pcpu import PCPU
from pmaplab.kernels.freebsd.amd64.pmap import (
    PMAP_PCID_KERN,
    PMAP_PCID_NONE,
    kernel_pmap,
    pmap,
    pmap_pcid_enabled,
)
from pmaplab.kernels.freebsd.sys.proc import NVMSPACE, vmspace0, vmspace_zone

CANONICAL_PCIDS: Final[u32] = option("canonical_pcids")


@atomic
def _own_or_not(pm: pmap) -> None:
    if pm.pm_pcids[PCPU.cpuid].pm_gen == PCPU.pcid_gen:
        pm.pm_pcids[PCPU.cpuid].pm_gen = 1
    else:
        pm.pm_pcids[PCPU.cpuid].pm_gen = 0
        if CANONICAL_PCIDS:
            if pm.pm_pcids[PCPU.cpuid].pm_pcid != PMAP_PCID_KERN:
                pm.pm_pcids[PCPU.cpuid].pm_pcid = PMAP_PCID_NONE


@atomic
def own_generation_first() -> None:
    """Ghost: rename the generations of the running CPU."""
    if pmap_pcid_enabled:
        _own_or_not(kernel_pmap)
        _own_or_not(vmspace0.vm_pmap)
        for i in range(NVMSPACE):
            _own_or_not(vmspace_zone[i].vm_pmap)
        PCPU.pcid_gen = 1
