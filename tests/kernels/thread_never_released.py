# violated: progress (has work left and can never go on) in nopcid, pcid+pti
# holds:
# run: switch
"""The old thread is not released after a switch: whoever takes it waits for ever."""

from __future__ import annotations

from pmaplab.kernels.freebsd.amd64.cpu_switch import sw1
from pmaplab.kernels.freebsd.amd64.pmap import pmap_activate_sw
from pmaplab.kernels.freebsd.sys.mutex import mtx
from pmaplab.kernels.freebsd.sys.proc import thread


def cpu_switch(old: thread, new: thread, lock: mtx) -> None:
    pmap_activate_sw(new)
    sw1(new)
