# violated: assertions (releasing active pmap) in nopcid, pcid+invpcid+pti
# holds:
# run: switch
"""A CPU stays in pm_active of the pmap that it leaves."""

from __future__ import annotations

from pmaplab.kernel_python import sometimes
from pmaplab.kernels.freebsd.amd64.pcpu import PCPU, TSS
from pmaplab.kernels.freebsd.amd64.pmap import PMAP_NO_CR3, pmap_activate_sw_root
from pmaplab.kernels.freebsd.sys.cpuset import CPU_SET_ATOMIC
from pmaplab.kernels.freebsd.sys.proc import thread
from pmaplab.kernels.freebsd.vm.vm_map import vmspace_pmap


def pmap_activate_sw(td: thread) -> None:
    oldpmap = PCPU.curpmap
    pm = vmspace_pmap(td.td_proc.p_vmspace)
    if oldpmap == pm:
        return
    cpuid = PCPU.cpuid
    CPU_SET_ATOMIC(cpuid, pm.pm_active)
    pmap_activate_sw_root(pm, cpuid)
    if pm.pm_ucr3 != PMAP_NO_CR3:
        TSS.tss_rsp0 = PCPU.pti_stack
    sometimes("a pmap is activated")
