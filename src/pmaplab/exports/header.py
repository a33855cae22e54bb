"""What the header of an exported file says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from pmaplab.exports.names import one_line
from pmaplab.exports.steps import StepSystem


@dataclass(frozen=True)
class About:
    """``title`` and ``lines`` say what the system is; ``expected`` what is
    known of the result."""

    title: str
    lines: tuple[str, ...] = ()
    expected: tuple[str, ...] = ()


@dataclass(frozen=True)
class Header:
    """``verify`` are the commands that check the file, ``notes`` what to know
    about the result, ``left_out`` what was not exported."""

    about: About
    verify: Sequence[str]
    notes: Sequence[str]
    left_out: Sequence[str] = field(default=())

    def lines(self, system: StepSystem) -> Iterator[str]:
        yield f"{self.about.title}, exported by pmaplab export"
        yield ""
        for line in self.about.lines:
            yield line
        yield f"agents: {', '.join(agent.name for agent in system.agents)}"
        properties = list(
            dict.fromkeys(judge.property for judge in system.judges if judge.property)
        )
        yield f"properties: {', '.join(['assertions', *properties])}"
        yield ""
        yield "To verify, with all reductions off:"
        for line in self.verify:
            yield f"    {line}"
        yield ""
        for line in self.about.expected:
            yield f"Expected: {line}"
        for line in self.notes:
            yield line
        yield ""
        yield "Not exported:"
        for line in self.left_out:
            yield f"  - {line}"


def comment(lines: Iterator[str]) -> Iterator[str]:
    """As a C comment."""
    yield "/*"
    for line in lines:
        yield f" * {one_line(line)}".rstrip()
    yield " */"


PROGRESS_LEFT_OUT = (
    "progress (a CPU with work left that no future lets move): that every state has such a "
    "future is no safety property"
)
QUIET_LEFT_OUT = "console output, statistics counters and the messages' arguments"


def reach_lines(system: StepSystem) -> Iterator[str]:
    """The labels that a search has to pass, or its verdict is vacuous."""
    if system.must_reach:
        yield f"vacuous unless all of these are reached: {', '.join(system.must_reach)}"
