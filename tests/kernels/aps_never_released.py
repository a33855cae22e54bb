# violated: progress (has work left and can never go on) in nopcid, pcid
# holds:
# run: boot
"""smp_started is never set."""

from __future__ import annotations

from pmaplab.kernel_python import KASSERT, NULL, ia32_pause, printf
from pmaplab.kernels.freebsd.amd64.pcpu import PCPU
from pmaplab.kernels.freebsd.amd64.pmap import pmap_pcid_enabled
from pmaplab.kernels.freebsd.kern.sched_ule import sched_throw
from pmaplab.kernels.freebsd.sys.mutex import mtx_lock_spin, mtx_unlock_spin
from pmaplab.kernels.freebsd.sys.proc import ap_boot_mtx, proc0
from pmaplab.kernels.freebsd.vm.vm_map import vmspace_pmap
from pmaplab.kernels.freebsd.x86.mp_x86 import smp_cpus, smp_started
from pmaplab.machine.x86_64 import CR4_PCIDE, load_cr4, rcr4
from pmaplab.reviews.d16618.proposals.committed import pmap_activate_boot


def init_secondary_tail() -> None:
    global smp_cpus
    pmap_activate_boot(vmspace_pmap(proc0.p_vmspace))
    KASSERT(PCPU.idlethread != NULL, "no idle thread")
    PCPU.curthread = PCPU.idlethread
    mtx_lock_spin(ap_boot_mtx)
    smp_cpus += 1
    printf("SMP: AP CPU #%d Launched!\n", PCPU.cpuid)
    if pmap_pcid_enabled:
        load_cr4(rcr4() | CR4_PCIDE)
    mtx_unlock_spin(ap_boot_mtx)
    while smp_started == 0:
        ia32_pause()
    sched_throw(NULL)
