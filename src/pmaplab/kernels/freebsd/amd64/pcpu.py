"""Per-CPU data: sys/amd64/include/pcpu.h and the TSS of sys/x86/include/tss.h.

``PCPU.curpmap`` is PCPU_GET(curpmap), and assigning to it is PCPU_SET.
"""

from __future__ import annotations

from typing import Annotated, Final

from pmaplab.kernel_python import counter, own, ptr, static, u32, u64
from pmaplab.kernels.freebsd.amd64.pmap import pmap
from pmaplab.kernels.freebsd.sys.proc import thread
from pmaplab.machine.x86_64 import MAXCPU

# The trampoline stacks (pc_pti_stack) of the CPUs: their tops, 16-byte aligned.
PTI_STACKS: Final[u64] = 0xFFFFF80001000000
PC_PTI_STACK_SZ: Final[u64] = 0x100


class amd64tss:
    tss_rsp0: u64


class pcpu:
    cpuid: u32
    curthread: ptr[thread]
    idlethread: ptr[thread]
    curpmap: ptr[pmap]
    rsp0: u64
    pti_stack: u64
    kcr3: u64
    ucr3: u64
    pcid_gen: u32
    pcid_next: u32
    # The last shootdown that the CPU has acknowledged.
    smp_tlb_done: u32
    pm_save_cnt: counter


# PCPU(TSSP) is the CPU's own common_tss for every process without a private one.
common_tss: Annotated[list[amd64tss], MAXCPU] = static()
TSS: amd64tss = own(common_tss)
__pcpu: Annotated[list[pcpu], MAXCPU] = [
    static(pti_stack=PTI_STACKS + i * PC_PTI_STACK_SZ) for i in range(MAXCPU)
]
PCPU: pcpu = own(__pcpu)
