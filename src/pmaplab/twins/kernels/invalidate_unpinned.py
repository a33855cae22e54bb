"""An invalidation is not pinned: the thread can migrate in the midst of it."""

from __future__ import annotations

from pmaplab.kernel_python import u32
from pmaplab.kernels.freebsd.amd64.pcpu import PCPU
from pmaplab.kernels.freebsd.amd64.pmap import (
    PMAP_NO_CR3,
    invpcid_works,
    kernel_pmap,
    pmap,
    pmap_pcid_enabled,
)
from pmaplab.kernels.freebsd.amd64.pmap_invalidate import (
    pmap_invalidate_context,
    pmap_invalidate_gens,
    pmap_invalidate_user_page,
    pmap_invalidate_user_range,
)
from pmaplab.kernels.freebsd.amd64.support import invltlb, invltlb_glob
from pmaplab.kernels.freebsd.x86.smp_tlb import (
    pmap_invalidate_cpu_mask,
    smp_masked_invlpg,
    smp_masked_invlpg_range,
    smp_masked_invltlb,
)
from pmaplab.machine.mmu import invlpg
from pmaplab.machine.x86_64 import INVPCID_CTXGLOB, invpcid


def pmap_invalidate_page(pm: pmap, va: u32) -> None:
    if pm == kernel_pmap:
        invlpg(va)
    else:
        if pm == PCPU.curpmap:
            invlpg(va)
            if pmap_pcid_enabled and pm.pm_ucr3 != PMAP_NO_CR3:
                pmap_invalidate_user_page(pm, va)
        if pmap_pcid_enabled:
            pmap_invalidate_gens(pm)
    smp_masked_invlpg(pmap_invalidate_cpu_mask(pm), va, pm)


def pmap_invalidate_range(pm: pmap, sva: u32, eva: u32) -> None:
    """The pages from ``sva`` up to ``eva``."""
    if pm == kernel_pmap:
        for va in range(sva, eva):
            invlpg(va)
    else:
        if pm == PCPU.curpmap:
            for va in range(sva, eva):
                invlpg(va)
            if pmap_pcid_enabled and pm.pm_ucr3 != PMAP_NO_CR3:
                pmap_invalidate_user_range(pm, sva, eva)
        if pmap_pcid_enabled:
            pmap_invalidate_gens(pm)
    smp_masked_invlpg_range(pmap_invalidate_cpu_mask(pm), sva, eva, pm)


def pmap_invalidate_all(pm: pmap) -> None:
    if pm == kernel_pmap:
        if pmap_pcid_enabled and invpcid_works:
            invpcid(INVPCID_CTXGLOB, 0, 0)
        else:
            invltlb_glob()
    else:
        if pm == PCPU.curpmap:
            if pmap_pcid_enabled:
                pmap_invalidate_context(pm)
            else:
                invltlb()
        if pmap_pcid_enabled:
            pmap_invalidate_gens(pm)
    smp_masked_invltlb(pmap_invalidate_cpu_mask(pm), pm)
