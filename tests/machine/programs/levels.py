"""levels: what can come between two steps of a kernel function, for each way of
protecting it.

Every CPU works on a cell of its own, switches threads and interrupts the other
CPU; the function that works, ``work``, is that of the kernel.
"""

from __future__ import annotations

from typing import Annotated

from pmaplab.kernel_python import (
    assume,
    atomic,
    atomic_thread_fence_seq_cst,
    bring_up_context,
    choose,
    interrupt_context,
    option,
    own,
    sometimes,
    static,
    this_cpu,
    thread_context,
    u32,
)
from pmaplab.kernels.freebsd.amd64.pcpu import PCPU
from pmaplab.kernels.freebsd.kern.sched_ule import mi_switch
from pmaplab.machine.local_apic import iretq, lapic_ipi, take_interrupt
from pmaplab.scenarios.operations import OPERATIONS
from pmaplab.scenarios.power_on import bring_up


class Cell:
    taken: bool


cells: Annotated[list[Cell], option("mp_ncpus")] = static()
CELL: Cell = own(cells)


@atomic
def take(cpu: u32) -> None:
    atomic_thread_fence_seq_cst()
    if cells[cpu].taken:
        sometimes("another thread comes in between")
    cells[cpu].taken = True


@atomic
def leave(cpu: u32) -> None:
    atomic_thread_fence_seq_cst()
    if cpu != this_cpu():
        sometimes("the thread goes on on another CPU")
    cells[cpu].taken = False


@atomic
def choose_step() -> u32:
    step = choose(3)
    assume(step == 1 or PCPU.curthread != PCPU.idlethread)
    return step


def thread_operation() -> None:
    step = choose_step()
    if step == 0:
        work()  # type: ignore[name-defined]  # noqa: F821
    elif step == 1:
        mi_switch()
    else:
        lapic_ipi(1 - this_cpu(), 0)


@bring_up_context
def cpu_bring_up() -> None:
    bring_up()


@thread_context
def cpu_main() -> None:
    for _ in range(OPERATIONS):
        thread_operation()


@interrupt_context
def cpu_interrupt() -> None:
    take_interrupt()
    if CELL.taken:
        sometimes("an interrupt comes in between")
    iretq()
