"""The generation stays the same when the PCIDs start over."""

from __future__ import annotations

from pmaplab.kernel_python import u32


def pmap_pcid_next_gen(gen: u32) -> u32:
    return gen
