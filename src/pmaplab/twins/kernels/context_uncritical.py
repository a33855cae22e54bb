"""What is cached of the own pmap is flushed outside of a critical section: a
switch can hand out another PCID after the one to flush has been read.
"""

from __future__ import annotations

from pmaplab.kernel_python import u32, u64
from pmaplab.kernels.freebsd.amd64.pcpu import PCPU
from pmaplab.kernels.freebsd.amd64.pmap import (
    PMAP_NO_CR3,
    PMAP_PCID_USER_PT,
    invpcid_works,
    pmap,
)
from pmaplab.kernels.freebsd.amd64.support import (
    pmap_pti_pcid_invalidate,
    pmap_pti_pcid_invlpg,
    pmap_pti_pcid_invlrng,
)
from pmaplab.machine.x86_64 import (
    CR3_PCID_SAVE,
    INVPCID_ADDR,
    INVPCID_CTX,
    invpcid,
    load_cr3,
)


def pmap_invalidate_user_page(pm: pmap, va: u32) -> None:
    """Under PTI, the page is cached under the user PCID too."""
    pcid = pm.pm_pcids[PCPU.cpuid].pm_pcid
    if invpcid_works:
        invpcid(INVPCID_ADDR, u64(pcid | PMAP_PCID_USER_PT), va)
    else:
        kcr3 = pm.pm_cr3 | pcid | CR3_PCID_SAVE
        ucr3 = pm.pm_ucr3 | pcid | PMAP_PCID_USER_PT | CR3_PCID_SAVE
        pmap_pti_pcid_invlpg(ucr3, kcr3, va)


def pmap_invalidate_user_range(pm: pmap, sva: u32, eva: u32) -> None:
    pcid = pm.pm_pcids[PCPU.cpuid].pm_pcid
    if invpcid_works:
        for va in range(sva, eva):
            invpcid(INVPCID_ADDR, u64(pcid | PMAP_PCID_USER_PT), va)
    else:
        kcr3 = pm.pm_cr3 | pcid | CR3_PCID_SAVE
        ucr3 = pm.pm_ucr3 | pcid | PMAP_PCID_USER_PT | CR3_PCID_SAVE
        pmap_pti_pcid_invlrng(ucr3, kcr3, sva, eva)


def pmap_invalidate_context(pm: pmap) -> None:
    """All that is cached of the loaded pmap, with PCIDs."""
    pcid = pm.pm_pcids[PCPU.cpuid].pm_pcid
    if invpcid_works:
        invpcid(INVPCID_CTX, u64(pcid), 0)
        if pm.pm_ucr3 != PMAP_NO_CR3:
            invpcid(INVPCID_CTX, u64(pcid | PMAP_PCID_USER_PT), 0)
    else:
        kcr3 = pm.pm_cr3 | pcid
        if pm.pm_ucr3 != PMAP_NO_CR3:
            pmap_pti_pcid_invalidate(pm.pm_ucr3 | pcid | PMAP_PCID_USER_PT, kcr3)
        else:
            load_cr3(kcr3)
