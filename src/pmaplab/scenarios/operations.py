"""What the CPUs do once they are up: the operations of user threads."""

from __future__ import annotations

from typing import Final

from pmaplab.kernel_python import assume, atomic, choose, option, u32
from pmaplab.kernels.freebsd.amd64.pcpu import PCPU
from pmaplab.kernels.freebsd.kern.kern_exec import exec_new_vmspace, exit1
from pmaplab.kernels.freebsd.kern.sched_ule import mi_switch
from pmaplab.kernels.freebsd.sys.proc import TDP_KTHREAD
from pmaplab.scenarios.generations import own_generation_first

OPERATIONS: Final[u32] = option("operations")
# CPUs do operations without end.
UNBOUNDED: Final[u32] = option("unbounded")

SWITCH: Final[u32] = 0
EXEC: Final[u32] = 1
EXIT: Final[u32] = 2


@atomic
def choose_operation() -> u32:
    """Every thread can be switched away from; a user thread can also exec or
    exit."""
    if UNBOUNDED:
        own_generation_first()
    operation = choose(3)
    assume(operation == SWITCH or PCPU.curthread.td_pflags & TDP_KTHREAD == 0)
    return operation


def run_operation() -> None:
    operation = choose_operation()
    if operation == SWITCH:
        mi_switch()
    elif operation == EXEC:
        exec_new_vmspace()
    else:
        exit1()


def run_operations() -> None:
    if UNBOUNDED:
        while True:
            run_operation()
    else:
        for _ in range(OPERATIONS):
            run_operation()
