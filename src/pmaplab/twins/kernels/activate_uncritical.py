"""pmap_activate is no critical section, and no KASSERT tells: the thread can be
preempted in the midst of it, and migrate.
"""

from __future__ import annotations

from pmaplab.kernel_python import KASSERT, sometimes, u32, u64
from pmaplab.kernels.freebsd.amd64.pcpu import PCPU
from pmaplab.kernels.freebsd.amd64.pmap import (
    PMAP_PCID_KERN,
    PMAP_PCID_OVERMAX,
    PMAP_PCID_OVERMAX_KERN,
    pmap,
    pmap_activate_sw,
    pmap_pcid_next_gen,
    pti,
)
from pmaplab.kernels.freebsd.sys.proc import thread
from pmaplab.machine.x86_64 import CR3_PCID_SAVE


def pmap_activate(td: thread) -> None:
    pmap_activate_sw(td)


def pmap_pcid_alloc(pm: pmap, cpuid: u32) -> u64:
    """CR3_PCID_SAVE when the CPU may still hold translations of the pmap's
    PCID, 0 when the PCID was just handed out."""
    gen = PCPU.pcid_gen
    if pm.pm_pcids[cpuid].pm_pcid == PMAP_PCID_KERN:
        return 0 if pti else CR3_PCID_SAVE
    if pm.pm_pcids[cpuid].pm_gen == gen:
        return CR3_PCID_SAVE
    pcid_next = PCPU.pcid_next
    KASSERT(
        (not pti and pcid_next <= PMAP_PCID_OVERMAX)
        or (pti and pcid_next <= PMAP_PCID_OVERMAX_KERN),
        "pcid_next %#x",
        pcid_next,
    )
    if (not pti and pcid_next == PMAP_PCID_OVERMAX) or (
        pti and pcid_next == PMAP_PCID_OVERMAX_KERN
    ):
        new_gen = pmap_pcid_next_gen(gen)
        pcid_next = PMAP_PCID_KERN + 1
        sometimes("a PCID generation rolled over")
    else:
        new_gen = gen
    pm.pm_pcids[cpuid].pm_pcid = pcid_next
    pm.pm_pcids[cpuid].pm_gen = new_gen
    PCPU.pcid_next = pcid_next + 1
    return 0
