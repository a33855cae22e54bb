"""Marking regions of the source: exemptions, and points that a CPU has passed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pmaplab.errors import InputError, Location
from pmaplab.ir.access import key_of
from pmaplab.ir.callgraph import reachable_functions
from pmaplab.ir.nodes import (
    Block,
    Enter,
    Function,
    Instruction,
    Invariant,
    Leave,
    Program,
    Return,
    Store,
)
from pmaplab.ir.walk import successors
from pmaplab.tomldata import Entry, read_toml

DEFAULT_FILE = Path(__file__).with_name("exemptions.toml")


@dataclass(frozen=True)
class Mark:
    """A point that a CPU has passed for good."""

    name: str
    after: tuple[str, ...]


@dataclass(frozen=True)
class Exemption:
    """Where failures of some invariants do not count; see exemptions.toml."""

    function: str
    invariants: tuple[str, ...]
    reason: str
    from_store: str | None
    until_store: str | None
    when: str | None

    @property
    def region(self) -> str:
        return f"in {self.function}"


@dataclass(frozen=True)
class Regions:
    """The content of one or more exemption files."""

    marks: tuple[Mark, ...]
    exemptions: tuple[Exemption, ...]

    def without(self, invariants: Collection[str]) -> Regions:
        """The same for a system that has none of these invariants."""
        left = [
            replace(e, invariants=tuple(i for i in e.invariants if i not in invariants))
            for e in self.exemptions
        ]
        return replace(self, exemptions=tuple(e for e in left if e.invariants))

    def when_source(self) -> str:
        """Kernel Python for the conditions, one function each."""
        lines = []
        for number, exemption in enumerate(self.exemptions):
            if exemption.when:
                head = f"@atomic\ndef exempt_{number}(cpu: u32) -> bool:\n"
                lines.append(f"{head}    return {exemption.when}\n")
        return "\n".join(lines)


def read_regions(files: Sequence[tuple[Path, str]]) -> Regions:
    """Read exemption files, each with the name for messages.

    Raises InputError for a file that is not what exemptions.toml describes.
    """
    marks: list[Mark] = []
    exemptions: list[Exemption] = []
    for path, name in files:
        tables = read_toml(path, name).tables(("mark", "exemption"))
        for entry in tables["mark"]:
            entry.only("name", "after")
            marks.append(Mark(entry.text("name"), entry.some_texts("after")))
        exemptions += map(_exemption, tables["exemption"])
    return Regions(tuple(marks), tuple(exemptions))


def _exemption(entry: Entry) -> Exemption:
    entry.only("function", "invariants", "reason", "from_store", "until_store", "when")
    return Exemption(
        entry.text("function"),
        entry.some_texts("invariants"),
        entry.text("reason"),
        entry.optional_text("from_store"),
        entry.optional_text("until_store"),
        entry.optional_text("when"),
    )


def mark_regions(program: Program, regions: Regions) -> Program:
    """``program`` with Enter and Leave where ``regions`` say so.

    Raises InputError for an exemption that names an invariant that does not
    exist or a store that its function does not make.
    """
    functions = dict(program.functions)
    known = {invariant.function for invariant in program.invariants}
    exempt: dict[str, list[str]] = {name: [] for name in known}
    names: dict[str, None] = {}
    when: dict[str, str] = {}
    for mark in regions.marks:
        names[mark.name] = None
        for name in mark.after:
            if name in functions:
                functions[name] = _before_returns(functions[name], Enter, mark.name)
    for number, exemption in enumerate(regions.exemptions):
        for invariant in exemption.invariants:
            if invariant not in known:
                raise InputError(
                    f"the exemption for {exemption.function} names {invariant}, "
                    f"but the invariants are {sorted(known)}"
                )
        if exemption.function not in functions:
            continue
        names[exemption.region] = None
        if exemption.when:
            when[exemption.region] = f"exempt_{number}"
        for invariant in exemption.invariants:
            exempt[invariant].append(exemption.region)
        _mark_exemption(functions, program, exemption)
    return replace(
        program,
        functions=functions,
        regions=tuple(names),
        exempt_when=when,
        invariants=tuple(
            Invariant(i.property, i.function, tuple(dict.fromkeys(exempt[i.function])))
            for i in program.invariants
        ),
    )


def _mark_exemption(functions: dict[str, Function], program: Program, item: Exemption) -> None:
    function = functions[item.function]
    if item.from_store:
        # Before the store, so that the state after it is already exempt.
        function, count = _at_stores(function, item.from_store, Enter, item.region, after=False)
        if not count:
            raise _no_store(item, item.from_store, function.loc)
    else:
        first = function.blocks[0]
        enter = Enter(item.region, function.loc)
        blocks = (replace(first, instructions=(enter, *first.instructions)), *function.blocks[1:])
        if any(first.label in _targets(block) for block in function.blocks):
            raise InputError(f"{item.function} begins with a loop and cannot be exempt as a whole")
        function = replace(function, blocks=blocks)
    functions[item.function] = _before_returns(function, Leave, item.region)
    if item.until_store:
        total = 0
        for name in sorted(reachable_functions(program, [item.function])):
            functions[name], count = _at_stores(
                functions[name], item.until_store, Leave, item.region, after=True
            )
            total += count
        if not total:
            raise _no_store(item, item.until_store, function.loc)


def _targets(block: Block) -> set[str]:
    return set(successors(block.terminator))


def _no_store(item: Exemption, field: str, location: Location) -> InputError:
    return InputError(
        f"the exemption for {item.function} waits for a store to {field}, "
        f"but the function at {location} makes none"
    )


def _before_returns(function: Function, kind: type[Enter] | type[Leave], region: str) -> Function:
    blocks = tuple(
        replace(b, instructions=(*b.instructions, kind(region, b.terminator.loc)))
        if isinstance(b.terminator, Return)
        else b
        for b in function.blocks
    )
    return replace(function, blocks=blocks)


def _at_stores(
    function: Function,
    field: str,
    kind: type[Enter] | type[Leave],
    region: str,
    *,
    after: bool,
) -> tuple[Function, int]:
    """Put ``kind`` before or after each store to ``field``; how many there are."""
    count = 0
    blocks = []
    for block in function.blocks:
        instructions: list[Instruction] = []
        for instruction in block.instructions:
            hit = False
            if isinstance(instruction, Store):
                key = key_of(instruction.address)
                hit = key is not None and key[1] == field
            if hit and not after:
                instructions.append(kind(region, instruction.loc))
            instructions.append(instruction)
            if hit and after:
                instructions.append(kind(region, instruction.loc))
            count += hit
        blocks.append(replace(block, instructions=tuple(instructions)))
    return replace(function, blocks=tuple(blocks)), count
