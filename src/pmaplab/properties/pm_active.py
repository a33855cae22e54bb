"""Which CPUs use a page table: pm_active never loses one that does.

Where an invariant does not count is listed in exemptions.toml.
"""

from __future__ import annotations

from pmaplab.kernel_python import KASSERT, NULL, atomic, invariant, u32, u64, within
from pmaplab.kernels.freebsd.amd64.pcpu import __pcpu
from pmaplab.kernels.freebsd.amd64.pmap import kernel_pmap, pmap
from pmaplab.kernels.freebsd.sys.cpuset import CPU_ISSET
from pmaplab.kernels.freebsd.sys.proc import NVMSPACE, vmspace0, vmspace_zone
from pmaplab.machine.x86_64 import CR3_PCID_MASK, cpus


@atomic
def _records(pm: pmap, root: u64, cpu: u32) -> bool:
    """Whether the pmap owns the root and knows of the CPU."""
    return (pm.pm_cr3 == root or pm.pm_ucr3 == root) and CPU_ISSET(cpu, pm.pm_active)


@invariant("pm_active")
def pm_active_of_loaded_root(cpu: u32) -> None:
    """At every step, some pmap that owns the loaded root has the CPU's bit."""
    root = cpus[cpu].cr3 & ~CR3_PCID_MASK
    if root == 0 or not within(0, "bootstrapped"):
        return
    if _records(kernel_pmap, root, cpu) or _records(vmspace0.vm_pmap, root, cpu):
        return
    for i in range(NVMSPACE):
        vm = vmspace_zone[i]
        if vm.vm_allocated and _records(vm.vm_pmap, root, cpu):
            return
    KASSERT(False, "no pmap that owns the loaded root %#x has CPU %d in pm_active", root, cpu)


@invariant("pm_active")
def pm_active_of_curpmap(cpu: u32) -> None:
    """At rest, curpmap has the CPU's bit."""
    pc = __pcpu[cpu]
    if pc.curthread == NULL or not within(cpu, "activated"):
        return
    KASSERT(CPU_ISSET(cpu, pc.curpmap.pm_active), "CPU %d is not in pm_active of its curpmap", cpu)


@invariant("pm_active")
def pm_active_of_kernel_pmap(cpu: u32) -> None:
    """From its bootstrap on, kernel_pmap's set holds every CPU."""
    if within(0, "bootstrapped"):
        KASSERT(
            CPU_ISSET(cpu, kernel_pmap.pm_active), "kernel_pmap's pm_active has lost CPU %d", cpu
        )
