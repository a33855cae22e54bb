# violated: curpmap (the loaded PCID is 0, but pm_pcid is) in pcid, pcid+invpcid
# holds: nopcid
# run: switch
"""%cr3 is loaded without the PCID."""

from __future__ import annotations

from pmaplab.kernel_python import KASSERT, sometimes, u32, u64
from pmaplab.kernels.freebsd.amd64.pcpu import PCPU
from pmaplab.kernels.freebsd.amd64.pmap import (
    PMAP_NO_CR3,
    PMAP_PCID_KERN,
    PMAP_PCID_OVERMAX,
    PMAP_PCID_USER_PT,
    invpcid_works,
    kernel_pmap,
    pmap,
    pmap_pcid_alloc,
    pti,
)
from pmaplab.kernels.freebsd.amd64.support import pmap_pti_pcid_invalidate
from pmaplab.machine.x86_64 import (
    CR3_PCID_MASK,
    CR3_PCID_SAVE,
    INVPCID_CTX,
    intr_disable,
    intr_restore,
    invpcid,
    load_cr3,
)


def pmap_activate_sw_pcid(pm: pmap, cpuid: u32, cr3: u64) -> None:
    """The arm of pmap_activate_sw with PCIDs, which later became functions of
    its own."""
    cached = pmap_pcid_alloc(pm, cpuid)
    # As a compiler does it, what nobody else may change is read once.
    pcid = pm.pm_pcids[cpuid].pm_pcid
    KASSERT(pcid < PMAP_PCID_OVERMAX, "cpu %d pcid %#x", cpuid, pcid)
    KASSERT(
        pcid != PMAP_PCID_KERN or pm == kernel_pmap, "non-kernel pmap cpu %d pcid %#x", cpuid, pcid
    )
    rflags = False
    if not invpcid_works:
        # The invltlb handler asks whether curpmap is the pmap to flush, so it
        # must not come between the load of %cr3 and the store to curpmap.
        rflags = intr_disable()
    kcr3 = pm.pm_cr3 | pcid
    kern_pti_cached: u64 = 0 if pti else cached
    if kern_pti_cached == 0 or cr3 & ~CR3_PCID_MASK != kcr3 & ~CR3_PCID_MASK:
        load_cr3(pm.pm_cr3 | kern_pti_cached)
    PCPU.curpmap = pm
    if pti:
        pm_ucr3 = pm.pm_ucr3
        ucr3 = pm_ucr3 | pcid | PMAP_PCID_USER_PT
        if cached == 0 and pm_ucr3 != PMAP_NO_CR3:
            # The load of the kernel's root has not flushed what is cached
            # from the user's.
            if invpcid_works:
                invpcid(INVPCID_CTX, u64(PMAP_PCID_USER_PT | pcid), 0)
            else:
                pmap_pti_pcid_invalidate(ucr3, kcr3)
        PCPU.kcr3 = kcr3 | CR3_PCID_SAVE
        PCPU.ucr3 = ucr3 | CR3_PCID_SAVE
    if not invpcid_works:
        intr_restore(rflags)
    if cached != 0:
        PCPU.pm_save_cnt += 1
        sometimes("a PCID is kept by an activation")
