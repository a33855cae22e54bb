"""The boot CPU before the SYSINITs: sys/amd64/amd64/machdep.c."""

from __future__ import annotations

from pmaplab.kernel_python import printf
from pmaplab.kernels.freebsd.amd64.pcpu import PCPU, TSS
from pmaplab.kernels.freebsd.amd64.pmap import pmap_bootstrap
from pmaplab.kernels.freebsd.sys.proc import sched_lock, thread0
from pmaplab.machine.x86_64 import mp_ncpus


def hammer_time() -> None:
    PCPU.cpuid = 0
    thread0.td_lock = sched_lock
    PCPU.curthread = thread0
    PCPU.rsp0 = thread0.td_pcb
    TSS.tss_rsp0 = thread0.td_pcb
    pmap_bootstrap()
    printf("FreeBSD/SMP: Multiprocessor System Detected: %d CPUs\n", mp_ncpus)
