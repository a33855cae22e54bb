"""Preemption: the switch of kernel stacks, and who may run where.

Part of a system whose bound ``preemptions`` is not 0; what is declared here then
takes the place of sched_ule.py, cpu_switch.py and sys/mutex.py.  From
sys/kern/kern_switch.c (critical_exit), sched_ule.c (sched_preempt, tdq_choose,
THREAD_CAN_MIGRATE), subr_turnstile.c (turnstile_wait) and cpu_switch.S.

A *context* is a kernel stack with the registers of what runs on it.  A thread
that is preempted keeps its context, and any CPU may go on with it, its own one
alone if the thread is pinned.  A thread that gives up its CPU between two
operations has nothing to keep: who runs next goes on in the same context.

Threads are preempted between any two steps with interrupts enabled and
td_critnest 0, as the handler of IPI_PREEMPT does (sched_preempt).  With
td_critnest above 0 it notes td_owepreempt, and critical_exit makes up for it: a
preemption right behind critical_exit.  Any thread may be the next, as when a
thread of an interrupt has run in between.
"""

from __future__ import annotations

from typing import Annotated, Final

from pmaplab.kernel_python import (
    KASSERT,
    MPASS,
    NULL,
    Range,
    assume,
    atomic,
    atomic_swap_ptr,
    atomic_thread_fence_seq_cst,
    choose,
    option,
    own,
    panic,
    ptr,
    sometimes,
    static,
    this_cpu,
    u32,
)
from pmaplab.kernels.freebsd.amd64.pcpu import PCPU, TSS
from pmaplab.kernels.freebsd.amd64.pmap import pmap_activate_sw, pti
from pmaplab.kernels.freebsd.kern.sched_ule import runq_exchange
from pmaplab.kernels.freebsd.sys.mutex import mtx, spinlock_enter, spinlock_exit
from pmaplab.kernels.freebsd.sys.proc import (
    NTHREAD,
    TDS_RUNNING,
    TDS_RUNQ,
    blocked_lock,
    sched_lock,
    thread,
    thread0,
    threads,
)
from pmaplab.machine.x86_64 import CPU, mp_ncpus

PREEMPTIONS: Final[u32] = option("preemptions")
NCONTEXT: Final[u32] = mp_ncpus + PREEMPTIONS
NOWHERE: Final[u32] = mp_ncpus


class context:
    # The CPU that runs on this stack, or NOWHERE.
    cpu: u32
    # The thread that was preempted on it, which may still be switched away from.
    td: ptr[thread]
    # Where that was.
    last: Annotated[u32, Range(0, NOWHERE)]
    # The thread that goes on, here, on the CPU that context `giver` has left.
    next: ptr[thread]
    giver: Annotated[u32, Range(0, NCONTEXT)]


# Those behind the first NCONTEXT stand for the CPUs as such.
contexts: Annotated[list[context], NCONTEXT + mp_ncpus] = [
    static(cpu=i if i < mp_ncpus else NOWHERE if i < NCONTEXT else i - NCONTEXT)
    for i in range(NCONTEXT + mp_ncpus)
]
# Not by CPU: the running context's own.
CONTEXT: context = own(contexts)
preemptions: u32 = 0


@atomic
def preemptible() -> bool:
    """Whether the thread is preempted at this point: where it can, it may or may
    not."""
    global preemptions
    td = PCPU.curthread
    if td.td_critnest != 0 or not CPU.rflags_if or preemptions >= PREEMPTIONS:
        return False
    if td == PCPU.idlethread:
        return False  # it has nothing to do in between
    if choose(2) == 0:
        return False
    preemptions += 1
    return True


@atomic
def own_context() -> u32:
    for i in range(NCONTEXT):
        if contexts[i].cpu == this_cpu():
            return i
    panic("CPU %d runs on no stack", this_cpu())


# --- the run queue -----------------------------------------------------------------


@atomic
def has_context(td: thread) -> bool:
    """Whether it was preempted."""
    for i in range(NCONTEXT):
        if contexts[i].td == td:
            return True
    return False


@atomic
def may_run(td: thread) -> bool:
    """THREAD_CAN_MIGRATE, or it is where it was."""
    if td.td_pinned != 0:
        for i in range(NCONTEXT):
            if contexts[i].td == td:
                return contexts[i].last == this_cpu()
    return True


@atomic
def choosethread() -> thread:
    """Any thread on the run queue, or the CPU's own idle thread; not thread0,
    the swapper, which does nothing that idle threads do not, unless it was
    preempted."""
    atomic_thread_fence_seq_cst()  # TDQ_LOCK
    n = choose(NTHREAD + 2)
    if n < NTHREAD:
        td = threads[n]
        assume(td.td_state == TDS_RUNQ and may_run(td))
    elif n == NTHREAD:
        td = thread0
        assume(td.td_state == TDS_RUNQ and has_context(td) and may_run(td))
    else:
        td = PCPU.idlethread
    td.td_state = TDS_RUNNING
    return td


@atomic
def keep_context(td: thread) -> None:
    """The thread will be switched away from in the midst of something."""
    MPASS(td.td_critnest == 1 and td.md_spinlock_count == 1)
    CONTEXT.td = td
    CONTEXT.last = this_cpu()


@atomic
def runq_preempt() -> thread:
    """sched_preempt: another thread comes next."""
    atomic_thread_fence_seq_cst()  # taking the interrupt
    td = PCPU.curthread
    spinlock_enter()  # thread_lock
    keep_context(td)
    newtd = runq_exchange(td)
    assume(newtd != td)
    sometimes("a thread is preempted")
    if td.td_pinned != 0:
        sometimes("a pinned thread is preempted")
    return newtd


