"""What the review says of states, asked of every state."""

from __future__ import annotations

from pmaplab.kernel_python import NULL, observer, sometimes, u32, within
from pmaplab.kernels.freebsd.amd64.pcpu import __pcpu
from pmaplab.kernels.freebsd.amd64.pmap import kernel_pmap
from pmaplab.kernels.freebsd.sys.cpuset import CPU_ISSET
from pmaplab.kernels.freebsd.sys.proc import proc0, vmspace0
from pmaplab.kernels.freebsd.vm.vm_map import vmspace_pmap


@observer
def where_aps_start(cpu: u32) -> None:
    """APs have a curthread from init_secondary_tail on."""
    pc = __pcpu[cpu]
    if cpu != 0 and pc.curthread != NULL and pc.curpmap == kernel_pmap:
        sometimes("an AP has curpmap = kernel_pmap")
    if cpu != 0 and proc0.p_vmspace == NULL and pc.curpmap == vmspace_pmap(vmspace0):
        sometimes("an AP is on vmspace0's pmap before proc0 is made")


@observer
def lost_bits(cpu: u32) -> None:
    """CPUs on vmspace0's pmap that its set does not know, once proc0 is made."""
    pm = vmspace_pmap(vmspace0)
    if __pcpu[cpu].curpmap != pm or CPU_ISSET(cpu, pm.pm_active) or proc0.p_vmspace == NULL:
        return
    if cpu != 0:
        sometimes("an AP on vmspace0's pmap is not in its set")
    elif within(0, "activated"):
        sometimes("the boot CPU has activated vmspace0's pmap and is not in its set")


@observer
def kernel_pmap_set(cpu: u32) -> None:
    if within(0, "bootstrapped") and not CPU_ISSET(cpu, kernel_pmap.pm_active):
        sometimes("kernel_pmap's set lacks a CPU")


@observer
def one_root(cpu: u32) -> None:
    pm = vmspace_pmap(vmspace0)
    if cpu == 0 and pm.pm_cr3 != 0 and pm.pm_cr3 == kernel_pmap.pm_cr3 and pm != kernel_pmap:
        sometimes("kernel_pmap and vmspace0's pmap are two structures with one root")
