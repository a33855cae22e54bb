"""What waits in the store buffers of a state, as a trace shows it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from pmaplab.ir.layout import Cell
from pmaplab.ir.types import Int
from pmaplab.machine.store_buffer import BUFFERS
from pmaplab.search.interpreter import State
from pmaplab.trace.values import Values


@dataclass
class BufferedStores:
    """Reads the store buffers of one program; it may have none."""

    values: Values
    _cells: dict[int, Cell] = field(default_factory=dict)
    _places: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for cell in self.values.layout.cells:
            self._cells[cell.index] = cell
            if cell.name.startswith(f"{BUFFERS}["):
                self._places[cell.name] = cell.index

    def _read(self, state: State, path: str) -> int:
        index = self._places.get(f"{BUFFERS}{path}")
        return 0 if index is None else state[index]

    def count(self, state: State, cpu: int) -> int:
        """How many stores wait in the buffer of ``cpu``."""
        return self._read(state, f"[{cpu}].count")

    def text(self, state: State, cpu: int) -> str:
        """The stores that wait, the oldest first."""
        stores = []
        for number in range(self.count(state, cpu)):
            entry = f"[{cpu}].entries[{number}]"
            cell = self._cells[self._read(state, f"{entry}.address")]
            value = self._read(state, f"{entry}.value")
            if isinstance(cell.type, Int) and value > cell.type.maximum:
                value -= 1 << 64  # it was negative
            stores.append(f"{self.values.name(cell)} = {self.values.value(cell, value)}")
        return "; ".join(stores) or "empty"

    def changes(self, old: State, new: State) -> Iterator[tuple[str, str, str]]:
        """The buffers that a step has changed: name, old and new content."""
        for cpu in range(self.values.layout.program.cpus):
            before, after = self.text(old, cpu), self.text(new, cpu)
            if before != after or self.count(old, cpu) != self.count(new, cpu):
                yield f"{BUFFERS}[{cpu}]", before, after
