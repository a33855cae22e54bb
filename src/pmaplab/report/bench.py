"""Measurements, as text and as JSON data."""

from __future__ import annotations

from typing import Any

from pmaplab.bench.measure import Bench, Row, rate


def bench_json(bench: Bench) -> dict[str, Any]:
    """JSON data; docs/exports.md has the schema."""
    return {
        "machine": {"processor": bench.machine, "cores": bench.cores},
        "limit_inserts_per_s": bench.limit,
        "systems": [_system(row) for row in bench.rows],
    }


def _system(row: Row) -> dict[str, Any]:
    reference = next(iter(row.found.values()), None)
    return {
        "name": row.name,
        "states": reference and reference.states,
        "transitions": reference and reference.transitions,
        "tools": {
            name: {
                "seconds": found.seconds,
                "compile_seconds": found.compile_seconds,
                "transitions_per_s": rate(found),
                "bytes_per_state": found.bytes_per_state,
                "verdict": found.verdict,
            }
            for name, found in row.found.items()
        },
        "absent": row.absent,
        "disagreements": row.disagreements,
        "ratios": row.ratios,
    }


def bench_text(bench: Bench) -> str:
    """A table for each system."""
    lines = [f"{bench.machine}, {bench.cores} cores"]
    if bench.limit is None:
        lines.append("the machine's limit could not be measured")
    else:
        lines.append(f"the machine's limit: {bench.limit:,.0f} random inserts/s into 1 GiB")
    for row in bench.rows:
        lines += ["", row.name]
        lines.append(
            f"  {'tool':15}{'verdict':>10}{'states':>12}{'transitions':>13}{'search s':>10}"
            f"{'compile s':>11}{'states/s':>12}{'trans/s':>12}{'bytes/state':>13}"
        )
        for name, found in row.found.items():
            size = "" if found.bytes_per_state is None else f"{found.bytes_per_state:,.0f}"
            per_second = found.states / max(found.seconds, 1e-9)
            lines.append(
                f"  {name:15}{found.verdict:>10}{found.states:>12,}{found.transitions:>13,}"
                f"{found.seconds:>10.2f}{found.compile_seconds:>11.2f}{per_second:>12,.0f}"
                f"{rate(found):>12,.0f}{size:>13}"
            )
        lines += [f"  {name:15}{reason}" for name, reason in row.absent.items()]
        lines += [f"  DISAGREES  {text}" for text in row.disagreements]
        speed, verdict = row.ratios["transitions_per_s"], row.ratios["to_verdict"]
        if speed is not None and verdict is not None:
            lines.append(
                f"  against the better peer: {speed:.2f} times the transitions/s, "
                f"{verdict:.2f} times as fast to the verdict"
            )
    return "\n".join(lines) + "\n"
