"""An activation does not flush a user PCID that was just handed out."""

from __future__ import annotations

from pmaplab.kernel_python import u32, u64
from pmaplab.kernels.freebsd.amd64.pcpu import PCPU
from pmaplab.kernels.freebsd.amd64.pmap import PMAP_PCID_USER_PT, pmap
from pmaplab.machine.x86_64 import CR3_PCID_SAVE


def pmap_activate_pti(pm: pmap, pcid: u32, cached: u64, kcr3: u64) -> None:
    PCPU.kcr3 = kcr3 | CR3_PCID_SAVE
    PCPU.ucr3 = pm.pm_ucr3 | pcid | PMAP_PCID_USER_PT | CR3_PCID_SAVE
