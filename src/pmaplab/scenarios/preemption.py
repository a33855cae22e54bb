"""What CPUs run where threads are preempted: operations on any stack.

Part of a system whose bound ``preemptions`` is not 0.  The operations are those
of the scenario, its ``thread_operation``; they are counted by CPU.  A CPU that
has made all of its own still goes on with threads that were preempted.
"""

from __future__ import annotations

from typing import Annotated

from pmaplab.kernel_python import (
    must_reach,
    option,
    own,
    static,
    thread_context,
    u32,
)
from pmaplab.kernels.freebsd.amd64.pcpu import PCPU
from pmaplab.kernels.freebsd.kern.kern_switch import (
    cpu_switch,
    preempted_threads,
    runq_preempted,
    sw1,
)
from pmaplab.kernels.freebsd.sys.mutex import spinlock_exit
from pmaplab.kernels.freebsd.sys.proc import sched_lock, thread
from pmaplab.scenarios.operations import OPERATIONS
from pmaplab.scenarios.paging import enter_kernel, return_to_user


class progress_of_cpu:
    operations: u32


made: Annotated[list[progress_of_cpu], option("mp_ncpus")] = static()
OWN: progress_of_cpu = own(made)


def run_threads() -> None:
    while True:
        if OWN.operations < OPERATIONS:
            OWN.operations += 1
            # The scenario's.
            thread_operation()  # type: ignore[name-defined]  # noqa: F821
        elif preempted_threads():
            resume_thread()


def resume_thread() -> None:
    enter_kernel()
    newtd = runq_preempted()
    if newtd != PCPU.curthread:
        cpu_switch(PCPU.curthread, newtd, sched_lock)
    spinlock_exit()  # thread_unlock
    return_to_user()


@thread_context
def cpu_main() -> None:
    run_threads()


def fork_trampoline(td: thread) -> None:
    """A fresh stack, on which a CPU goes on."""
    sw1(td)
    spinlock_exit()
    return_to_user()
    run_threads()


must_reach("a thread is preempted")
must_reach("a pinned thread is preempted")
must_reach("a preempted thread goes on on another CPU")
