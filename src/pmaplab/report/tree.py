"""What is in a tree, for a terminal and as JSON."""

from __future__ import annotations

from typing import Any

from rich.text import Text

from pmaplab.frontends.kernel_c.survey import Survey
from pmaplab.tree import TreeSpec


def tree_text(spec: TreeSpec, found: Survey) -> Text:
    """The result of ``pmaplab tree``."""
    result = Text(f"{spec.folder}: FreeBSD {found.release}, amd64\n")
    for patch in spec.patches:
        result.append(f"patched with {patch}\n")
    result.append(f"modes: {', '.join(found.modes)}\n")
    if found.absent_modes:
        result.append(f"modes that this release does not have: {', '.join(found.absent_modes)}\n")
    supported = {n: p for n, p in found.functions.items() if n not in found.problems}
    _heading(result, f"from the tree ({len(supported)} functions)")
    width = max(map(len, supported), default=0)
    for name, place in sorted(supported.items(), key=lambda item: _order(item[1])):
        result.append(f"  {name:{width}}  {place.rsplit(':', 1)[0]}\n")
    if found.ifuncs:
        _heading(result, "indirect functions, by mode")
        for name, by_mode in sorted(found.ifuncs.items()):
            result.append(f"  {name}\n")
            for mode, chosen in by_mode.items():
                result.append(f"    {mode}: {chosen}\n")
    for heading, table in (
        ("modelled by hand", found.modelled),
        ("calls that are left out", found.dropped),
        ("left out of the model", found.outside),
    ):
        _heading(result, heading)
        for reason, names in by_reason(table).items():
            result.append(f"  {reason}: ", style="dim").append(f"{', '.join(names)}\n")
    for header in found.missing:
        result.append(f"\nmissing header, taken as empty: {header}\n", style="yellow")
    if found.problems:
        _heading(result, f"not supported ({len(found.problems)} functions)")
        for name, error in sorted(found.problems.items()):
            result.append(f"  {name}\n", style="yellow")
            result.append("".join(f"    {line}\n" for line in str(error).split("\n")))
    return result


def _heading(result: Text, text: str) -> None:
    result.append(f"\n{text}\n", style="bold")


def _order(place: str) -> tuple[str, int]:
    file, line, _ = place.rsplit(":", 2)
    return file, int(line)


def by_reason(table: dict[str, str]) -> dict[str, list[str]]:
    """The names of a table for each of its reasons."""
    result: dict[str, list[str]] = {}
    for name, reason in sorted(table.items()):
        result.setdefault(reason, []).append(name)
    return result


def tree_json(spec: TreeSpec, found: Survey) -> dict[str, Any]:
    """The result of ``pmaplab tree`` as JSON."""
    return {
        "tree": spec.folder,
        "patches": list(spec.patches),
        "release": found.release,
        "modes": found.modes,
        "absent_modes": found.absent_modes,
        "functions": [
            {"name": n, "file": p.rsplit(":", 2)[0], "line": int(p.rsplit(":", 2)[1])}
            for n, p in sorted(found.functions.items())
            if n not in found.problems
        ],
        "indirect": found.ifuncs,
        "modelled": found.modelled,
        "dropped": found.dropped,
        "outside": found.outside,
        "missing_headers": list(found.missing),
        "unsupported": [
            {
                "name": name,
                "message": error.message,
                "file": error.location.file if error.location else None,
                "line": error.location.line if error.location else None,
                "column": error.location.column if error.location else None,
                "advice": error.advice,
            }
            for name, error in sorted(found.problems.items())
        ],
    }
