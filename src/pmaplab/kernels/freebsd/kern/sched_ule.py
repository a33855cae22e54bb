"""The scheduler's part in a switch: sys/kern/sched_ule.c, kern_synch.c.

One run queue serves all CPUs, so that threads migrate freely; the hand-off of
a thread that is still being switched away from is ULE's, through blocked_lock.
Which thread comes next is any that can run: the search tries them all.
"""

from __future__ import annotations

from pmaplab.kernel_python import (
    KASSERT,
    NULL,
    assume,
    atomic,
    atomic_thread_fence_seq_cst,
    choose,
)
from pmaplab.kernels.freebsd.amd64.cpu_switch import cpu_switch, cpu_throw
from pmaplab.kernels.freebsd.amd64.pcpu import PCPU
from pmaplab.kernels.freebsd.sys.mutex import spinlock_enter, spinlock_exit
from pmaplab.kernels.freebsd.sys.proc import (
    NTHREAD,
    TDS_CAN_RUN,
    TDS_INACTIVE,
    TDS_RUNNING,
    TDS_RUNQ,
    blocked_lock,
    sched_lock,
    thread,
    thread0,
    threads,
)


@atomic
def choosethread() -> thread:
    """Any thread on the run queue, or the CPU's own idle thread."""
    atomic_thread_fence_seq_cst()  # TDQ_LOCK
    n = choose(NTHREAD + 2)
    if n < NTHREAD:
        td = threads[n]
        assume(td.td_state == TDS_RUNQ)
    elif n == NTHREAD:
        td = thread0
        assume(td.td_state == TDS_RUNQ)
    else:
        td = PCPU.idlethread
    td.td_state = TDS_RUNNING
    return td


@atomic
def runq_exchange(td: thread) -> thread:
    """Queue a thread and choose the next: one step, as under TDQ_LOCK.

    The thread is queued before it is switched away from, so another CPU may
    take it and has to wait for its release.
    """
    atomic_thread_fence_seq_cst()  # TDQ_LOCK
    td.td_lock = blocked_lock  # thread_lock_block
    if td == PCPU.idlethread:
        td.td_state = TDS_CAN_RUN
    else:
        td.td_state = TDS_RUNQ
    return choosethread()


@atomic
def runq_leave(td: thread) -> thread:
    """Choose the next thread after a dead one: one step, as under TDQ_LOCK."""
    atomic_thread_fence_seq_cst()  # TDQ_LOCK
    td.td_state = TDS_INACTIVE
    return choosethread()


def sched_switch(td: thread) -> None:
    newtd = runq_exchange(td)
    if td != newtd:
        cpu_switch(td, newtd, sched_lock)
    else:
        td.td_lock = sched_lock  # thread_unblock_switch


def mi_switch() -> None:
    """Give up the CPU.  Back from it, another thread runs here."""
    spinlock_enter()  # thread_lock
    sched_switch(PCPU.curthread)
    spinlock_exit()  # thread_unlock, of the thread that was switched to


def sched_throw(td: thread) -> None:
    """The old thread is NULL (an AP's first switch) or dead."""
    if td == NULL:
        # Correct spinlock nesting and acquire the correct lock.
        spinlock_enter()
        spinlock_exit()
    KASSERT(PCPU.curthread.md_spinlock_count == 1, "invalid count")
    if td == NULL:
        newtd = choosethread()
    else:
        newtd = runq_leave(td)
    cpu_throw(newtd)
    spinlock_exit()  # fork_exit or thread_unlock, of the new thread
