# violated: pm_active (no pmap that owns the loaded root) in nopcid, pcid, pcid+invpcid+pti
# holds:
# run: switch
"""pm_active of the old pmap is cleared before %cr3 is loaded."""

from __future__ import annotations

from pmaplab.kernel_python import sometimes
from pmaplab.kernels.freebsd.amd64.pcpu import PCPU, TSS
from pmaplab.kernels.freebsd.amd64.pmap import PMAP_NO_CR3, pmap_activate_sw_root
from pmaplab.kernels.freebsd.sys.cpuset import CPU_CLR_ATOMIC, CPU_SET_ATOMIC
from pmaplab.kernels.freebsd.sys.proc import thread
from pmaplab.kernels.freebsd.vm.vm_map import vmspace_pmap


def pmap_activate_sw(td: thread) -> None:
    oldpmap = PCPU.curpmap
    pm = vmspace_pmap(td.td_proc.p_vmspace)
    if oldpmap == pm:
        return
    cpuid = PCPU.cpuid
    CPU_SET_ATOMIC(cpuid, pm.pm_active)
    CPU_CLR_ATOMIC(cpuid, oldpmap.pm_active)
    pmap_activate_sw_root(pm, cpuid)
    if pm.pm_ucr3 != PMAP_NO_CR3:
        TSS.tss_rsp0 = PCPU.pti_stack
    sometimes("a pmap is activated")
