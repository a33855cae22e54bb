"""pm_gen is cleared for the running CPU only."""

from __future__ import annotations

from pmaplab.kernel_python import atomic_thread_fence_seq_cst
from pmaplab.kernels.freebsd.amd64.pcpu import PCPU
from pmaplab.kernels.freebsd.amd64.pmap import pmap


def pmap_invalidate_gens(pm: pmap) -> None:
    if PCPU.curpmap != pm:
        pm.pm_pcids[PCPU.cpuid].pm_gen = 0
    atomic_thread_fence_seq_cst()
