"""The names of the reductions, and which of them a search is asked for."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pmaplab.errors import UsageError, did_you_mean
from pmaplab.ir.nodes import PROGRAM_REDUCTIONS
from pmaplab.pcids import PCIDS

PARTIAL_ORDER = "partial-order"
SYMMETRY = "symmetry"
SEARCH_REDUCTIONS = (PARTIAL_ORDER, SYMMETRY)
REDUCTIONS = (*PROGRAM_REDUCTIONS, PCIDS, *SEARCH_REDUCTIONS)
AUTO, ALL, NONE = "auto", "all", "none"
# Before a name: all but this one.
NOT = "no-"

# A search of fewer states is done before a reduction has been prepared.
WORTH = 10_000_000


@dataclass(frozen=True, slots=True)
class Reductions:
    """Reductions of a search by name, where it has more than ``beyond`` states without."""

    names: frozenset[str] = frozenset()
    beyond: int = 0


NO_REDUCTIONS = Reductions()


class FailureFoundError(Exception):
    """Something fails: to be searched again without a reduction."""


class FailureKnownError(FailureFoundError):
    """Something fails, as is known before a search."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """``without`` are the reductions that programs are made without, ``search`` those of
    searches; ``pcids`` says whether PCIDs are forgotten where operations have no end."""

    without: tuple[str, ...] = ()
    search: Reductions = NO_REDUCTIONS
    pcids: bool = True

    def but(self, name: str) -> Chosen:
        """All but one of them."""
        if name in PROGRAM_REDUCTIONS:
            without = (each for each in PROGRAM_REDUCTIONS if each in (*self.without, name))
            return replace(self, without=tuple(without))
        if name == PCIDS:
            return replace(self, pcids=False)
        return replace(self, search=replace(self.search, names=self.search.names - {name}))


def parse_reductions(text: str) -> Chosen:
    """``auto`` (those of searches only where it is worth it), ``all``, ``none``, or names
    with commas between them; a name behind ``no-`` is left out, of all if nothing else is
    named.  Raises UsageError."""
    words = text.split(",")
    left_out = [word.removeprefix(NOT) for word in words if word.startswith(NOT)]
    named = [word for word in words if not word.startswith(NOT)]
    beyond = 0
    if named in ([], [AUTO], [ALL]):
        beyond = 0 if named == [ALL] else WORTH
        chosen = set(REDUCTIONS)
    else:
        chosen = set() if named == [NONE] else set(named)
    for name in (*chosen, *left_out):
        if name not in REDUCTIONS:
            raise UsageError(
                f"there is no reduction {name!r}",
                advice=did_you_mean(name, (*REDUCTIONS, AUTO, ALL, NONE))
                or f"the reductions are {', '.join(REDUCTIONS)}; or {AUTO}, {ALL}, {NONE}",
            )
    chosen -= set(left_out)
    return Chosen(
        tuple(name for name in PROGRAM_REDUCTIONS if name not in chosen),
        Reductions(frozenset(chosen.intersection(SEARCH_REDUCTIONS)), beyond),
        PCIDS in chosen,
    )
