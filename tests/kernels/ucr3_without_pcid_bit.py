# violated: curpmap (ucr3 is) in pcid+invpcid+pti
# holds: pcid
# run: switch
"""ucr3 holds the kernel's PCID of the pmap, not the user's."""

from __future__ import annotations

from pmaplab.kernel_python import u32, u64
from pmaplab.kernels.freebsd.amd64.pcpu import PCPU
from pmaplab.kernels.freebsd.amd64.pmap import (
    PMAP_NO_CR3,
    PMAP_PCID_USER_PT,
    invpcid_works,
    pmap,
)
from pmaplab.kernels.freebsd.amd64.support import pmap_pti_pcid_invalidate
from pmaplab.machine.x86_64 import CR3_PCID_SAVE, INVPCID_CTX, invpcid


def pmap_activate_pti(pm: pmap, pcid: u32, cached: u64, kcr3: u64) -> None:
    """The roots for the way into the kernel and back."""
    pm_ucr3 = pm.pm_ucr3
    ucr3 = pm_ucr3 | pcid
    if cached == 0 and pm_ucr3 != PMAP_NO_CR3:
        # The load of the kernel's root has not flushed what is cached from the
        # user's.
        if invpcid_works:
            invpcid(INVPCID_CTX, u64(PMAP_PCID_USER_PT | pcid), 0)
        else:
            pmap_pti_pcid_invalidate(ucr3, kcr3)
    PCPU.kcr3 = kcr3 | CR3_PCID_SAVE
    PCPU.ucr3 = ucr3 | CR3_PCID_SAVE
