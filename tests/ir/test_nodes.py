"""What a program says of itself."""

from __future__ import annotations

from pmaplab.ir.nodes import INTERRUPT, THREAD, Agent, Invariant, Program


def test_who_begins_and_who_looks() -> None:
    program = Program(
        structs={},
        globals={},
        functions={},
        agents=(Agent("t", 0, THREAD, "run"), Agent("i", 0, INTERRUPT, "handle")),
        invariants=(Invariant("p", "check"), Invariant("", "watch")),
        exempt_when={"in f": "exempt_0"},
    )
    assert program.entries == ("run", "handle")
    assert program.observers == ("check", "watch", "exempt_0")
