"""The way into the kernel and back: sys/amd64/amd64/exception.S and
apic_vector.S.

Under PTI user mode has a root of its own, and both ways are part of what the
processor does between two steps: they run with interrupts disabled and touch
only what is the CPU's own.
"""

from __future__ import annotations

from pmaplab.kernel_python import KASSERT, atomic, panic, sometimes, u32
from pmaplab.kernels.freebsd.amd64.invl_handlers import (
    invlpg_invpcid_handler,
    invlpg_pcid_handler,
    invlrng_invpcid_handler,
    invlrng_pcid_handler,
    invltlb_invpcid_handler,
    invltlb_invpcid_pti_handler,
    invltlb_pcid_handler,
)
from pmaplab.kernels.freebsd.amd64.pcpu import PCPU
from pmaplab.kernels.freebsd.amd64.pmap import (
    PMAP_NO_CR3,
    invpcid_works,
    pmap_pcid_enabled,
    pti,
)
from pmaplab.kernels.freebsd.x86.smp_tlb import (
    IPI_INVLPG,
    IPI_INVLRNG,
    IPI_INVLTLB,
    invlpg_handler,
    invlrng_handler,
    invltlb_handler,
)
from pmaplab.machine.local_apic import iretq, take_interrupt
from pmaplab.machine.x86_64 import CPU, load_cr3


@atomic
def _to_kernel_root() -> None:
    if PCPU.ucr3 != PMAP_NO_CR3:
        load_cr3(PCPU.kcr3)


@atomic
def _to_user_root() -> None:
    if PCPU.ucr3 != PMAP_NO_CR3:
        load_cr3(PCPU.ucr3)


@atomic
def fast_syscall_pti() -> None:
    """SYSCALL, through the trampoline."""
    KASSERT(CPU.user_mode, "a system call from the kernel")
    CPU.user_mode = False
    _to_kernel_root()


@atomic
def doreti_exit() -> None:
    """IRET to user mode, through the trampoline."""
    KASSERT(CPU.rflags_if, "user mode without interrupts")
    _to_user_root()
    CPU.user_mode = True


@atomic
def interrupt_entry() -> u32:
    vector = take_interrupt()
    if pti and CPU.user_mode:
        _to_kernel_root()
    return vector


@atomic
def doreti() -> None:
    if pti and CPU.user_mode:
        _to_user_root()
    iretq()


def apic_vector() -> None:
    """One interrupt, from the gate to IRET."""
    vector = interrupt_entry()
    if vector == IPI_INVLTLB:
        if not pmap_pcid_enabled:
            invltlb_handler()
        elif not invpcid_works:
            invltlb_pcid_handler()
        elif pti:
            invltlb_invpcid_pti_handler()
        else:
            invltlb_invpcid_handler()
    elif vector == IPI_INVLPG:
        if not pmap_pcid_enabled:
            invlpg_handler()
        elif invpcid_works:
            invlpg_invpcid_handler()
        else:
            invlpg_pcid_handler()
    elif vector == IPI_INVLRNG:
        if not pmap_pcid_enabled:
            invlrng_handler()
        elif invpcid_works:
            invlrng_invpcid_handler()
        else:
            invlrng_pcid_handler()
    else:
        panic("vector %d", vector)
    sometimes("an IPI is delivered")
    doreti()
