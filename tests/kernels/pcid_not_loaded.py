# violated: curpmap (the loaded PCID is 0, but pm_pcid is) in pcid, pcid+invpcid
# holds: nopcid
# run: switch
"""%cr3 is loaded without the PCID."""

from __future__ import annotations

from pmaplab.kernel_python import u64
from pmaplab.kernels.freebsd.amd64.pmap import pti
from pmaplab.machine.x86_64 import CR3_PCID_MASK, load_cr3


def pmap_activate_load_cr3(kcr3: u64, cached: u64, cr3: u64) -> None:
    kern_pti_cached: u64 = 0 if pti else cached
    if kern_pti_cached == 0 or cr3 & ~CR3_PCID_MASK != kcr3 & ~CR3_PCID_MASK:
        load_cr3((kcr3 & ~CR3_PCID_MASK) | kern_pti_cached)
