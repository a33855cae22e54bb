"""Values of cells as a kernel developer writes them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from pmaplab.ir.layout import Cell, Layout
from pmaplab.ir.types import Array, Int, Pointer, Struct, Type
from pmaplab.machine.store_buffer import BUFFERS

ALL_ONES = 0xFFFFFFFFFFFFFFFF
CR3_PCID_MASK = 0xFFF
CR3_PCID_SAVE = 1 << 63
# From here on a number is an address or a mask rather than a count.
LEAST_HEX = 0x1000

# Fields that hold a root, and those of them that also carry a PCID.
_ROOTS = {"pm_cr3", "pm_ucr3", "pm_pml4", "pm_pml4u"}
_CR3 = {"cr3", "kcr3", "ucr3"}
# Ghosts, for properties only.
_GHOSTS = {"cr3_loaded"}
_NAMED = {
    "pm_pcid": {0xFFFFFFFF: "PMAP_PCID_NONE"},
    "td_state": {
        0: "TDS_INACTIVE",
        1: "TDS_INHIBITED",
        2: "TDS_CAN_RUN",
        3: "TDS_RUNQ",
        4: "TDS_RUNNING",
    },
}
_FLAGS = {"cr4": ((1 << 7, "CR4_PGE"), (1 << 17, "CR4_PCIDE"))}
_FIELD = re.compile(r"(\w+)(?:\[\d+\])*$")
_SET = re.compile(r"^(.*)\.__bits\[(\d+)\]$")


@dataclass
class Values:
    """Renders the cells of one program.

    ``pcid`` says whether the mode uses PCIDs, so that PCID 0 is worth naming.
    """

    layout: Layout
    pcid: bool
    _objects: dict[tuple[int, Type], str] = field(default_factory=dict)
    _roots: dict[int, str] = field(default_factory=dict)
    _words: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for declaration in self.layout.program.globals.values():
            base = self.layout.bases[declaration.name]
            for place, name, kind in self._below(base, declaration.name, declaration.type):
                self._objects[place, kind] = name
        initial = self.layout.initial()
        for cell in self.layout.cells:
            if match := _SET.match(cell.name):
                self._words[match[1]] = self._words.get(match[1], 0) + 1
            elif field_of(cell.name) in ("pm_pml4", "pm_pml4u") and initial[cell.index]:
                self._roots.setdefault(initial[cell.index], cell.name)
        for root, name in self._roots.items():
            if name == "kernel_pmap.pm_pml4":
                self._roots[root] = "KPML4phys"

    def _below(self, place: int, name: str, kind: Type) -> Iterator[tuple[int, str, Type]]:
        """``name`` and every object inside it."""
        yield place, name, kind
        match kind:
            case Struct(name=struct):
                for member, inner in self.layout.program.structs[struct].fields:
                    offset = self.layout.offsets[struct, member]
                    yield from self._below(place + offset, f"{name}.{member}", inner)
            case Array(element=element, length=length):
                size = self.layout.size_of(element)
                for index in range(length):
                    yield from self._below(place + index * size, f"{name}[{index}]", element)

    def shown(self, cell: Cell) -> bool:
        """Whether a change of the cell belongs into a trace as it is."""
        return field_of(cell.name) not in _GHOSTS and not cell.name.startswith(f"{BUFFERS}[")

    def name(self, cell: Cell) -> str:
        """The cell's name; a set of CPUs of one word goes by the set's name."""
        match = _SET.match(cell.name)
        return match[1] if match and self._words[match[1]] == 1 else cell.name

    def value(self, cell: Cell, value: int) -> str:
        """``value``, which the cell holds."""
        kind, member = cell.type, field_of(cell.name)
        if isinstance(kind, Pointer):
            return self._pointer(kind, value)
        if match := _SET.match(cell.name):
            return cpu_set(value, 64 * int(match[2]))
        if member in _CR3 or member in _ROOTS:
            return self._cr3(value, with_pcid=member in _CR3)
        if member in _FLAGS:
            return _flags(value, member)
        if kind.bits == 1:
            return "true" if value else "false"
        return _NAMED.get(member, {}).get(value) or _integer(kind, value)

    def _pointer(self, kind: Pointer, value: int) -> str:
        if value == 0:
            return "NULL"
        return self._objects.get((value, kind.target)) or f"cell {value}"

    def _cr3(self, value: int, *, with_pcid: bool) -> str:
        if value == ALL_ONES:
            return "PMAP_NO_CR3"
        root = value & ~(CR3_PCID_SAVE | CR3_PCID_MASK)
        if root == 0:
            return f"{value:#x}" if value else "0"
        name = self._roots.get(root) or f"{root:#x}"
        pcid = value & CR3_PCID_MASK
        if with_pcid and (pcid or self.pcid):
            name += f", PCID {_integer(Int(12), pcid) if pcid < 0x800 else hex(pcid)}"
        return f"{name}, keep" if value & CR3_PCID_SAVE else name


def field_of(name: str) -> str:
    """The last member of a cell's name: ``pm_pcid`` of ``a[1].pm_pcids[0].pm_pcid``."""
    match = _FIELD.search(name)
    return match[1] if match else name


def cpu_set(word: int, first: int = 0) -> str:
    """The CPUs of one word of a set, ``{0, 2-5}``; its lowest bit is ``first``."""
    ranges: list[str] = []
    cpu = 0
    while word >> cpu:
        if not word >> cpu & 1:
            cpu += 1
            continue
        start = cpu
        while word >> cpu & 1:
            cpu += 1
        if cpu - start < 3:
            ranges += [str(first + number) for number in range(start, cpu)]
        else:
            ranges.append(f"{first + start}-{first + cpu - 1}")
    return "{" + ", ".join(ranges) + "}"


def _flags(value: int, member: str) -> str:
    names = []
    for bit, name in _FLAGS[member]:
        if value & bit:
            names.append(name)
            value &= ~bit
    if value:
        names.append(f"{value:#x}")
    return "|".join(names) or "0"


def _integer(kind: Int, value: int) -> str:
    if kind.signed or value < LEAST_HEX:
        return str(value)
    return f"{value:#x}"
