"""Mutexes and the protection levels: sys/sys/mutex.h, sys/kern/kern_mutex.c,
sys/amd64/amd64/machdep.c (spinlock_enter), sys/kern/kern_switch.c (critical_enter).
"""

from __future__ import annotations

from pmaplab.kernel_python import (
    KASSERT,
    NULL,
    assume,
    atomic,
    atomic_thread_fence_seq_cst,
    ia32_pause,
    ptr,
)
from pmaplab.kernels.freebsd.amd64.pcpu import PCPU
from pmaplab.kernels.freebsd.sys.proc import thread
from pmaplab.machine.x86_64 import intr_disable, intr_restore


class mtx:
    """``mtx_lock`` is the owner, NULL for MTX_UNOWNED."""

    mtx_lock: ptr[thread]


@atomic
def critical_enter() -> None:
    """No preemption; interrupts still arrive."""
    td = PCPU.curthread
    td.td_critnest += 1


@atomic
def critical_exit() -> None:
    td = PCPU.curthread
    KASSERT(td.td_critnest != 0, "critical_exit: td_critnest == 0")
    td.td_critnest -= 1


@atomic
def spinlock_enter() -> None:
    """Interrupts off, counted.  The counts are the thread's own: what others
    can see of this is the interrupt flag, so it is one step."""
    td = PCPU.curthread
    if td.md_spinlock_count == 0:
        flags = intr_disable()
        td.md_spinlock_count = 1
        td.md_saved_flags = flags
        td.td_critnest += 1
    else:
        td.md_spinlock_count += 1


@atomic
def spinlock_exit() -> None:
    td = PCPU.curthread
    KASSERT(td.md_spinlock_count != 0, "spinlock_exit: not entered")
    td.md_spinlock_count -= 1
    if td.md_spinlock_count == 0:
        td.td_critnest -= 1
        intr_restore(td.md_saved_flags)


@atomic
def _mtx_release(m: mtx) -> None:
    """A plain store: what it leaves may still wait in the store buffer."""
    KASSERT(m.mtx_lock == PCPU.curthread, "mtx_unlock_spin: not owned")
    m.mtx_lock = NULL


@atomic
def _mtx_try(m: mtx) -> bool:
    atomic_thread_fence_seq_cst()  # LOCK CMPXCHG
    if m.mtx_lock != NULL:
        return False
    m.mtx_lock = PCPU.curthread
    return True


def mtx_lock_spin(m: mtx) -> None:
    spinlock_enter()
    while not _mtx_try(m):
        # Give interrupts a chance while we spin.
        spinlock_exit()
        while m.mtx_lock != NULL:
            ia32_pause()
        spinlock_enter()


def mtx_unlock_spin(m: mtx) -> None:
    _mtx_release(m)
    spinlock_exit()


@atomic
def mtx_lock(m: mtx) -> None:
    """A default mutex: whoever waits spins or sleeps, with interrupts enabled
    either way."""
    atomic_thread_fence_seq_cst()  # LOCK CMPXCHG
    assume(m.mtx_lock == NULL)
    m.mtx_lock = PCPU.curthread


@atomic
def mtx_unlock(m: mtx) -> None:
    atomic_thread_fence_seq_cst()  # LOCK CMPXCHG
    KASSERT(m.mtx_lock == PCPU.curthread, "mtx_unlock: not owned")
    m.mtx_lock = NULL


@atomic
def sched_pin() -> None:
    """sys/sys/sched.h: the thread stays on its CPU."""
    PCPU.curthread.td_pinned += 1


@atomic
def sched_unpin() -> None:
    KASSERT(PCPU.curthread.td_pinned != 0, "sched_unpin: not pinned")
    PCPU.curthread.td_pinned -= 1
