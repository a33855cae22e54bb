"""Interprocessor interrupts: the local APICs, taking an interrupt, IRET.

Kernel Python.  Each function is one machine event.  Section numbers are those
of the Intel SDM, volume 3A.

A CPU takes a pending interrupt when its interrupt flag is set, on top of
whatever its thread is about to do.  The gates are interrupt gates: the flag is
clear until IRET, so that interrupts do not nest (6.12.1.3).
"""

from __future__ import annotations

from typing import Annotated, Final

from pmaplab.kernel_python import (
    assume,
    atomic,
    atomic_thread_fence_seq_cst,
    ffs,
    own,
    panic,
    static,
    this_cpu,
    u32,
    u64,
)
from pmaplab.machine.x86_64 import CPU, mp_ncpus

# Vectors are numbered from 0 here.
NVECTOR: Final[u32] = 64


class local_apic:
    # The interrupt request register: the vectors that are pending (10.8.4).
    irr: u64


lapics: Annotated[list[local_apic], mp_ncpus] = static()
LAPIC: local_apic = own(lapics)


@atomic
def lapic_ipi(cpu: u32, vector: u32) -> None:
    """A store to the interrupt command register (10.6.1), behind what the CPU
    has stored before: in x2APIC mode the kernel fences, and in xAPIC mode the
    register is uncached.  A vector that is pending already stays so, once."""
    atomic_thread_fence_seq_cst()
    if cpu >= mp_ncpus or cpu == this_cpu():
        panic("there is no IPI to CPU %d", cpu)
    lapics[cpu].irr |= u64(1) << vector


@atomic
def take_interrupt() -> u32:
    """Between two steps of the thread: the vector.  It drains the store buffer
    (11.10)."""
    atomic_thread_fence_seq_cst()
    assume(CPU.rflags_if and LAPIC.irr != 0)
    vector = ffs(LAPIC.irr) - 1
    LAPIC.irr &= ~(u64(1) << vector)
    CPU.rflags_if = False
    CPU.in_interrupt = True
    return vector


@atomic
def iretq() -> None:
    """Back to what was interrupted, which had interrupts enabled.  A
    serializing instruction (8.3)."""
    atomic_thread_fence_seq_cst()
    CPU.in_interrupt = False
    CPU.rflags_if = True
