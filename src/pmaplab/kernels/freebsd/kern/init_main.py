"""The SYSINITs that make processes: sys/kern/init_main.c, kern_idle.c,
kern_fork.c, sys/vm/vm_pageout.c."""

from __future__ import annotations

from pmaplab.kernel_python import (
    CPU_FOREACH,
    SYSINIT,
    atomic_add_int,
    printf,
    run_sysinits,
)
from pmaplab.kernels.freebsd.amd64.pcpu import __pcpu
from pmaplab.kernels.freebsd.amd64.pmap import pmap_pinit0
from pmaplab.kernels.freebsd.sys.kernel import (
    SI_ORDER_FIRST,
    SI_ORDER_MIDDLE,
    SI_SUB_CONFIGURE,
    SI_SUB_CREATE_INIT,
    SI_SUB_INTRINSIC,
    SI_SUB_KTHREAD_INIT,
    SI_SUB_KTHREAD_PAGE,
    SI_SUB_SCHED_IDLE,
)
from pmaplab.kernels.freebsd.sys.mutex import spinlock_exit
from pmaplab.kernels.freebsd.sys.proc import (
    NKPROC,
    NTHREAD,
    NUSER,
    TDS_RUNQ,
    idleproc,
    idlethreads,
    proc0,
    procs,
    sched_lock,
    threads,
    vmspace0,
)
from pmaplab.kernels.freebsd.vm.vm_map import vmspace_alloc, vmspace_pmap


def proc0_init() -> None:
    proc0.p_vmspace = vmspace0
    vmspace0.vm_refcnt = 1
    pmap_pinit0(vmspace_pmap(vmspace0))


def create_init() -> None:
    """fork1: init, and the user processes that it will have forked."""
    for i in range(NUSER):
        procs[i].p_vmspace = vmspace_alloc()
        threads[i].td_proc = procs[i]
        threads[i].td_lock = sched_lock


def kick_init() -> None:
    for i in range(NUSER):
        threads[i].td_state = TDS_RUNQ


def idle_setup() -> None:
    """kproc_kthread_add with RFMEM: the idle threads share vmspace0."""
    idleproc.p_vmspace = vmspace0
    atomic_add_int(vmspace0.vm_refcnt, 1)
    for i in CPU_FOREACH():
        idlethreads[i].td_lock = sched_lock
        __pcpu[i].idlethread = idlethreads[i]


def kproc_start() -> None:
    """Kernel processes of their own (pagedaemon, ...), on vmspace0 as well."""
    for i in range(NUSER, NTHREAD):
        procs[i].p_vmspace = vmspace0
        atomic_add_int(vmspace0.vm_refcnt, 1)
        threads[i].td_proc = procs[i]
        threads[i].td_lock = sched_lock
        threads[i].td_state = TDS_RUNQ


def configure_final() -> None:
    """sys/x86/x86/autoconf.c: interrupts from here on."""
    spinlock_exit()
    printf("boot: %d user and %d kernel processes\n", NUSER, NKPROC)


def mi_startup() -> None:
    """The SYSINITs in the order of their numbers."""
    run_sysinits()


SYSINIT("p0init", SI_SUB_INTRINSIC, SI_ORDER_FIRST, proc0_init)
SYSINIT("init", SI_SUB_CREATE_INIT, SI_ORDER_FIRST, create_init)
SYSINIT("idle_setup", SI_SUB_SCHED_IDLE, SI_ORDER_FIRST, idle_setup)
SYSINIT("configure3", SI_SUB_CONFIGURE, SI_ORDER_MIDDLE, configure_final)
SYSINIT("kickinit", SI_SUB_KTHREAD_INIT, SI_ORDER_MIDDLE, kick_init)
SYSINIT("pagedaemon", SI_SUB_KTHREAD_PAGE, SI_ORDER_FIRST, kproc_start)
