"""The twins, and what each of them must come to.

A twin is the kernel that holds (proposal SOUND) with one change, which is a file
of kernels/.  docs/twins.md explains them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from pmaplab.machine.modes import MODES, SC, TSO
from pmaplab.system import Bounds, default_bounds

SOUND: Final = "repaired"
MEMORIES: Final = (SC, TSO)
# Where twins are judged.  Ranges and whole address spaces are invalidated in
# shootdown only, and only there two pages can be in question.
SEARCHES: Final[dict[str, Bounds]] = {
    "activate": default_bounds("activate"),
    "shootdown": replace(default_bounds("shootdown"), processes=1),
}
# The same where one thread is preempted.
PREEMPTED: Final[dict[str, Bounds]] = {
    name: replace(bounds, processes=1, operations=1, preemptions=1)
    for name, bounds in SEARCHES.items()
}
STORE_BUFFER: Final = 1

ALL: Final = tuple(mode.name for mode in MODES)
PCID: Final = tuple(mode.name for mode in MODES if mode.pcid)
PTI_PCID: Final = tuple(mode.name for mode in MODES if mode.pcid and mode.pti)

STALE: Final = "no stale use"


@dataclass(frozen=True, slots=True)
class Violated:
    """A property of which there is a counterexample in each of these modes under
    each of these memory models."""

    property: str
    modes: tuple[str, ...]
    memory: tuple[str, ...] = MEMORIES


@dataclass(frozen=True, slots=True)
class Twin:
    """A change, the scenario in which it is judged, and where it is violated.

    Where ``violated`` says nothing, all properties must hold.  ``preempted``
    says that threads are preempted.
    """

    id: str
    title: str
    scenario: str
    violated: tuple[Violated, ...] = ()
    preempted: bool = False

    @property
    def bounds(self) -> Bounds:
        """Those of its searches, under sc."""
        return (PREEMPTED if self.preempted else SEARCHES)[self.scenario]

    @property
    def file(self) -> str:
        """The name of its file in kernels/."""
        return f"{self.id.replace('-', '_')}.py"

    def expected(self, mode: str, memory: str) -> str | None:
        """The property that must be violated there, or None."""
        for each in self.violated:
            if mode in each.modes and memory in each.memory:
                return each.property
        return None


TWINS: Final[tuple[Twin, ...]] = (
    Twin(
        "curpmap-stored-late",
        "interrupts are enabled between the load of %cr3 and the store to curpmap",
        "shootdown",
        (Violated(STALE, ("pcid", "pcid+pti")),),
    ),
    Twin(
        "pm-gen-without-fence",
        "no fence between the stores to pm_gen and the load of pm_active",
        "shootdown",
        (Violated(STALE, PCID, (TSO,)),),
    ),
    Twin(
        "pm-active-set-late",
        "the CPU's bit in pm_active is set after %cr3 is loaded",
        "activate",
        (Violated("pm_active", ALL),),
    ),
    Twin(
        "pm-active-cleared-early",
        "the CPU's bit in the old pmap's pm_active is cleared before %cr3 is loaded",
        "activate",
        (Violated("pm_active", ALL),),
    ),
    Twin(
        "pm-gen-of-others-kept",
        "pm_gen is not cleared for other CPUs",
        "shootdown",
        (Violated(STALE, PCID),),
    ),
    Twin(
        "no-local-flush",
        "the running CPU is not flushed",
        "activate",
        (Violated(STALE, ALL),),
    ),
    Twin(
        "pcid-gen-kept",
        "the generation of PCIDs stays the same at roll-over",
        "activate",
        (Violated("PCID", PCID),),
    ),
    Twin(
        "bit-63-for-new-pcid",
        "bit 63 of %cr3 is set for a PCID that was just handed out",
        "activate",
        (Violated(STALE, PCID),),
    ),
    Twin(
        "user-pcid-kept-by-activation",
        "under PTI, a user PCID that was just handed out is not flushed",
        "activate",
        (Violated(STALE, PTI_PCID),),
    ),
    Twin(
        "user-pcid-kept-by-invalidation",
        "under PTI, a page is not flushed from the running CPU's user PCID",
        "activate",
        (Violated(STALE, PTI_PCID),),
    ),
    Twin(
        "acknowledged-unread",
        "a shootdown is acknowledged before its request is read",
        "shootdown",
        (Violated(STALE, ALL),),
    ),
    Twin(
        "interrupts-disabled",
        "a shootdown is sent with interrupts disabled, and no panic tells",
        "shootdown",
        (Violated("progress", ALL),),
    ),
    Twin(
        "pcid-alloc-interrupted",
        "a PCID is chosen before interrupts are disabled, as in August 2018",
        "activate",
        (Violated(STALE, ("pcid", "pcid+invpcid")),),
    ),
    Twin(
        "acknowledged-unflushed",
        "a shootdown is acknowledged when its request is read, and flushed then",
        "shootdown",
    ),
    Twin(
        "kernel-pmap-refilled",
        "kernel_pmap's set is filled again after the activation in pmap_pinit0",
        "activate",
    ),
    Twin(
        "invpcid-of-curpmap-only",
        "with INVPCID too, pmaps that are not active are left to pm_gen",
        "shootdown",
    ),
    Twin(
        "invalidate-unpinned",
        "an invalidation is not pinned",
        "activate",
        (Violated(STALE, ALL),),
        preempted=True,
    ),
    Twin(
        "activate-uncritical",
        "pmap_activate is no critical section, and no KASSERT tells",
        "activate",
        (Violated("pm_active", ALL),),
        preempted=True,
    ),
    Twin(
        "activate-pinned",
        "pmap_activate is pinned, but no critical section, and no KASSERT tells",
        "activate",
        (Violated("curpmap", tuple(m for m in ALL if m not in ("pcid", "pcid+invpcid"))),),
        preempted=True,
    ),
    Twin(
        "context-uncritical",
        "the own PCID is read and flushed outside of a critical section",
        "shootdown",
        (Violated("curpmap", ("pcid+pti",)),),
        preempted=True,
    ),
)
