"""Switching threads: sys/amd64/amd64/cpu_switch.S.

Called with interrupts disabled, since a spin mutex is held.
"""

from __future__ import annotations

from pmaplab.kernel_python import atomic_swap_ptr, ia32_pause, sometimes
from pmaplab.kernels.freebsd.amd64.pcpu import PCPU, TSS
from pmaplab.kernels.freebsd.amd64.pmap import pmap_activate_sw, pti
from pmaplab.kernels.freebsd.sys.mutex import mtx
from pmaplab.kernels.freebsd.sys.proc import blocked_lock, thread


def cpu_throw(new: thread) -> None:
    """The second half of cpu_switch, when nobody cares for the old thread."""
    pmap_activate_sw(new)
    sw1(new)


def cpu_switch(old: thread, new: thread, lock: mtx) -> None:
    pmap_activate_sw(new)
    atomic_swap_ptr(old.td_lock, lock)  # SETLK: release the old thread
    sw1(new)


def sw1(new: thread) -> None:
    # Wait for the new thread to become unblocked.
    while new.td_lock == blocked_lock:
        ia32_pause()
    if not pti:
        TSS.tss_rsp0 = new.td_pcb
    PCPU.rsp0 = new.td_pcb
    PCPU.curthread = new  # into next thread
    sometimes("a switch completed")
