"""What became of the mutations of a tree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from rich.text import Text

from pmaplab.errors import Location
from pmaplab.mutate import (
    CAUGHT,
    EQUIVALENT,
    GROUPS,
    OUTCOMES,
    SURVIVED,
    UNDECIDED,
    Baseline,
    Outcome,
    group_of,
    where_of,
)
from pmaplab.spec import RunSpec
from pmaplab.tree import TreeSpec

_STYLES = {CAUGHT: "green", SURVIVED: "bold red", UNDECIDED: "yellow"}


def mutate_text(
    tree: TreeSpec,
    baselines: Sequence[Baseline],
    unusable: Sequence[tuple[RunSpec, str]],
    found: Sequence[Outcome],
    line: Callable[[Location], str],
) -> Text:
    """The result of ``pmaplab mutate``; ``line`` gives the text of a line."""
    counts = Counter(each.outcome for each in found)
    result = Text(f"{tree.folder}: {len(found)} mutations: ")
    result.append(", ".join(f"{counts[name]} {name}" for name in OUTCOMES if counts[name]) + "\n")
    for baseline in baselines:
        if baseline.violated:
            names = ", ".join(sorted(baseline.violated))
            result.append(f"{where_of(baseline.run)}: {names} is violated without any mutation, ")
            result.append("and does not count\n")
    for run, reason in unusable:
        result.append(f"{where_of(run)}: left out: {reason}\n", style="yellow")
    for group, own in by_group(found).items():
        tally = Counter(each.outcome for each in own)
        mistakes = tally[CAUGHT] + tally[SURVIVED] + tally[UNDECIDED]
        result.append(f"{group}: {tally[CAUGHT]} of {mistakes} mistakes are caught", style="bold")
        if mistakes:
            result.append(f" ({100 * tally[CAUGHT] / mistakes:.0f} %)")
        same = sum(each.same_at_rest for each in own)
        if same:
            result.append(f"; {same} of the others leave the same states at rest")
        if tally[EQUIVALENT]:
            result.append(f"; {tally[EQUIVALENT]} more are equivalent")
        result.append("\n")
    function = ""
    for each in found:
        mutation = each.mutation
        if mutation.function != function:
            function = mutation.function
            result.append(f"\n{function}, {mutation.loc.file}\n", style="bold")
        result.append(f"  {mutation.loc.line:5}  {line(mutation.loc).strip()}\n")
        result.append(f"         {mutation.text()}: ")
        result.append(each.outcome, style=_STYLES.get(each.outcome, "dim"))
        if each.run is not None:
            steps = "" if each.steps is None else f", {each.steps} steps"
            result.append(f" ({where_of(each.run)}{steps})")
        elif each.searches:
            result.append(f" ({each.searches} searches)")
        result.append(f": {each.reason}\n")
    return result


def by_group(found: Sequence[Outcome]) -> dict[str, list[Outcome]]:
    """The outcomes of each group, without empty ones."""
    result: dict[str, list[Outcome]] = {group: [] for group in GROUPS}
    for each in found:
        result[group_of(each.mutation.function)].append(each)
    return {group: own for group, own in result.items() if own}


def mutate_json(
    tree: TreeSpec,
    baselines: Sequence[Baseline],
    unusable: Sequence[tuple[RunSpec, str]],
    found: Sequence[Outcome],
) -> dict[str, Any]:
    """The result of ``pmaplab mutate`` as JSON."""
    return {
        "tree": tree.folder,
        "patches": list(tree.patches),
        "runs": [
            {
                **_run(each.run),
                "states": each.found.states,
                "violated_without_mutation": sorted(each.violated),
            }
            for each in baselines
        ],
        "left_out": [{**_run(run), "reason": reason} for run, reason in unusable],
        "counts": dict(Counter(each.outcome for each in found)),
        "groups": {
            group: {
                **Counter(each.outcome for each in own),
                "same at rest": sum(each.same_at_rest for each in own),
            }
            for group, own in by_group(found).items()
        },
        "mutations": [
            {
                "group": group_of(each.mutation.function),
                "function": each.mutation.function,
                "file": each.mutation.loc.file,
                "line": each.mutation.loc.line,
                "kind": each.mutation.kind,
                "outcome": each.outcome,
                "reason": each.reason,
                "searches": each.searches,
                "where": None if each.run is None else _run(each.run),
                "property": each.property,
                "steps": each.steps,
                "same_at_rest": each.same_at_rest,
            }
            for each in found
        ],
    }


def _run(run: RunSpec) -> dict[str, Any]:
    return {"scenario": run.scenario, "mode": run.mode, "bounds": asdict(run.bounds)}
