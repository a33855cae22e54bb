"""Threads, processes, address spaces: sys/sys/proc.h, sys/vm/vm_map.h."""

from __future__ import annotations

from typing import Annotated, Final

from pmaplab.kernel_python import option, ptr, static, u8, u32, u64
from pmaplab.kernels.freebsd.amd64.pmap import PML4_PAGES, PML4U_PAGES, pmap
from pmaplab.kernels.freebsd.sys.mutex import mtx
from pmaplab.machine.x86_64 import MAXCPU

# td_state
TDS_INACTIVE: Final[u8] = 0
TDS_INHIBITED: Final[u8] = 1
TDS_CAN_RUN: Final[u8] = 2
TDS_RUNQ: Final[u8] = 3
TDS_RUNNING: Final[u8] = 4

# td_pflags
TDP_KTHREAD: Final[u32] = 0x00200000

# How many user processes, and how many kernel processes besides proc0.
NUSER: Final[u32] = option("processes")
NKPROC: Final[u32] = option("kernel_processes")
NTHREAD: Final[u32] = NUSER + NKPROC
# One address space a process, and one more a CPU for those in the midst of exec.
NVMSPACE: Final[u32] = NUSER + option("mp_ncpus")

# Kernel stacks: the tops, where the pcb lies.
PCBS: Final[u64] = 0xFFFFFE0000000000
KSTACK: Final[u64] = 0x4000


class vmspace:
    vm_refcnt: u32
    vm_pmap: pmap
    # UMA's knowledge that the item is handed out.
    vm_allocated: bool


class proc:
    p_vmspace: ptr[vmspace]
    # An aio job of the process is being worked on.
    p_aiojob: bool
    # It execs or exits: aio_proc_rundown has found no job, and none may start.
    p_rundown: bool


class thread:
    td_proc: ptr[proc]
    td_lock: ptr[mtx]
    td_state: u8
    td_pflags: u32
    td_critnest: u32
    td_pinned: u32
    md_spinlock_count: u32
    md_saved_flags: bool
    td_pcb: u64


vmspace0: vmspace = static()
# The page-table pages stay with the item, as if UMA and the page allocator
# always gave back what was freed last.
vmspace_zone: Annotated[list[vmspace], NVMSPACE] = [
    static(vm_pmap=static(pm_pml4=PML4_PAGES + i * 0x1000, pm_pml4u=PML4U_PAGES + i * 0x1000))
    for i in range(NVMSPACE)
]

proc0: proc = static()
idleproc: proc = static()
procs: Annotated[list[proc], NTHREAD] = static()

# Switched away from before it was ever run, a thread stands in fork_trampoline:
# one spinlock_enter() deep, to leave which enables interrupts.
thread0: thread = static(
    td_proc=proc0,
    td_pflags=TDP_KTHREAD,
    td_state=TDS_RUNNING,
    td_critnest=1,
    md_spinlock_count=1,
    md_saved_flags=1,
    td_pcb=PCBS,
)
idlethreads: Annotated[list[thread], MAXCPU] = [
    static(
        td_proc=idleproc,
        td_pflags=TDP_KTHREAD,
        td_critnest=1,
        md_spinlock_count=1,
        md_saved_flags=1,
        td_pcb=PCBS + (1 + i) * KSTACK,
    )
    for i in range(MAXCPU)
]
# The user threads first, then those of the kernel processes.
threads: Annotated[list[thread], NTHREAD] = [
    static(
        td_pflags=0 if i < NUSER else TDP_KTHREAD,
        td_critnest=1,
        md_spinlock_count=1,
        md_saved_flags=1,
        td_pcb=PCBS + (1 + MAXCPU + i) * KSTACK,
    )
    for i in range(NTHREAD)
]

sched_lock: mtx = static()
blocked_lock: mtx = static()
ap_boot_mtx: mtx = static()
