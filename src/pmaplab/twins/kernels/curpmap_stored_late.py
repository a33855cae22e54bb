"""Where there is no INVPCID, interrupts are enabled again between the load of
%cr3 and the store to curpmap, unless a spin mutex is held, as in cpu_switch."""

from __future__ import annotations

from pmaplab.kernel_python import u64
from pmaplab.kernels.freebsd.amd64.pcpu import PCPU
from pmaplab.kernels.freebsd.amd64.pmap import invpcid_works, pti
from pmaplab.machine.x86_64 import CR3_PCID_MASK, enable_intr, load_cr3


def pmap_activate_load_cr3(kcr3: u64, cached: u64, cr3: u64) -> None:
    kern_pti_cached: u64 = 0 if pti else cached
    if kern_pti_cached == 0 or cr3 & ~CR3_PCID_MASK != kcr3 & ~CR3_PCID_MASK:
        load_cr3(kcr3 | kern_pti_cached)
    if not invpcid_works:
        if PCPU.curthread.md_spinlock_count == 0:
            enable_intr()
