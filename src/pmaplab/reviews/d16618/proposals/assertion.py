"""The reviewer's KASSERT alone: with equal roots, the pmaps are equal."""

from __future__ import annotations

from pmaplab.kernel_python import KASSERT, sometimes, u64
from pmaplab.kernels.freebsd.amd64.pcpu import PCPU
from pmaplab.kernels.freebsd.amd64.pmap import pmap, pti
from pmaplab.machine.x86_64 import load_cr3


def pmap_activate_sw_nopcid(pm: pmap, cr3: u64) -> None:
    pm_cr3 = pm.pm_cr3
    if cr3 != pm_cr3:
        load_cr3(pm_cr3)
        PCPU.curpmap = pm
        if pti:
            PCPU.kcr3 = pm_cr3
            PCPU.ucr3 = pm.pm_ucr3
    else:
        KASSERT(PCPU.curpmap == pm, "equal roots, but curpmap is not the new pmap")
        sometimes("with equal roots the pmaps were equal")
