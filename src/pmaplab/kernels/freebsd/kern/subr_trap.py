"""sys/kern/subr_trap.c: what must be in order when an operation is over."""

from __future__ import annotations

from pmaplab.kernel_python import KASSERT, atomic
from pmaplab.kernels.freebsd.amd64.pcpu import PCPU
from pmaplab.machine.x86_64 import CPU, CR4_PGE


@atomic
def nobody_preempted() -> bool:
    """Whether no thread waits to go on here in the midst of what it does."""
    return True


@atomic
def userret() -> None:
    """As the kernel asserts it; and global pages stay enabled.

    Threads of the kernel are asked too: what they do here is over in the same way.
    """
    td = PCPU.curthread
    KASSERT(td.td_critnest == 0, "userret: Returning in a critical section")
    KASSERT(td.td_pinned == 0, "userret: Returning with pinned thread")
    # invltlb_glob may be preempted between its two loads of %cr4.
    KASSERT(not nobody_preempted() or CPU.cr4 & CR4_PGE != 0, "CR4.PGE is left cleared")
