"""The names of the reductions, and which of them a search is asked for."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from pmaplab.errors import UsageError

PARTIAL_ORDER = "partial-order"
SYMMETRY = "symmetry"
REDUCTIONS = (PARTIAL_ORDER, SYMMETRY)
AUTO, ALL, NONE = "auto", "all", "none"

# A search of fewer states is done before a reduction has been prepared.
WORTH = 10_000_000


@dataclass(frozen=True, slots=True)
class Reductions:
    """The reductions by name, for searches of more than ``beyond`` states without."""

    names: frozenset[str] = frozenset()
    beyond: int = 0


NO_REDUCTIONS = Reductions()


def parse_reductions(text: str) -> Reductions:
    """``auto`` (all where it is worth it), ``all``, ``none``, or names with commas
    between them; raises UsageError."""
    if text == AUTO:
        return Reductions(frozenset(REDUCTIONS), WORTH)
    if text in (ALL, NONE):
        return Reductions(frozenset(REDUCTIONS if text == ALL else ()))
    names = text.split(",")
    for name in names:
        if name not in REDUCTIONS:
            close = difflib.get_close_matches(name, (*REDUCTIONS, AUTO, ALL, NONE), 1)
            raise UsageError(
                f"there is no reduction {name!r}",
                advice=f"did you mean {close[0]}?"
                if close
                else f"the reductions are {', '.join(REDUCTIONS)}; or {AUTO}, {ALL}, {NONE}",
            )
    return Reductions(frozenset(names))
