"""The results of litmus tests, in herd7's manner and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pmaplab.frontends.litmus.model import LitmusTest
from pmaplab.litmus import Outcome
from pmaplab.report.verdict import counted

LEFT_OUT = "they can fill, which leaves out behaviours of x86-TSO"


def litmus_text(outcomes: Sequence[Outcome]) -> str:
    """One paragraph a test, and a summary of several."""
    parts = ["".join(f"{line}\n" for line in _lines(outcome)) for outcome in outcomes]
    if len(outcomes) > 1:
        parts.append(_summary(outcomes))
    return "\n".join(parts)


def _lines(outcome: Outcome) -> list[str]:
    positive, negative = outcome.positive, outcome.negative
    # Witnesses are for or against the condition, observations of its formula.
    witnesses = (negative, positive) if outcome.kind == "Forbidden" else (positive, negative)
    lines = [
        f"Test {outcome.name} {outcome.kind}",
        f"States {len(outcome.states)}",
        *outcome.states,
        "Unknown" if outcome.validated is None else "Ok" if outcome.validated else "No",
        "Witnesses",
        f"Positive: {witnesses[0]} Negative: {witnesses[1]}",
        f"Condition {outcome.condition}",
        f"Observation {outcome.name} {outcome.observation} {positive} {negative}",
        f"Memory {_memory(outcome)}",
    ]
    if not outcome.states and outcome.stopped is None:
        lines.append("No run ends in a state that counts")
    if outcome.stopped is not None:
        lines.append(f"Incomplete: {outcome.stopped}")
    if outcome.published is not None:
        words = {True: "agrees", False: "DISAGREES", None: "undecided"}
        lines.append(f"Published {outcome.published}: {words[outcome.agrees]}")
    return lines


def _memory(outcome: Outcome) -> str:
    if outcome.store_buffer is None:
        return outcome.memory
    noun = "entry" if outcome.store_buffer == 1 else "entries"
    text = f"{outcome.memory}, store buffers of {outcome.store_buffer} {noun}"
    return f"{text}: {LEFT_OUT}" if outcome.full else text


def _summary(outcomes: Sequence[Outcome]) -> str:
    agree = sum(outcome.agrees is True for outcome in outcomes)
    disagree = [outcome.name for outcome in outcomes if outcome.agrees is False]
    without = sum(outcome.published is None for outcome in outcomes)
    incomplete = sum(outcome.stopped is not None for outcome in outcomes)
    parts = [f"{agree} agree with the published verdict, {len(disagree)} disagree"]
    parts += [f"{without} have none"] if without else []
    parts += [f"{incomplete} incomplete"] if incomplete else []
    lines = [f"{counted(len(outcomes), 'test')}: {', '.join(parts)}"]
    lines += [f"disagrees: {name}" for name in disagree]
    return "".join(f"{line}\n" for line in lines)


def litmus_json(tests: Sequence[LitmusTest], outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The results of ``pmaplab litmus``; ``states`` counts ``final_states``."""
    return {
        "results": [
            {
                "name": outcome.name,
                "file": test.loc.file,
                "line": test.loc.line,
                "published": outcome.published,
                "reachable": outcome.reachable,
                "agrees": outcome.agrees,
                "states": len(outcome.states),
                "final_states": list(outcome.states),
                "condition": outcome.condition,
                "validated": outcome.validated,
                "observation": outcome.observation,
                "positive": outcome.positive,
                "negative": outcome.negative,
                "memory": outcome.memory,
                "store_buffer": outcome.store_buffer,
                "buffers_fill": outcome.full,
                "explored": outcome.explored,
                "stopped": outcome.stopped,
            }
            for test, outcome in zip(tests, outcomes, strict=True)
        ]
    }
