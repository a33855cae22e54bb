"""shootdown: mappings are removed, replaced and protected while others use them.

A user thread changes the page of its process, or one of the kernel; a kernel
worker changes the page of any process, as the pagedaemon does, adopts an address
space, and gives it back; threads switch and exit.  All changes of one run are made in the same
way, which the first one chooses.  The machine is up, and every CPU runs a thread.
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
from pmaplab.kernels.freebsd.amd64.pmap import kernel_pmap, pmap_pcid_enabled
from pmaplab.kernels.freebsd.kern.kern_exec import exit1
from pmaplab.kernels.freebsd.kern.sched_ule import mi_switch
from pmaplab.kernels.freebsd.kern.subr_trap import userret
from pmaplab.kernels.freebsd.sys.proc import NUSER, TDP_KTHREAD, procs, vmspace0
from pmaplab.scenarios.operations import OPERATIONS
from pmaplab.scenarios.paging import (
    aio_give_back,
    aio_proc_rundown,
    aio_switch_vmspace,
    aio_take_job,
    bring_up_to_threads,
    change_page,
    choose_change,
    enter_kernel,
    is_worker,
    page_owner,
    return_to_user,
)

# Below NUSER the address space of a process is adopted, and below twice NUSER
# its page is changed.
GIVE_BACK: Final[u32] = 2 * NUSER
SWITCH_THREAD: Final[u32] = 2 * NUSER + 1
EXIT_PROCESS: Final[u32] = 2 * NUSER + 2
CHANGE_KERNEL: Final[u32] = 2 * NUSER + 3


@atomic
def choose_shootdown_operation() -> u32:
    # Of the operation before: here no step is needed for it.
    userret()
    operation = choose(2 * NUSER + 4)
    td = PCPU.curthread
    if operation < NUSER:
        aio_take_job(operation)
    elif operation < 2 * NUSER:
        assume(is_worker() or td.td_proc == procs[operation - NUSER])
        assume(procs[operation - NUSER].p_vmspace != vmspace0)
        choose_change()
    elif operation == GIVE_BACK:
        assume(is_worker() and td.td_proc.p_vmspace != vmspace0)
    elif operation == EXIT_PROCESS:
        aio_proc_rundown()
    elif operation == CHANGE_KERNEL:
        assume(td.td_pflags & TDP_KTHREAD == 0)
        choose_change()
    return operation


def thread_operation() -> None:
    enter_kernel()
    operation = choose_shootdown_operation()
    if operation < NUSER:
        aio_switch_vmspace(operation)
    elif operation < 2 * NUSER:
        change_page(page_owner(operation - NUSER))
    elif operation == GIVE_BACK:
        aio_give_back()
    elif operation == SWITCH_THREAD:
        mi_switch()
    elif operation == EXIT_PROCESS:
        exit1()
    else:
        change_page(kernel_pmap)
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
must_reach("a process exits")
must_reach("a worker adopts an address space")
must_reach("a mapping is changed")
must_reach("an IPI is delivered")
must_reach("a shootdown is acknowledged")
if pmap_pcid_enabled:
    must_reach("a PCID is kept by an activation")
    must_reach("bit 63 of %cr3 keeps a translation")
