"""Walking over steps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from pmaplab.errors import Location
from pmaplab.exports.steps import (
    PAGE_FAULT,
    Again,
    Back,
    Expr,
    Fetch,
    Goto,
    If,
    Invoke,
    Op,
    Pick,
    Point,
    Statement,
    StepSystem,
    Var,
    When,
    Within,
)
from pmaplab.ir.types import Int


def below(item: Any) -> Iterator[Any]:
    """``item`` and everything in it: statements and expressions."""
    if isinstance(item, tuple):
        for part in item:
            yield from below(part)
    elif is_dataclass(item) and not isinstance(item, Int | Location | type):
        yield item
        for field in fields(item):
            yield from below(getattr(item, field.name))


# Operators that can fail where their result is not known to fit.
_PARTIAL = frozenset(("add", "sub", "mul", "neg", "div", "mod", "shl", "shr"))


def _faults(expr: Expr) -> frozenset[str]:
    """How computing ``expr`` can fail; all that is a verdict counts as a page fault."""
    found = set()
    for node in below(expr):
        match node:
            case Within(fault=fault):
                found.add(fault)
            case Fetch():
                found.add(PAGE_FAULT)
            case Op(name=name, exact=False) if name in _PARTIAL:
                found.add(PAGE_FAULT)
    return frozenset(found)


def fail_apart(first: Expr, others: Iterable[Expr]) -> bool:
    """Whether it matters that ``first`` is computed before the others: each can fail, one
    in a way that is a verdict and one in a way that is none.  Neither C nor Murphi says
    which operand comes first."""
    mine, theirs = _faults(first), frozenset[str]().union(*map(_faults, others))
    return bool(mine and theirs) and len(mine | theirs) > 1


def variables(code: Iterable[Statement]) -> list[str]:
    """The locals outside of the state that ``code`` mentions, in order."""
    return list(dict.fromkeys(x.name for x in below(tuple(code)) if isinstance(x, Var)))


def groups(system: StepSystem) -> dict[tuple[tuple[int, ...], bool], int]:
    """A number for every group of cells that is accessed by number, and for
    whether its values are signed."""
    result: dict[tuple[tuple[int, ...], bool], int] = {}
    for code in (*(p.code for p in system.points), *(r.parts for r in system.routines.values())):
        for node in below(code):
            if isinstance(node, Fetch):
                result.setdefault((node.group, node.kind.signed), len(result))
    return result


def shared_locals(points: Iterable[Point]) -> set[str]:
    """The locals that the code of more than one point mentions."""
    seen: set[str] = set()
    result: set[str] = set()
    for point in points:
        names = set(variables(point.code))
        result |= seen & names
        seen |= names
    return result


# Where choices are in a loop, so many ways are allowed for; a run notices when
# they are too few.
WAYS_OF_A_LOOP = 256


def ways(system: StepSystem) -> dict[int, int]:
    """For each point at which a step begins, in how many ways it can go on.

    Or in more ways; where choices are in a loop, it may be too small.
    """
    return _Ways(system).run()


class _Ways:
    def __init__(self, system: StepSystem) -> None:
        self.system = system
        self.codes = {point.number: point.code for point in system.points}
        self.routines: dict[str, int] = {}
        self.known: dict[object, int] = {}
        self.cycle = False

    def run(self) -> dict[int, int]:
        for name in self.system.routines:
            self.routines[name] = self._whole((name, 0))
        return {p.number: self._whole(p.number) for p in self.system.points if p.starts}

    def _whole(self, place: int | tuple[str, int]) -> int:
        self.known, self.cycle = {}, False
        found = self._at(place)
        return max(found, WAYS_OF_A_LOOP) if self.cycle and found > 1 else found

    def _at(self, place: int | tuple[str, int]) -> int:
        if place in self.known:
            self.cycle |= not self.known[place]
            return max(self.known[place], 1)
        self.known[place] = 0
        if isinstance(place, int):
            code = self.codes.get(place, ())
        else:
            code = self.system.routines[place[0]].parts[place[1]]
        self.known[place] = self._code(code, place)
        return self.known[place]

    def _code(self, code: tuple[Statement, ...], place: int | tuple[str, int]) -> int:
        """The product of the widths of all choices on the way with the most."""
        width = most = 1
        for statement in code:
            match statement:
                case Pick(target=target):
                    variable = self.system.locals[target.name]
                    width *= max(variable.hi - variable.lo + 1, 1)
                case Invoke(routine=routine):
                    width *= self.routines[routine]
                case When(then=then):
                    width *= self._code(then, place)
                case If(then=then):
                    most = max(most, width * self._code(then, place))
                case Goto(point=point):
                    most = max(most, width * self._at(point))
                case Back(slot=slot):
                    few = self.system.slots[slot].few or frozenset()
                    most = max([most, *(width * self._at(number) for number in few if number)])
                case Again(part=part) if not isinstance(place, int):
                    most = max(most, width * self._at((place[0], part)))
        return max(most, width)
