"""Bringing the application processors in: sys/x86/x86/mp_x86.c."""

from __future__ import annotations

from pmaplab.kernel_python import (
    KASSERT,
    NULL,
    SYSINIT,
    atomic_store_rel_int,
    ia32_pause,
    printf,
    u32,
)
from pmaplab.kernels.freebsd.amd64.pcpu import PCPU
from pmaplab.kernels.freebsd.amd64.pmap import pmap_pcid_enabled
from pmaplab.kernels.freebsd.kern.sched_ule import sched_throw
from pmaplab.kernels.freebsd.sys.kernel import SI_ORDER_FIRST, SI_SUB_SMP
from pmaplab.kernels.freebsd.sys.mutex import mtx_lock_spin, mtx_unlock_spin
from pmaplab.kernels.freebsd.sys.proc import ap_boot_mtx
from pmaplab.machine.x86_64 import CR4_PCIDE, load_cr4, mp_ncpus, rcr4

aps_ready: u32 = 0
smp_started: u32 = 0
smp_cpus: u32 = 1


def init_secondary_tail() -> None:
    global smp_cpus
    KASSERT(PCPU.idlethread != NULL, "no idle thread")
    PCPU.curthread = PCPU.idlethread
    mtx_lock_spin(ap_boot_mtx)
    smp_cpus += 1
    printf("SMP: AP CPU #%d Launched!\n", PCPU.cpuid)
    if smp_cpus == mp_ncpus:
        # enable IPI's, tlb shootdown, freezes etc
        atomic_store_rel_int(smp_started, 1)
    if pmap_pcid_enabled:
        load_cr4(rcr4() | CR4_PCIDE)
    mtx_unlock_spin(ap_boot_mtx)
    # Wait until all the AP's are up.
    while smp_started == 0:
        ia32_pause()
    sched_throw(NULL)


def release_aps() -> None:
    if mp_ncpus == 1:
        return
    atomic_store_rel_int(aps_ready, 1)
    while smp_started == 0:
        ia32_pause()


SYSINIT("start_aps", SI_SUB_SMP, SI_ORDER_FIRST, release_aps)