def sched_preempt() -> None:
    newtd = runq_preempt()
    cpu_switch(PCPU.curthread, newtd, sched_lock)
    spinlock_exit()  # thread_unlock


@atomic
def is_waiting(n: u32) -> bool:
    """Whether the context is that of a thread that could go on here."""
    td = contexts[n].td
    if td == NULL or contexts[n].cpu != NOWHERE or contexts[n].next != NULL:
        return False
    return td.td_state == TDS_RUNQ and may_run(td)


@atomic
def preempted_threads() -> bool:
    """Whether there is one that could go on here."""
    for i in range(NCONTEXT):
        if is_waiting(i):
            return True
    return False


@atomic
def nobody_preempted() -> bool:
    return not preempted_threads()


@atomic
def runq_preempted() -> thread:
    """Give up the CPU for a thread that was preempted.  Where there is none any
    more, the running one stays."""
    atomic_thread_fence_seq_cst()  # TDQ_LOCK
    td = PCPU.curthread
    spinlock_enter()  # thread_lock
    if not preempted_threads():
        return td
    newtd = runq_exchange(td)
    assume(has_context(newtd))
    return newtd


# --- mutexes ----------------------------------------------------------------------


@atomic
def mtx_lock_or_owner(m: mtx) -> thread:
    """NULL with the mutex taken, or the owner, which runs in place of whoever
    waits, since that lends it its priority (turnstile_wait).  While the owner
    runs, or cannot run here, nothing happens."""
    nobody: thread = NULL
    atomic_thread_fence_seq_cst()  # LOCK CMPXCHG
    td = PCPU.curthread
    owner = m.mtx_lock
    if owner == NULL:
        m.mtx_lock = td
        return nobody
    for i in range(NCONTEXT):
        if contexts[i].td == owner and is_waiting(i):
            spinlock_enter()  # thread_lock
            keep_context(td)
            td.td_lock = blocked_lock  # thread_lock_block
            td.td_state = TDS_RUNQ  # it tries again
            owner.td_state = TDS_RUNNING
            sometimes("a thread waits for one that was preempted")
            return owner
    assume(False)
    return nobody


def mtx_lock(m: mtx) -> None:
    """A default mutex."""
    while True:
        owner = mtx_lock_or_owner(m)
        if owner == NULL:
            break
        cpu_switch(PCPU.curthread, owner, sched_lock)
        spinlock_exit()  # thread_unlock


# --- the switch ---------------------------------------------------------------------


@atomic
def pass_cpu(n: u32, td: thread) -> None:
    """The CPU goes on in context ``n``, with the thread."""
    contexts[n].giver = own_context()
    contexts[n].next = td


@atomic
def release(old: thread, new: thread, lock: mtx) -> thread:
    """SETLK: release the old thread.  The thread to go on with, or NULL where
    the stack stays behind with the old one."""
    nobody: thread = NULL
    atomic_swap_ptr(old.td_lock, lock)
    if CONTEXT.td == NULL:
        return new
    for i in range(NCONTEXT):
        if contexts[i].td == new and is_left(i):
            pass_cpu(i, new)
            return nobody
    for i in range(NCONTEXT):
        if contexts[i].td == NULL and is_left(i):
            pass_cpu(i, new)
            return nobody
    panic("there is no stack to go on with")


@atomic
def is_left(n: u32) -> bool:
    return contexts[n].cpu == NOWHERE and contexts[n].next == NULL


@atomic
def next_thread() -> thread:
    """Wait, without a CPU, until one goes on here.  NULL for a stack that nobody
    needs; one that was kept waits for its thread to be chosen."""
    nobody: thread = NULL
    if CONTEXT.next == NULL:
        assume(CONTEXT.td == NULL)
        return nobody
    td = CONTEXT.next
    cpu = contexts[CONTEXT.giver].cpu
    contexts[CONTEXT.giver].cpu = NOWHERE
    if CONTEXT.td != NULL:
        KASSERT(CONTEXT.td == td, "a thread goes on on the stack of another")
        if CONTEXT.last != cpu:
            KASSERT(td.td_pinned == 0, "a pinned thread has left CPU %d", CONTEXT.last)
            sometimes("a preempted thread goes on on another CPU")
    CONTEXT.cpu = cpu
    CONTEXT.td = NULL
    CONTEXT.last = 0
    CONTEXT.next = NULL
    CONTEXT.giver = 0
    return td


@atomic
def load_stack(td: thread) -> bool:
    """Wait for the thread to become unblocked.  Whether the CPU goes on on the
    stack that was kept for it, and so in another context than this."""
    assume(td.td_lock != blocked_lock)
    for i in range(NCONTEXT):
        if contexts[i].td == td:
            # It is about to be left: the release is the last but one step there.
            assume(is_left(i))
            pass_cpu(i, td)
            return True
    return False


def cpu_switch(old: thread, new: thread, lock: mtx) -> None:
    pmap_activate_sw(new)
    sw1(release(old, new, lock))


def sw1(new: thread) -> None:
    while True:
        while new == NULL:
            new = next_thread()
        if not load_stack(new):
            break
        new = NULL
    if not pti:
        TSS.tss_rsp0 = new.td_pcb
    PCPU.rsp0 = new.td_pcb
    PCPU.curthread = new  # into next thread
    sometimes("a switch completed")
