"""What became of the mutations of a tree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from rich.text import Text

from pmaplab.errors import Location
from pmaplab.mutate import CAUGHT, INVALID, NO_EFFECT, SURVIVED, UNDECIDED, Outcome
from pmaplab.tree import TreeSpec

_STYLES = {CAUGHT: "green", SURVIVED: "bold red", UNDECIDED: "yellow"}


def mutate_text(tree: TreeSpec, found: Sequence[Outcome], line: Callable[[Location], str]) -> Text:
    """The result of ``pmaplab mutate``; ``line`` gives the text of a line."""
    counts = Counter(each.outcome for each in found)
    result = Text(f"{tree.folder}: {len(found)} mutations: ")
    order = (CAUGHT, SURVIVED, NO_EFFECT, INVALID, UNDECIDED)
    result.append(", ".join(f"{counts[name]} {name}" for name in order if counts[name]) + "\n")
    # What has no effect is shown to be no mistake, and what is no program is none.
    mistakes = counts[CAUGHT] + counts[SURVIVED] + counts[UNDECIDED]
    if mistakes:
        result.append(f"score: {counts[CAUGHT]} of {mistakes} mistakes are caught\n")
    function = ""
    for each in found:
        mutation = each.mutation
        if mutation.function != function:
            function = mutation.function
            result.append(f"\n{function}, {mutation.loc.file}\n", style="bold")
        result.append(f"  {mutation.loc.line:5}  {line(mutation.loc).strip()}\n")
        result.append(f"         {mutation.text()}: ")
        result.append(each.outcome, style=_STYLES.get(each.outcome, "dim"))
        steps = "" if each.steps is None else f", {each.steps} steps"
        where = "" if each.mode is None else f" ({each.scenario}, {each.mode}{steps})"
        result.append(f"{where}: {each.reason}\n")
    return result


def mutate_json(tree: TreeSpec, found: Sequence[Outcome]) -> dict[str, Any]:
    """The result of ``pmaplab mutate`` as JSON."""
    return {
        "tree": tree.folder,
        "patches": list(tree.patches),
        "counts": dict(Counter(each.outcome for each in found)),
        "mutations": [
            {
                "function": each.mutation.function,
                "file": each.mutation.loc.file,
                "line": each.mutation.loc.line,
                "kind": each.mutation.kind,
                "outcome": each.outcome,
                "reason": each.reason,
                "scenario": each.scenario,
                "mode": each.mode,
                "steps": each.steps,
            }
            for each in found
        ],
    }
