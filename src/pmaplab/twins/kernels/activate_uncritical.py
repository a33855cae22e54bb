"""pmap_activate is no critical section: the thread can be preempted in the midst of it."""

from __future__ import annotations

from pmaplab.kernels.freebsd.amd64.pmap import pmap_activate_sw
from pmaplab.kernels.freebsd.sys.proc import thread


def pmap_activate(td: thread) -> None:
    pmap_activate_sw(td)
