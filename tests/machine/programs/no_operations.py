"""CPUs that do nothing by themselves: the tests call the machine's functions.

Beside these there is what invalidates nothing.
"""

from __future__ import annotations

from pmaplab.kernel_python import (
    atomic,
    atomic_add_int,
    atomic_thread_fence_seq_cst,
    static,
    thread_context,
    u32,
)


class Cell:
    value: u32


shared: Cell = static()


@thread_context
def cpu_main() -> None:
    pass


@atomic
def mfence() -> None:
    atomic_thread_fence_seq_cst()


@atomic
def locked_add() -> None:
    atomic_add_int(shared.value, 1)
