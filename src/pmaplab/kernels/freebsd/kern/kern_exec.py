"""The operations of a user thread: sys/kern/kern_exec.c, kern_exit.c."""

from __future__ import annotations

from pmaplab.kernels.freebsd.amd64.pcpu import PCPU
from pmaplab.kernels.freebsd.kern.sched_ule import sched_throw
from pmaplab.kernels.freebsd.sys.mutex import spinlock_enter
from pmaplab.kernels.freebsd.vm.vm_map import vmspace_exec, vmspace_exit, vmspace_free


def exec_new_vmspace() -> None:
    p = PCPU.curthread.td_proc
    oldvmspace = p.p_vmspace
    vmspace_exec(p)
    vmspace_free(oldvmspace)  # post_execve


def exit1() -> None:
    """Does not come back: another thread runs here afterwards."""
    td = PCPU.curthread
    vmspace_exit(td)
    spinlock_enter()  # thread_exit: PROC_SLOCK, thread_lock
    sched_throw(td)
