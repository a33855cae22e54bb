"""On one CPU no two pmaps own the same PCID in the current generation."""

from __future__ import annotations

from pmaplab.kernel_python import KASSERT, atomic, invariant, u32
from pmaplab.kernels.freebsd.amd64.pcpu import __pcpu
from pmaplab.kernels.freebsd.amd64.pmap import (
    PMAP_PCID_KERN,
    PMAP_PCID_NONE,
    pmap,
    pmap_pcid_enabled,
)
from pmaplab.kernels.freebsd.sys.proc import NVMSPACE, vmspace0, vmspace_zone


@atomic
def _owned_pcid(pm: pmap, cpu: u32) -> u32:
    """The PCID that the pmap owns on the CPU, or PMAP_PCID_NONE."""
    if pm.pm_pcids[cpu].pm_gen != __pcpu[cpu].pcid_gen:
        return PMAP_PCID_NONE
    return pm.pm_pcids[cpu].pm_pcid


@invariant("PCID")
def pcid_owned_once(cpu: u32) -> None:
    if not pmap_pcid_enabled or __pcpu[cpu].pcid_gen == 0:
        return
    first = _owned_pcid(vmspace0.vm_pmap, cpu)
    KASSERT(first != PMAP_PCID_KERN, "vmspace0 owns the kernel's PCID on CPU %d", cpu)
    for i in range(NVMSPACE):
        if vmspace_zone[i].vm_allocated:
            pcid = _owned_pcid(vmspace_zone[i].vm_pmap, cpu)
            if pcid != PMAP_PCID_NONE:
                KASSERT(pcid != PMAP_PCID_KERN, "a pmap owns the kernel's PCID on CPU %d", cpu)
                KASSERT(pcid != first, "vmspace0 and another pmap own PCID %d on CPU %d", pcid, cpu)
                for j in range(i):
                    if vmspace_zone[j].vm_allocated:
                        KASSERT(
                            pcid != _owned_pcid(vmspace_zone[j].vm_pmap, cpu),
                            "two pmaps own PCID %d on CPU %d",
                            pcid,
                            cpu,
                        )
