"""The one-line format: name, verdict, program, condition, separated by tabs.

::

    # a comment
    SB <TAB> allowed <TAB> P0: x=1; r0=y | P1: y=1; r0=x <TAB> 0:r0=0 & 1:r0=0

Operations: ``x=1`` store, ``r0=x`` load, ``mf`` MFENCE, ``r0=xchg(x,1)`` locked
exchange.  The condition is a disjunction (``||``) of conjunctions (``&``) of
``0:r0=1`` (register r0 of P0) and ``x=1`` (memory at the end).  Everything is
64 bits wide and starts at 0.  A verdict is allowed, forbidden or required; a
fifth column says where it comes from and is not looked at.
"""

from __future__ import annotations

import re
from typing import NoReturn

from pmaplab.errors import Location
from pmaplab.frontends.litmus.conditions import (
    EXISTS,
    FORALL,
    NOT_EXISTS,
    And,
    Atom,
    Condition,
    Formula,
    Or,
    Place,
)
from pmaplab.frontends.litmus.model import (
    ALLOWED,
    FORBIDDEN,
    REQUIRED,
    Immediate,
    Instruction,
    LitmusTest,
    Memory,
    Operand,
    Register,
    Thread,
    Variable,
)
from pmaplab.frontends.litmus.source import NUMBER, LitmusSource, integer

_QUANTIFIERS = {ALLOWED: EXISTS, FORBIDDEN: NOT_EXISTS, REQUIRED: FORALL}
_BITS = 64
_NUMBER = f"({NUMBER})"
_REGISTER = re.compile(r"r[0-9]+")
_STORE = re.compile(rf"([A-Za-z_]\w*)\s*=\s*{_NUMBER}")
_LOAD = re.compile(r"(r[0-9]+)\s*=\s*([A-Za-z_]\w*)")
_EXCHANGE = re.compile(rf"(r[0-9]+)\s*=\s*xchg\s*\(\s*([A-Za-z_]\w*)\s*,\s*{_NUMBER}\s*\)")
_REGISTER_IS = re.compile(rf"([0-9]{{1,9}})\s*:\s*(r[0-9]+)\s*=\s*{_NUMBER}")
_THREAD = re.compile(r"\s*P([0-9]{1,9})\s*:")
_WIDTH = 1 << _BITS


