# violated: curpmap (rsp0 is not the trampoline stack) in nopcid+pti, pcid+pti, pcid+invpcid+pti
# holds: nopcid, pcid
# run: switch
"""The trampoline stack is not used."""

from __future__ import annotations

from pmaplab.kernel_python import sometimes
from pmaplab.kernels.freebsd.amd64.pcpu import PCPU
from pmaplab.kernels.freebsd.amd64.pmap import pmap_activate_sw_root
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
    pmap_activate_sw_root(pm, cpuid)
    CPU_CLR_ATOMIC(cpuid, oldpmap.pm_active)
    sometimes("a pmap is activated")
