"""CPU 0 works with interrupts enabled, then disabled; CPU 1 interrupts it."""

from __future__ import annotations

from pmaplab.kernel_python import (
    KASSERT,
    assume,
    atomic,
    ia32_pause,
    interrupt_context,
    must_reach,
    sometimes,
    this_cpu,
    thread_context,
    u32,
)
from pmaplab.machine.local_apic import iretq, lapic_ipi, take_interrupt
from pmaplab.machine.x86_64 import CPU, cpus, enable_intr, intr_disable

VECTOR: u32 = 5
count: u32 = 0
inside: u32 = 0
handled: u32 = 0


def shared() -> None:
    """What both contexts run."""
    global count
    count += 1


@atomic
def wait_for_handler() -> None:
    assume(handled == 1)


@thread_context
def cpu_main() -> None:
    global inside
    if this_cpu() == 0:
        enable_intr()
        shared()
        intr_disable()
        inside = 1
        KASSERT(not CPU.in_interrupt, "the thread runs while it is interrupted")
        inside = 0
        enable_intr()
        wait_for_handler()
    else:
        lapic_ipi(0, VECTOR)
        while handled == 0:
            ia32_pause()


@interrupt_context
def cpu_interrupt() -> None:
    global handled
    vector = take_interrupt()
    KASSERT(vector == VECTOR, "vector %d", vector)
    KASSERT(not cpus[0].rflags_if, "an interrupt gate leaves interrupts enabled")
    KASSERT(inside == 0, "taken with interrupts disabled")
    if count == 0:
        sometimes("taken before the thread works")
    else:
        sometimes("taken after the thread has begun")
    shared()
    handled = 1
    iretq()


must_reach("taken before the thread works")
must_reach("taken after the thread has begun")
