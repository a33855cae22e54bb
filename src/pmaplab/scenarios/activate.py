"""activate: switches of threads and of address spaces, while shootdowns arrive.

A user thread switches, execs (a fresh vmspace) or remaps its page; a kernel
worker switches, adopts the address space of another process as the aio daemons
do, and gives it back.  The machine is up, and every CPU runs a thread.
"""

from __future__ import annotations

from typing import Final

from pmaplab.kernel_python import (
    assume,
    atomic,
    bring_up_context,
    choose,
    interrupt_context,
    must_reach,
    thread_context,
    u32,
)
from pmaplab.kernels.freebsd.amd64.exception import apic_vector
from pmaplab.kernels.freebsd.amd64.pcpu import PCPU
from pmaplab.kernels.freebsd.amd64.pmap import pmap_pcid_enabled
from pmaplab.kernels.freebsd.amd64.pmap_mappings import pmap_enter
from pmaplab.kernels.freebsd.kern.sched_ule import mi_switch
from pmaplab.kernels.freebsd.kern.subr_trap import userret
from pmaplab.kernels.freebsd.sys.proc import NUSER, TDP_KTHREAD, vmspace0
from pmaplab.kernels.freebsd.vm.vm_map import vmspace_pmap
from pmaplab.scenarios.operations import OPERATIONS
from pmaplab.scenarios.paging import (
    aio_give_back,
    aio_proc_rundown,
    aio_switch_vmspace,
    aio_take_job,
    bring_up_to_threads,
    enter_kernel,
    exec,
    is_worker,
    return_to_user,
)

GIVE_BACK: Final[u32] = NUSER
SWITCH_THREAD: Final[u32] = NUSER + 1
EXEC_IMAGE: Final[u32] = NUSER + 2
REMAP_PAGE: Final[u32] = NUSER + 3


@atomic
def choose_activate_operation() -> u32:
    """Below NUSER, the process whose address space is adopted."""
    # Of the operation before: here no step is needed for it.
    userret()
    operation = choose(NUSER + 4)
    td = PCPU.curthread
    if operation < NUSER:
        aio_take_job(operation)
    elif operation == GIVE_BACK:
        assume(is_worker() and td.td_proc.p_vmspace != vmspace0)
    elif operation == EXEC_IMAGE:
        aio_proc_rundown()
    elif operation == REMAP_PAGE:
        assume(td.td_pflags & TDP_KTHREAD == 0)
    return operation


def thread_operation() -> None:
    enter_kernel()
    operation = choose_activate_operation()
    if operation < NUSER:
        aio_switch_vmspace(operation)
    elif operation == GIVE_BACK:
        aio_give_back()
    elif operation == SWITCH_THREAD:
        mi_switch()
    elif operation == EXEC_IMAGE:
        exec()
    else:
        pmap_enter(vmspace_pmap(PCPU.curthread.td_proc.p_vmspace), 0)
    return_to_user()


@bring_up_context
def cpu_bring_up() -> None:
    bring_up_to_threads()
    return_to_user()


@thread_context
def cpu_main() -> None:
    for _ in range(OPERATIONS):
        thread_operation()


@interrupt_context
def cpu_interrupt() -> None:
    apic_vector()


must_reach("a switch completed")
must_reach("a process execs")
must_reach("a worker adopts an address space")
must_reach("an IPI is delivered")
must_reach("a shootdown is acknowledged")
if pmap_pcid_enabled:
    must_reach("a PCID is kept by an activation")
    must_reach("a PCID generation rolled over")
    must_reach("bit 63 of %cr3 keeps a translation")
