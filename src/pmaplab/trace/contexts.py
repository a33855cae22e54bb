"""Which CPU an agent runs on, where threads migrate (machine/preemption.py)."""

from __future__ import annotations

from dataclasses import dataclass

from pmaplab.ir.layout import Layout
from pmaplab.ir.nodes import Call, Instruction, Load, ThisCpu
from pmaplab.ir.walk import with_expressions
from pmaplab.machine.interrupts import INTERRUPTED
from pmaplab.machine.preemption import ASK, CONTEXTS, FIELD, HERE, LAST, contexts_of
from pmaplab.search.interpreter import State


@dataclass(frozen=True)
class RunningOn:
    """Reads the CPUs of contexts; in other programs these are the agents'."""

    layout: Layout

    def cpu(self, number: int, *states: State) -> int:
        """The CPU of the agents with the number ``number``, in the first of
        ``states`` in which there is one; else the one on which the thread was."""
        cpus = contexts_of(self.layout.program)
        if cpus is None:
            return number
        cell = self.layout.address(CONTEXTS, f"[{number}].{FIELD}")
        found = [state[cell] for state in states if state[cell] < cpus]
        last = self.layout.address(CONTEXTS, f"[{number}].{LAST}")
        return found[0] if found else states[-1][last]

    def as_written(self, item: Instruction) -> Instruction | None:
        """``item`` as it was before threads migrated; None for what was added."""
        if contexts_of(self.layout.program) is None:
            return item
        if isinstance(item, Load) and item.target in (HERE.name, INTERRUPTED):
            return None
        if isinstance(item, Call) and item.function == ASK:
            return None
        return with_expressions(item, lambda expr: ThisCpu() if expr == HERE else expr)
