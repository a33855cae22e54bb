"""What threads do with address spaces and pages on a machine that is up.

An operation begins with the way into the kernel and ends with the way back.
There are no touches among them: every state in which a CPU could touch a page is
asked whether it could use a stale translation (properties/stale.py).
"""

from __future__ import annotations

from typing import Final

from pmaplab.kernel_python import NULL, assume, atomic, choose, sometimes, this_cpu, u32
from pmaplab.kernels.freebsd.amd64.exception import doreti_exit, fast_syscall_pti
from pmaplab.kernels.freebsd.amd64.pcpu import PCPU
from pmaplab.kernels.freebsd.amd64.pmap import kernel_pmap, pmap, pti
from pmaplab.kernels.freebsd.amd64.pmap_mappings import (
    pmap_enter,
    pmap_first,
    pmap_protect,
    pmap_pte,
    pmap_remove,
)
from pmaplab.kernels.freebsd.kern.kern_exec import exec_new_vmspace
from pmaplab.kernels.freebsd.kern.sched_ule import mi_switch
from pmaplab.kernels.freebsd.sys.proc import (
    NTHREAD,
    NUSER,
    TDP_KTHREAD,
    procs,
    threads,
    vmspace,
    vmspace0,
)
from pmaplab.kernels.freebsd.vm.vm_map import vmspace_pmap, vmspace_switch_aio
from pmaplab.machine.paging import PAGES, X86_PG_V
from pmaplab.machine.x86_64 import CPU
from pmaplab.scenarios.power_on import bring_up

# --- before the search -----------------------------------------------------------


def bring_up_to_threads() -> None:
    """Each CPU runs a thread, and the pages are mapped."""
    bring_up()
    if this_cpu() == 0:
        for page in range(PAGES):
            pmap_enter(kernel_pmap, PAGES + page)
            for i in range(NUSER):
                pmap_enter(vmspace_pmap(procs[i].p_vmspace), page)
    mi_switch()


# --- user mode -------------------------------------------------------------------


def enter_kernel() -> None:
    if pti and CPU.user_mode:
        fast_syscall_pti()


def return_to_user() -> None:
    if pti and PCPU.curthread.td_pflags & TDP_KTHREAD == 0:
        doreti_exit()


# --- the aio daemons: sys/kern/vfs_aio.c -------------------------------------------


@atomic
def is_worker() -> bool:
    """Whether the current thread is one of a kernel process of its own."""
    for i in range(NUSER, NTHREAD):
        if PCPU.curthread == threads[i]:
            return True
    return False


@atomic
def aio_take_job(number: u32) -> None:
    """A job of the process waits for the worker, which has none."""
    assume(is_worker() and PCPU.curthread.td_proc.p_vmspace == vmspace0)
    p = procs[number]
    assume(not p.p_aiojob and not p.p_rundown and p.p_vmspace != vmspace0)
    p.p_aiojob = True


def aio_switch_vmspace(number: u32) -> None:
    vmspace_switch_aio(procs[number].p_vmspace)
    sometimes("a worker adopts an address space")


def aio_give_back() -> None:
    vm = PCPU.curthread.td_proc.p_vmspace
    vmspace_switch_aio(vmspace0)
    aio_job_done(vm)


@atomic
def aio_job_done(vm: vmspace) -> None:
    for i in range(NUSER):
        if procs[i].p_vmspace == vm:
            procs[i].p_aiojob = False


@atomic
def aio_proc_rundown() -> None:
    """exec and exit begin when the process has no job, and forbid new ones."""
    p = PCPU.curthread.td_proc
    assume(PCPU.curthread.td_pflags & TDP_KTHREAD == 0 and not p.p_aiojob)
    p.p_rundown = True


@atomic
def aio_proc_rundown_exec_done() -> None:
    PCPU.curthread.td_proc.p_rundown = False


def exec() -> None:
    exec_new_vmspace()
    aio_proc_rundown_exec_done()


# --- changing mappings --------------------------------------------------------------

# How the mappings change in a run: by page, by range or all at once.  The first
# change chooses.
REMAP: Final[u32] = 1
REMOVE: Final[u32] = 2
PROTECT: Final[u32] = 3
NCHANGE: Final[u32] = 3
change: u32 = 0


@atomic
def choose_change() -> None:
    global change
    if change == 0:
        change = 1 + choose(NCHANGE)


@atomic
def page_owner(number: u32) -> pmap:
    """The pmap in which a page of the process is mapped, as its pv entry tells;
    NULL when the process is gone."""
    vm = procs[number].p_vmspace
    return NULL if vm == vmspace0 else vmspace_pmap(vm)


def change_page(pm: pmap) -> None:
    """What is not mapped is mapped, as by a page fault."""
    if pm == NULL:
        return
    page = pmap_first(pm)
    if change == REMAP or pmap_pte(pm, page) & X86_PG_V == 0:
        pmap_enter(pm, page)
    elif change == REMOVE:
        pmap_remove(pm, False)
    elif pm == kernel_pmap:
        pmap_remove(pm, True)
    else:
        pmap_protect(pm)
    sometimes("a mapping is changed")
