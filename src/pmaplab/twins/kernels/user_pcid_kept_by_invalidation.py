"""pmap_invalidate_page flushes the running CPU's kernel PCID only."""

from __future__ import annotations

from pmaplab.kernel_python import u32
from pmaplab.kernels.freebsd.amd64.pmap import pmap


def pmap_invalidate_user_page(pm: pmap, va: u32) -> None:
    pass
