"""The names of the reductions, and which of them a search is asked for."""

from __future__ import annotations

from dataclasses import dataclass

from pmaplab.errors import UsageError, did_you_mean

PARTIAL_ORDER = "partial-order"
REDUCTIONS = (PARTIAL_ORDER,)
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
            raise UsageError(
                f"there is no reduction {name!r}",
                advice=did_you_mean(name, (*REDUCTIONS, AUTO, ALL, NONE))
                or f"the reductions are {', '.join(REDUCTIONS)}; or {AUTO}, {ALL}, {NONE}",
            )
    return Reductions(frozenset(names))
