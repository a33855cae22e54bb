"""The names of the reductions, and which of them a search is asked for."""

from __future__ import annotations

import difflib

from pmaplab.errors import UsageError

PARTIAL_ORDER = "partial-order"
REDUCTIONS = (PARTIAL_ORDER,)
ALL, NONE = "all", "none"

Reductions = frozenset[str]


def parse_reductions(text: str) -> Reductions:
    """``all``, ``none``, or names with commas between them; raises UsageError."""
    if text in (ALL, NONE):
        return frozenset(REDUCTIONS if text == ALL else ())
    names = text.split(",")
    for name in names:
        if name not in REDUCTIONS:
            close = difflib.get_close_matches(name, (*REDUCTIONS, ALL, NONE), 1)
            raise UsageError(
                f"there is no reduction {name!r}",
                advice=f"did you mean {close[0]}?"
                if close
                else f"the reductions are {', '.join(REDUCTIONS)}; or {ALL}, or {NONE}",
            )
    return frozenset(names)
