"""herd7's .litmus format for X86_64 and X86, as herd7 and diy7 write it."""

from __future__ import annotations

import re

from pmaplab.errors import Location, did_you_mean
from pmaplab.frontends.litmus.assembly import Assembler, register
from pmaplab.frontends.litmus.conditions import (
    EXISTS,
    FORALL,
    NOT_EXISTS,
    And,
    Atom,
    Condition,
    Formula,
    Not,
    Or,
    Place,
    Truth,
)
from pmaplab.frontends.litmus.model import (
    Initial,
    Instruction,
    LitmusTest,
    Memory,
    Register,
    Thread,
    Variable,
)
from pmaplab.frontends.litmus.source import LitmusSource, Word, Words

ARCHITECTURES = ("X86_64", "X86")
_HEADER = re.compile(r"\s*([A-Za-z][\w]*)\s+(\S.*?)\s*$")
_THREAD = re.compile(r"P([0-9]{1,9})")
# name: (bits, signed)
_TYPES = {
    **{f"int{bits}_t": (bits, True) for bits in (8, 16, 32, 64)},
    **{f"uint{bits}_t": (bits, False) for bits in (8, 16, 32, 64)},
    "char": (8, True),
    "short": (16, True),
    "int": (32, True),
    "long": (64, True),
}
_BEHIND_TABLE = ("locations", "filter", "exists", "forall", "~")
_DEEPEST = 100


def header(source: LitmusSource) -> tuple[str, str, int] | None:
    """The architecture, the test's name and the number of the line that gives
    them; None when the file does not begin like that."""
    in_comment = False
    for number, line in enumerate(source.lines, 1):
        in_comment = in_comment or line.lstrip().startswith("(*")
        if in_comment:
            in_comment = "*)" not in line
        elif line.strip():
            match = _HEADER.fullmatch(line)
            return None if match is None or "\t" in line else (match[1], match[2], number)
    return None


def parse_herd(source: LitmusSource) -> LitmusTest:
    """The test of a file; raises LitmusError with the place of a mistake."""
    return _Parser(source).test()


