"""Address spaces and their references: sys/vm/vm_map.c."""

from __future__ import annotations

from pmaplab.kernel_python import (
    KASSERT,
    atomic,
    atomic_add_int,
    atomic_cmpset_int,
    atomic_thread_fence_seq_cst,
    panic,
    sometimes,
)
from pmaplab.kernels.freebsd.amd64.pcpu import PCPU
from pmaplab.kernels.freebsd.amd64.pmap import pmap, pmap_activate, pmap_pinit, pmap_release
from pmaplab.kernels.freebsd.amd64.pmap_mappings import pmap_remove
from pmaplab.kernels.freebsd.sys.proc import NVMSPACE, proc, thread, vmspace, vmspace0, vmspace_zone
from pmaplab.machine.paging import PAGES


@atomic
def vmspace_pmap(vm: vmspace) -> pmap:
    return vm.vm_pmap


@atomic
def uma_zalloc_vmspace() -> vmspace:
    atomic_thread_fence_seq_cst()  # the zone's lock
    for i in range(NVMSPACE):
        vm = vmspace_zone[i]
        if not vm.vm_allocated:
            vm.vm_allocated = True
            return vm
    panic("vmspace_zone is exhausted")


@atomic
def uma_zfree_vmspace(vm: vmspace) -> None:
    atomic_thread_fence_seq_cst()  # the zone's lock
    vm.vm_allocated = False


def vmspace_alloc() -> vmspace:
    vm = uma_zalloc_vmspace()
    pmap_pinit(vmspace_pmap(vm))
    vm.vm_refcnt = 1
    return vm


def vmspace_dofree(vm: vmspace) -> None:
    if PAGES:
        pmap_remove(vmspace_pmap(vm), True)  # vm_map_remove
    pmap_release(vmspace_pmap(vm))
    uma_zfree_vmspace(vm)


def vmspace_free(vm: vmspace) -> None:
    refcnt = vm.vm_refcnt
    KASSERT(refcnt > 0, "vmspace_free: attempt to free already freed vmspace")
    while not atomic_cmpset_int(vm.vm_refcnt, refcnt, refcnt - 1):
        refcnt = vm.vm_refcnt
    if refcnt == 1:
        vmspace_dofree(vm)


def vmspace_exec(p: proc) -> None:
    """exec: the running process gets a fresh address space."""
    newvmspace = vmspace_alloc()
    p.p_vmspace = newvmspace
    if p == PCPU.curthread.td_proc:
        pmap_activate(PCPU.curthread)
    sometimes("a process execs")


def vmspace_exit(td: thread) -> None:
    """exit: back to vmspace0 before the own address space goes."""
    p = td.td_proc
    vm = p.p_vmspace
    atomic_add_int(vmspace0.vm_refcnt, 1)
    refcnt = vm.vm_refcnt
    while True:
        if refcnt > 1 and p.p_vmspace != vmspace0:
            # Switch now since other proc might free vmspace
            p.p_vmspace = vmspace0
            pmap_activate(td)
        if atomic_cmpset_int(vm.vm_refcnt, refcnt, refcnt - 1):
            break
        refcnt = vm.vm_refcnt
    if refcnt == 1:
        if p.p_vmspace != vm:
            # vmspace not yet freed, switch back
            p.p_vmspace = vm
            pmap_activate(td)
        # Switch now since this proc will free vmspace
        p.p_vmspace = vmspace0
        pmap_activate(td)
        vmspace_dofree(vm)
    sometimes("a process exits")


def vmspace_switch_aio(newvm: vmspace) -> None:
    """A kernel worker adopts the address space of another process, or takes up
    its own again."""
    KASSERT(newvm.vm_refcnt > 0, "vmspace_switch_aio: newvm unreferenced")
    p = PCPU.curthread.td_proc
    oldvm = p.p_vmspace
    if oldvm == newvm:
        return
    p.p_vmspace = newvm
    atomic_add_int(newvm.vm_refcnt, 1)
    pmap_activate(PCPU.curthread)
    KASSERT(oldvm.vm_refcnt > 1, "vmspace_switch_aio: oldvm dropping last reference")
    vmspace_free(oldvm)
