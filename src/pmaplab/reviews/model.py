"""A review as data: proposals, and what was claimed about them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from pmaplab.machine.modes import MODES

Kind = Literal["stated", "derived"]

NOPCID = ("nopcid", "nopcid+pti")
PCID = ("pcid", "pcid+invpcid", "pcid+pti", "pcid+invpcid+pti")
ALL = tuple(mode.name for mode in MODES)


@dataclass(frozen=True, slots=True)
class Figure:
    """A sysctl after boot is ``law(cpus, maxcpu)`` in each of ``modes``."""

    sysctl: str
    modes: tuple[str, ...]
    law: Callable[[int, int], int]


@dataclass(frozen=True, slots=True)
class Verdict:
    """A property (None: all together) has ``expected`` as its verdict."""

    property: str | None
    modes: tuple[str, ...]
    expected: str


@dataclass(frozen=True, slots=True)
class Reached:
    """Some reachable state, or none, passes sometimes(``label``)."""

    label: str
    modes: tuple[str, ...]
    expected: bool


@dataclass(frozen=True, slots=True)
class SameAtRest:
    """The states of boot in which all CPUs are at rest are those of ``other``."""

    other: str
    modes: tuple[str, ...] = ALL


@dataclass(frozen=True, slots=True)
class SameResults:
    """Every property has the verdict, and the sysctl the value, as in ``other``."""

    other: str
    sysctl: str
    modes: tuple[str, ...] = ALL


Measure = Figure | Verdict | Reached | SameAtRest | SameResults


@dataclass(frozen=True, slots=True)
class Claim:
    """One claim.  ``of`` names the kernel that it is measured on, where that
    is not the proposal itself."""

    text: str
    kind: Kind
    measure: Measure
    of: str | None = None


@dataclass(frozen=True, slots=True)
class Proposal:
    """A change to the kernel: kernel Python files, applied in order after those
    of ``base``.  ``where`` says where in the discussion it stands; a proposal
    without claims and with ``hidden`` set serves others' claims only."""

    id: str
    title: str
    where: str
    base: str | None
    files: tuple[str, ...]
    claims: tuple[Claim, ...]
    hidden: bool = False


@dataclass(frozen=True, slots=True)
class Review:
    """``folder`` lies below pmaplab/reviews; ``observers`` is a module there."""

    id: str
    title: str
    folder: str
    observers: str
    proposals: tuple[Proposal, ...]

    def chain(self, proposal: Proposal) -> tuple[str, ...]:
        """The files of the proposal and of all that it stands on, in order."""
        if proposal.base is None:
            return proposal.files
        base = next(p for p in self.proposals if p.id == proposal.base)
        return (*self.chain(base), *proposal.files)