class _Parser:
    def __init__(self, source: LitmusSource) -> None:
        self.source = source
        found = header(source)
        lines = source.lines
        end = source.place(len(lines), len(lines[-1]), len(lines[-1]))
        if found is None:
            source.fail(source.place(1, 0, 1), "a litmus test begins with X86_64 and its name")
        self.architecture, self.name, line = found
        self.loc = source.place(line, 0, len(lines[line - 1].rstrip()))
        if self.architecture not in ARCHITECTURES:
            source.fail(
                self.loc,
                f"{self.architecture} is not supported",
                f"the architectures are {', '.join(ARCHITECTURES)}",
            )
        # The lines before the initial values are about the test, not of it.
        while line < len(lines) and not lines[line].lstrip().startswith("{"):
            line += 1
        if line == len(lines):
            source.fail(end, "the initial values are missing", "write {} if all are 0")
        start = len(lines[line]) - len(lines[line].lstrip())
        self.words = Words(source, source.words(line + 1, start), end)
        self.variables: dict[str, Variable] = {}
        self.registers: dict[tuple[int, str], Initial] = {}
        self.threads: list[Thread] = []

    def test(self) -> LitmusTest:
        self._initial_values()
        self._table()
        for (thread, _), initial in self.registers.items():
            if thread >= len(self.threads):
                self.source.fail(initial.loc, f"there is no thread P{thread}")
            if initial.address is not None and initial.address not in self.variables:
                width = Variable(initial.address, None, True, 0, initial.loc)
                self.variables[initial.address] = width
        shown = self._locations() if self.words.take("locations") else ()
        chosen = self._formula() if self.words.take("filter") else None
        condition = self._condition()
        if self.words.more:
            self.words.fail("nothing may follow the condition")
        return LitmusTest(
            name=self.name,
            published=None,
            threads=tuple(self.threads),
            variables=self.variables,
            registers=self.registers,
            condition=condition,
            filter=chosen,
            locations=shown,
            loc=self.loc,
            lines=tuple(self.source.lines),
        )

    # --- initial values ----------------------------------------------------

    def _initial_values(self) -> None:
        words = self.words
        words.want("{", "before the initial values")
        while not words.take("}"):
            if not words.more:
                words.fail("'}' is missing behind the initial values")
            if words.take(";"):
                continue
            self._initial_value()
            if words.peek() != "}":
                words.want(";", "behind an initial value")

    def _initial_value(self) -> None:
        words = self.words
        bits, signed = self._type()
        loc = words.loc
        if words.kind() == "number" and words.peek(1) == ":":
            thread, found = self._register()
            address: str | None = None
            value = 0
            if words.take("="):
                words.take("&")
                if words.kind() == "name":
                    address = words.next().text
                else:
                    value = words.number()
            if (thread, found.name) in self.registers:
                self.source.fail(loc, f"{thread}:{found.name} has an initial value already")
            if found.bits < 32 or (address is not None and found.bits != self._pointer_bits):
                self.source.fail(loc, "give the initial value of the whole register")
            value &= (1 << found.bits) - 1
            self.registers[thread, found.name] = Initial(value, address, signed, loc)
            return
        name = self._location()
        if words.peek() == "[":
            words.fail("arrays are not supported", "give each element a name of its own")
        value = 0
        if words.take("="):
            if words.kind() == "name":
                words.fail("a location that holds an address is not supported")
            value = words.number()
        if name in self.variables:
            self.source.fail(loc, f"{name} has an initial value already")
        self.variables[name] = Variable(name, bits, signed, value, loc)

    @property
    def _pointer_bits(self) -> int:
        return 64 if self.architecture == "X86_64" else 32

    def _type(self) -> tuple[int | None, bool]:
        """The type in front of a declaration, if there is one."""
        words = self.words
        follows = "*" if words.peek(1) == "*" else words.kind(1)
        if words.kind() != "name" or follows not in ("name", "number", "*"):
            return None, True
        loc, name = words.loc, words.next().text
        unsigned = name == "unsigned"
        if unsigned and words.peek() in _TYPES:
            name = words.next().text
        if words.peek() == "*":
            words.fail("pointers are not supported", "let a register hold the address: 0:rax=x")
        if name not in _TYPES and name != "unsigned":
            self.source.fail(loc, f"the type {name} is not supported", ", ".join(_TYPES))
        bits, signed = _TYPES.get(name, (32, True))
        return bits, signed and not unsigned

    def _location(self) -> str:
        """``x`` or ``[x]``."""
        words = self.words
        bracketed = words.take("[")
        name = words.want_kind("name", "a location").text
        if bracketed:
            words.want("]", "behind the location")
        return name

    def _register(self) -> tuple[int, Register]:
        """``0:rax``"""
        words, loc = self.words, self.words.loc
        thread = words.number()
        words.want(":", "between a thread and its register")
        name, where = words.peek(), words.loc
        found = register(name, where) if words.kind() in ("name", "register") else None
        if found is None:
            words.fail(f"there is no register {name}" if name else "a register is missing")
        words.next()
        if thread < 0:
            self.source.fail(loc, f"there is no thread P{thread}")
        return thread, found

    # --- the table ---------------------------------------------------------

    def _table(self) -> None:
        names = self._row()
        for number, cell in enumerate(names):
            match = _THREAD.fullmatch(cell.peek())
            if match is None or int(match[1]) != number:
                cell.fail(f"P{number} is expected here")
            cell.next()
            if cell.more:
                cell.fail("only the thread's name stands here")
        code: list[list[Instruction]] = [[] for _ in names]
        labels: list[dict[str, int]] = [{} for _ in names]
        assembler = Assembler(intel=self.architecture == "X86")
        while self.words.more and self.words.peek() not in _BEHIND_TABLE:
            start = self.words.loc
            row = self._row()
            if len(row) != len(names):
                self.source.fail(
                    start, f"this row has {len(row)} columns, the table has {len(names)}"
                )
            for number, cell in enumerate(row):
                while cell.kind() == "name" and cell.peek(1) == ":":
                    if cell.peek() in labels[number]:
                        cell.fail(f"P{number} has a label {cell.peek()} already")
                    labels[number][cell.next().text] = len(code[number])
                    cell.next()
                if cell.more:
                    code[number].append(assembler.instruction(cell))
        for number, instructions in enumerate(code):
            for instruction in instructions:
                target = instruction.target
                if target is not None and target not in labels[number]:
                    self.source.fail(instruction.loc, f"P{number} has no label {target}")
            self.threads.append(Thread(number, tuple(instructions), labels[number]))
            self._declare(instructions)

    def _row(self) -> list[Words]:
        """The cells up to the next ``;``."""
        cells: list[list[Word]] = [[]]
        ends: list[Location] = []
        while not self.words.take(";"):
            if not self.words.more:
                self.words.fail("';' is missing at the end of the row")
            word = self.words.next()
            if word.text == "|":
                cells.append([])
                ends.append(word.loc)
            else:
                cells[-1].append(word)
        ends.append(self.words.before)
        return [Words(self.source, *cell) for cell in zip(cells, ends, strict=True)]

    def _declare(self, instructions: list[Instruction]) -> None:
        """The locations that the code names and nobody has declared."""
        for instruction in instructions:
            for operand in instruction.operands:
                if isinstance(operand, Memory) and operand.name is not None:
                    undeclared = Variable(operand.name, None, True, 0, operand.loc)
                    self.variables.setdefault(operand.name, undeclared)

    # --- conditions --------------------------------------------------------

    def _locations(self) -> tuple[Place, ...]:
        places: list[Place] = []
        self.words.want("[", "behind locations")
        while not self.words.take("]"):
            if not self.words.more:
                self.words.fail("']' is missing behind the locations")
            if not self.words.take(";"):
                places.append(self._place())
        return tuple(places)

    def _condition(self) -> Condition:
        words = self.words
        if words.take("~"):
            words.want(EXISTS, "behind ~")
            quantifier = NOT_EXISTS
        elif words.peek() in (EXISTS, FORALL):
            quantifier = words.next().text
        else:
            words.fail("the condition is missing", "exists, ~exists or forall")
        return Condition(quantifier, self._formula())

    def _formula(self, depth: int = 0) -> Formula:
        cases = [self._conjunction(depth)]
        while self.words.take("\\/"):
            cases.append(self._conjunction(depth))
        return cases[0] if len(cases) == 1 else Or(tuple(cases))

    def _conjunction(self, depth: int) -> Formula:
        factors = [self._factor(depth)]
        while self.words.take("/\\"):
            factors.append(self._factor(depth))
        return factors[0] if len(factors) == 1 else And(tuple(factors))

    def _factor(self, depth: int) -> Formula:
        words = self.words
        if depth > _DEEPEST:
            words.fail(f"a condition is nested deeper than {_DEEPEST} levels")
        if words.take("~") or words.take("not"):
            return Not(self._factor(depth + 1))
        if words.take("("):
            inner = self._formula(depth + 1)
            words.want(")", "in the condition")
            return inner
        if words.peek() in ("true", "false"):
            return Truth(words.next().text == "true")
        loc, place = words.loc, self._place()
        if words.peek() == "==":
            words.next()
        else:
            words.want("=", f"behind {place}")
        if words.kind() == "name":
            words.fail("a comparison with an address is not supported")
        return Atom(place, words.number(), loc)

    def _place(self) -> Place:
        words, loc = self.words, self.words.loc
        if words.kind() == "number" and words.peek(1) == ":":
            thread, found = self._register()
            if thread >= len(self.threads):
                self.source.fail(loc, f"there is no thread P{thread}")
            initial = self.registers.get((thread, found.name))
            if initial is not None and initial.address is not None:
                self.source.fail(loc, f"{thread}:{found.name} holds an address")
            return Place(thread, found.shown, found.name, found.bits, found.shift)
        name = self._location()
        if name not in self.variables:
            advice = did_you_mean(name, self.variables)
            self.source.fail(loc, f"the test has no location {name}", advice)
        return Place(-1, name, name)
