"""Results as JSON; docs/json.md describes the schemas."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from pmaplab.report.accepted import Acceptance
from pmaplab.report.verdict import Judged, Verdict
from pmaplab.search.simulate import Run
from pmaplab.spec import RunSpec
from pmaplab.trace.record import Trace
from pmaplab.trace.store import failed_to_json, step_to_json


def dumps(data: dict[str, Any]) -> str:
    """JSON text with a newline at its end."""
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


def check_json(
    verdicts: Sequence[Verdict], absent: Sequence[str] = (), stale: Sequence[Acceptance] = ()
) -> dict[str, Any]:
    """The results of ``pmaplab check``; ``absent`` are modes that a tree does not
    have, ``stale`` accepted findings that were not found."""
    return {
        "results": [_verdict(verdict) for verdict in verdicts],
        "absent_modes": list(absent),
        "stale_accepted": [entry.to_json() for entry in stale],
    }


def _verdict(verdict: Verdict) -> dict[str, Any]:
    spec, trace = verdict.spec, verdict.trace
    return {
        "mode": spec.mode,
        "scenario": spec.scenario,
        "proposal": spec.proposal,
        "kernel": spec.kernel,
        "tree": None if spec.tree is None else asdict(spec.tree),
        "verdict": verdict.verdict,
        "property": verdict.asked if trace is None else trace.property,
        "properties": {judged.name: _judged(judged) for judged in verdict.properties},
        "states": verdict.states,
        "transitions": verdict.transitions,
        "depth": verdict.depth,
        "prefix": verdict.prefix,
        "seconds": round(verdict.seconds, 3),
        "bounds": asdict(spec.bounds),
        "assumptions": list(verdict.assumptions),
        "exemptions": [asdict(exemption) for exemption in verdict.exemptions],
        "unreached": list(verdict.unreached),
        "stopped": verdict.stopped,
        "engine": verdict.engine,
        "build_seconds": round(verdict.build_seconds, 3),
        "note": verdict.note,
        "reductions": list(verdict.reductions),
        "savings": [asdict(saved) for saved in verdict.savings],
        "passed": verdict.passed,
        "images": verdict.images,
        "symmetries": list(verdict.symmetries),
        "told_apart": [
            {
                "kind": told.kind,
                "function": told.function or None,
                "cell": told.cell or None,
                "file": told.loc.file,
                "line": told.loc.line,
            }
            for told in verdict.told_apart
        ],
        "searched_again": verdict.searched_again,
        "broken_facts": list(verdict.broken_facts),
        "looked_at": verdict.looked_at,
        "failed": None if trace is None else failed_to_json(trace.failed),
        "trace": [] if trace is None else [step_to_json(step) for step in trace.steps],
        "from_tree": None if verdict.tree is None else asdict(verdict.tree),
    }


def _judged(judged: Judged) -> dict[str, Any]:
    steps = None if judged.trace is None else len(judged.trace.steps)
    return {"verdict": judged.verdict, "steps": steps, "accepted": accepted_json(judged)}


def accepted_json(judged: Judged) -> dict[str, Any] | None:
    """Why a violation is accepted, and what is known beyond it."""
    known = judged.accepted
    if known is None:
        return None
    return {
        "entry": known.entry.to_json(),
        "places": [{"function": function, "file": file} for function, file in known.places],
        "states": known.states,
        "unchecked": known.unchecked,
    }


def trace_json(traces: Sequence[Trace]) -> dict[str, Any]:
    """The replayed counterexamples of ``pmaplab trace``."""
    return {
        "traces": [
            {
                "mode": trace.spec.mode,
                "scenario": trace.spec.scenario,
                "proposal": trace.spec.proposal,
                "kernel": trace.spec.kernel,
                "bounds": asdict(trace.spec.bounds),
                "property": trace.property,
                "failed": failed_to_json(trace.failed),
                "prefix": trace.prefix,
                "state": [{"cell": cell, "value": value} for cell, value in trace.state],
                "trace": [step_to_json(step) for step in trace.steps],
            }
            for trace in traces
        ]
    }


def boot_json(spec: RunSpec, seed: int | None, run: Run, nodes: Sequence[str]) -> dict[str, Any]:
    """A run of ``pmaplab boot``, with the sysctl ``nodes``."""
    failure = run.failure
    return {
        "proposal": spec.proposal,
        "mode": spec.mode,
        "cpus": spec.bounds.cpus,
        "maxcpu": spec.bounds.maxcpu,
        "seed": seed,
        "console": list(run.console),
        "steps": len(run.moves),
        "switches": list(run.switches),
        "sysctl": {name: run.sysctl(name) for name in nodes},
        "failure": None
        if failure is None
        else {
            "kind": failure.kind,
            "message": failure.message,
            "cpu": run.cpu,
            "function": failure.function,
            "file": failure.loc.file,
            "line": failure.loc.line,
        },
    }
