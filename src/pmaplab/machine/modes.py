"""The modes: which CPU features the kernel uses, and the memory model."""

from __future__ import annotations

from dataclasses import dataclass

from pmaplab.errors import UsageError, did_you_mean

# The memory models: sequential consistency, and x86-TSO (store buffers).
SC = "sc"
TSO = "tso"


@dataclass(frozen=True, slots=True)
class Mode:
    """CPU features as the kernel's tunables show them.

    ``invpcid`` without ``pcid`` does not occur: the kernel looks for INVPCID
    only when it uses PCIDs.
    """

    pcid: bool
    invpcid: bool
    pti: bool

    @property
    def name(self) -> str:
        parts = ["pcid" if self.pcid else "nopcid"]
        parts += ["invpcid"] if self.invpcid else []
        parts += ["pti"] if self.pti else []
        return "+".join(parts)


MODES: tuple[Mode, ...] = tuple(
    Mode(pcid, invpcid, pti)
    for pti in (False, True)
    for pcid, invpcid in ((False, False), (True, False), (True, True))
)


def find_mode(name: str) -> Mode:
    """The mode called ``name``; raises UsageError for any other name."""
    for mode in MODES:
        if mode.name == name:
            return mode
    names = [mode.name for mode in MODES]
    raise UsageError(
        f"there is no mode {name!r}",
        advice=did_you_mean(name, names) or f"the modes are {', '.join(names)}",
    )
