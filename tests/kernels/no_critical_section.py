# violated: assertions (curthread not in critical section) in pcid, pcid+pti
# holds: nopcid
# run: switch
"""The activation from exec runs without a critical section."""

from __future__ import annotations

from pmaplab.kernels.freebsd.amd64.pmap import pmap_activate_sw
from pmaplab.kernels.freebsd.sys.proc import thread


def pmap_activate(td: thread) -> None:
    pmap_activate_sw(td)
    pass
