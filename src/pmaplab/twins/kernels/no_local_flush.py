"""pmap_invalidate_page leaves out the running CPU."""

from __future__ import annotations

from pmaplab.kernel_python import u32
from pmaplab.kernels.freebsd.amd64.pmap import kernel_pmap, pmap, pmap_pcid_enabled
from pmaplab.kernels.freebsd.amd64.pmap_invalidate import pmap_invalidate_gens
from pmaplab.kernels.freebsd.sys.mutex import sched_pin, sched_unpin
from pmaplab.kernels.freebsd.x86.smp_tlb import pmap_invalidate_cpu_mask, smp_masked_invlpg


def pmap_invalidate_page(pm: pmap, va: u32) -> None:
    sched_pin()
    if pm != kernel_pmap and pmap_pcid_enabled:
        pmap_invalidate_gens(pm)
    smp_masked_invlpg(pmap_invalidate_cpu_mask(pm), va, pm)
    sched_unpin()