def parse_oneline(source: LitmusSource) -> list[LitmusTest]:
    """The tests of a file; raises LitmusError with the place of a mistake."""
    tests = [
        _Line(source, number, line).test()
        for number, line in enumerate(source.lines, 1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    names: dict[str, Location] = {}
    for test in tests:
        if test.name in names:
            source.fail(test.loc, f"line {names[test.name].line} has a test {test.name} already")
        names[test.name] = test.loc
    return tests


class _Line:
    def __init__(self, source: LitmusSource, number: int, text: str) -> None:
        self.source = source
        self.number = number
        self.text = text
        self.variables: dict[str, Variable] = {}
        self.written: set[tuple[int, str]] = set()

    def fail(self, start: int, end: int, message: str, advice: str | None = None) -> NoReturn:
        self.source.fail(self._loc(start, end), message, advice)

    def _loc(self, start: int, end: int) -> Location:
        return self.source.place(self.number, start, end)

    def test(self) -> LitmusTest:
        columns: list[tuple[int, int]] = []
        start = 0
        for part in self.text.split("\t"):
            columns.append((start, start + len(part)))
            start += len(part) + 1
        if not 4 <= len(columns) <= 5:
            self.fail(
                0,
                len(self.text),
                f"a test has 4 or 5 columns separated by tabs, this line {len(columns)}",
                "name, verdict, program, condition, source; or begin a .litmus file with X86_64",
            )
        (begin, end), verdict = self._trimmed(*columns[0]), self._trimmed(*columns[1])
        if begin == end:
            self.fail(begin, end, "the test has no name")
        published = self.text[slice(*verdict)]
        if published not in _QUANTIFIERS:
            self.fail(*verdict, f"{published!r} is no verdict", ", ".join(_QUANTIFIERS))
        threads = self._threads(*columns[2])
        formula = self._formula(*columns[3])
        return LitmusTest(
            name=self.text[begin:end],
            published=published,
            threads=threads,
            variables=self.variables,
            registers={},
            condition=Condition(_QUANTIFIERS[published], formula),
            filter=None,
            locations=(),
            loc=self._loc(begin, end),
            lines=tuple(self.source.lines),
        )

    def _trimmed(self, start: int, end: int) -> tuple[int, int]:
        """The same part of the line without the blanks at its ends."""
        part = self.text[start:end]
        left = len(part) - len(part.lstrip())
        return start + left, start + max(left, len(part.rstrip()))

    def _parts(self, start: int, end: int, separator: str) -> list[tuple[int, int]]:
        result: list[tuple[int, int]] = []
        while True:
            found = self.text.find(separator, start, end)
            result.append((start, end if found < 0 else found))
            if found < 0:
                return result
            start = found + len(separator)

    # --- the program -------------------------------------------------------

    def _threads(self, start: int, end: int) -> tuple[Thread, ...]:
        threads: list[Thread] = []
        for begin, stop in self._parts(start, end, "|"):
            match = _THREAD.match(self.text, begin, stop)
            if match is None or int(match[1]) != len(threads):
                self.fail(*self._trimmed(begin, stop), f"P{len(threads)}: is expected here")
            code: list[Instruction] = []
            for part in self._parts(match.end(), stop, ";"):
                code += self._operation(len(threads), *self._trimmed(*part))
            threads.append(Thread(len(threads), tuple(code), {}))
        return tuple(threads)

    def _operation(self, thread: int, start: int, end: int) -> list[Instruction]:
        loc, text = self._loc(start, end), self.text[start:end]
        if text == "mf":
            return [Instruction("mfence", 0, (), False, None, loc)]
        if match := _EXCHANGE.fullmatch(text):
            register = self._register(thread, match[1], loc)
            value = Immediate(self._value(match[3], start, end), loc)
            return [
                _two("mov", value, register, loc),
                _two("xchg", register, self._memory(match[2], start, end), loc),
            ]
        if match := _STORE.fullmatch(text):
            value = Immediate(self._value(match[2], start, end), loc)
            return [_two("mov", value, self._memory(match[1], start, end), loc)]
        match = _LOAD.fullmatch(text)
        if match is None:
            advice = "there are x=1, r0=x, mf and r0=xchg(x,1)"
            self.fail(start, end, f"{text!r} is no operation", advice)
        memory = self._memory(match[2], start, end)
        return [_two("mov", memory, self._register(thread, match[1], loc), loc)]

    def _register(self, thread: int, name: str, loc: Location) -> Register:
        self.written.add((thread, name))
        return Register(name, _BITS, 0, name, loc)

    def _memory(self, name: str, start: int, end: int) -> Memory:
        if _REGISTER.fullmatch(name):
            self.fail(start, end, f"{name} is a register, where a location is expected")
        loc = self._loc(start, end)
        self.variables.setdefault(name, Variable(name, _BITS, True, 0, loc))
        return Memory(name, None, loc)

    def _value(self, text: str, start: int, end: int) -> int:
        value = integer(text)
        if not -_WIDTH // 2 <= value < _WIDTH:
            self.fail(start, end, f"{value} does not fit into {_BITS} bits")
        return value

    # --- the condition -----------------------------------------------------

    def _formula(self, start: int, end: int) -> Formula:
        cases: list[Formula] = []
        for part in self._parts(start, end, "||"):
            factors = [self._atom(*self._trimmed(*p)) for p in self._parts(*part, "&")]
            cases.append(factors[0] if len(factors) == 1 else And(tuple(factors)))
        return cases[0] if len(cases) == 1 else Or(tuple(cases))

    def _atom(self, start: int, end: int) -> Atom:
        loc, text = self._loc(start, end), self.text[start:end]
        if match := _REGISTER_IS.fullmatch(text):
            thread, name = int(match[1]), match[2]
            if (thread, name) not in self.written:
                self.fail(start, end, f"no operation of P{thread} writes {name}")
            return Atom(Place(thread, name, name), self._value(match[3], start, end), loc)
        match = _STORE.fullmatch(text)
        if match is None:
            self.fail(start, end, f"{text!r} is no condition", "there are 0:r0=1 and x=1")
        if match[1] not in self.variables:
            self.fail(start, end, f"the program has no location {match[1]}")
        return Atom(Place(-1, match[1], match[1]), self._value(match[2], start, end), loc)


def _two(op: str, source: Operand, target: Operand, loc: Location) -> Instruction:
    return Instruction(op, _BITS, (source, target), False, None, loc)
