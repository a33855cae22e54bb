"""Programs from text: the inverse of :mod:`pmaplab.ir.printer`.

The parser checks the form only; :func:`pmaplab.ir.verify.verify` checks that
the program makes sense.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pmaplab.errors import Location, did_you_mean
from pmaplab.ir.lexer import Cursor, Kind, Token
from pmaplab.ir.nodes import (
    HAS,
    IS,
    IS_NOT,
    PROGRAM_REDUCTIONS,
    Agent,
    Block,
    Const,
    Function,
    GlobalAddress,
    GlobalDecl,
    Held,
    Invariant,
    Owned,
    Place,
    Program,
    StructDecl,
)
from pmaplab.ir.parse_body import BodyParser
from pmaplab.ir.types import Scalar, Type

_ITEMS = (
    "cpus, region, must_reach, struct, global, function, atomic function, agent,"
    " invariant, exempt_when, without, owned"
)


def parse_program(text: str, *, file: str = "<ir>") -> Program:
    """The program that ``text`` spells; ``file`` names the text in messages.

    What has no location in the text gets its place in the text.  Raises
    :class:`~pmaplab.errors.IRError`.
    """
    return _ProgramParser(Cursor(text, file)).program()


class _ProgramParser:
    def __init__(self, cursor: Cursor) -> None:
        self.cursor = cursor
        self.body = BodyParser(cursor)
        self.structs: dict[str, StructDecl] = {}
        self.globals: dict[str, GlobalDecl] = {}
        self.functions: dict[str, Function] = {}
        self.agents: list[Agent] = []
        self.regions: list[str] = []
        self.invariants: list[Invariant] = []
        self.must_reach: list[str] = []
        self.cpus: int | None = None
        self.exempt_when: dict[str, str] = {}
        self.without: list[str] = []
        self.owned: list[Owned] = []

    def program(self) -> Program:
        items: dict[str, Callable[[Token], None]] = {
            "cpus": self._cpus,
            "region": lambda _: self.regions.append(self.cursor.name("a region")),
            "must_reach": lambda _: self.must_reach.append(self.cursor.name("a label")),
            "struct": self._struct,
            "global": self._global,
            "function": self._function,
            "atomic": self._function,
            "agent": self._agent,
            "invariant": self._invariant,
            "exempt_when": self._exempt_when,
            "without": self._without,
            "owned": self._owned,
        }
        while (token := self.cursor.peek()).kind is not Kind.END:
            item = items.get(token.text) if token.kind is Kind.NAME else None
            if item is None:
                raise self.cursor.unexpected("a declaration", f"there are {_ITEMS}")
            self.cursor.next()
            item(token)
            self.cursor.end_of_line()
        return Program(
            structs=self.structs,
            globals=self.globals,
            functions=self.functions,
            agents=tuple(self.agents),
            regions=tuple(self.regions),
            invariants=tuple(self.invariants),
            must_reach=tuple(self.must_reach),
            cpus=1 if self.cpus is None else self.cpus,
            exempt_when=self.exempt_when,
            without=tuple(self.without),
            owned=tuple(self.owned),
        )

    # --- declarations ------------------------------------------------------

    def _cpus(self, start: Token) -> None:
        if self.cpus is not None:
            raise self.cursor.error("the number of CPUs is given twice", start)
        self.cpus = self.cursor.integer("the number of CPUs")

    def _struct(self, start: Token) -> None:
        cursor = self.cursor
        name = self._new(self.structs, "structure", "")
        loc = self._opened(start)
        fields: list[tuple[str, Type]] = []
        while not cursor.accept("}"):
            field = cursor.name("the name of a field")
            cursor.expect(":")
            fields.append((field, self.body.type()))
            cursor.end_of_line()
        self.structs[name] = StructDecl(name, tuple(fields), loc)

    def _global(self, start: Token) -> None:
        cursor = self.cursor
        name = self._new(self.globals, "global", "@")
        cursor.expect(":")
        kind = self.body.type()
        initial: dict[str, Const | GlobalAddress] = {}
        if not cursor.at("{"):
            loc = cursor.location(start)
        else:
            loc = self._opened(start)
            while not cursor.accept("}"):
                self._cell(initial)
        self.globals[name] = GlobalDecl(name, kind, initial, loc)

    def _cell(self, initial: dict[str, Const | GlobalAddress]) -> None:
        cursor = self.cursor
        token = cursor.peek()
        path = cursor.string('a path such as "" or "[2].field"')
        if path in initial:
            raise cursor.error(f"the cell {path!r} has two values", token)
        cursor.expect("=")
        token = cursor.peek()
        value = self.body.expr()
        if not isinstance(value, Const | GlobalAddress):
            raise cursor.error(
                "a cell starts with a constant or the address of a global",
                token,
                "compute other values in an agent",
            )
        initial[path] = value
        cursor.end_of_line()

    def _agent(self, _start: Token) -> None:
        cursor = self.cursor
        name = cursor.name("the name of an agent")
        cursor.expect("cpu")
        cpu = cursor.integer("the number of a CPU")
        cursor.expect("context")
        context = cursor.name("a context")
        cursor.expect("entry")
        self.agents.append(Agent(name, cpu, context, self._function_name()))

    def _invariant(self, _start: Token) -> None:
        name = self.cursor.name("the name of a property")
        function = self._function_name()
        exempt: list[str] = []
        if self.cursor.accept("exempt"):
            exempt.append(self.cursor.name("a region"))
            while self.cursor.accept(","):
                exempt.append(self.cursor.name("a region"))
        self.invariants.append(Invariant(name, function, tuple(exempt)))

    def _exempt_when(self, start: Token) -> None:
        region = self.cursor.name("a region")
        if region in self.exempt_when:
            raise self.cursor.error(f"the region {region} has two conditions", start)
        self.exempt_when[region] = self._function_name()

    def _without(self, start: Token) -> None:
        name = self.cursor.name("a reduction")
        if name not in PROGRAM_REDUCTIONS:
            raise self.cursor.error(
                f"there is no reduction {name!r}",
                start,
                advice=did_you_mean(name, PROGRAM_REDUCTIONS),
            )
        self.without.append(name)

    def _owned(self, start: Token) -> None:
        cursor = self.cursor
        name = cursor.name("a rule")
        cpu = None
        if not cursor.accept("nobody"):
            cursor.expect("cpu", "say whose it is: cpu NUMBER, or nobody")
            cpu = cursor.integer("the number of a CPU")
        shared = cursor.accept("shared")
        loc = self._opened(start)
        cells: list[Place] = []
        when: list[Held] = []
        outside: list[str] = []
        while not cursor.accept("}"):
            if cursor.accept("cell"):
                cells.append(self._place())
            elif cursor.accept("when"):
                when.append(self._held())
            else:
                cursor.expect("outside", "there are cell, when and outside")
                outside.append(cursor.name("a region"))
            cursor.end_of_line()
        self.owned.append(Owned(name, cpu, tuple(cells), loc, shared, tuple(when), tuple(outside)))

    def _held(self) -> Held:
        cursor = self.cursor
        place = self._place()
        relation = next((word for word in (IS, IS_NOT, HAS) if cursor.accept(word)), None)
        if relation is None:
            raise cursor.unexpected(f"{IS}, {IS_NOT} or {HAS}")
        if cursor.at("@"):
            return Held(place, relation, self._place())
        return Held(place, relation, cursor.integer("a number, or a place"))

    def _place(self) -> Place:
        self.cursor.expect("@", "a place is written @global and its path in quotes")
        name = self.cursor.name("the name of a global")
        return Place(name, self.cursor.string('a path such as "" or "[2].field"'))

    def _function(self, start: Token) -> None:
        cursor = self.cursor
        atomic = start.text == "atomic"
        if atomic:
            cursor.expect("function")
        name = self._new(self.functions, "function", "@")
        variables: dict[str, Scalar] = {}
        parameters: list[str] = []
        cursor.expect("(")
        while not cursor.accept(")"):
            if parameters:
                cursor.expect(",")
            parameters.append(self._variable(variables, parameters))
        result = self.body.scalar() if cursor.accept("->") else None
        loc = self._opened(start)
        while cursor.at("var") and not cursor.at(":", 1):
            cursor.next()
            self._variable(variables, parameters)
            cursor.end_of_line()
        self.body.variables = variables
        blocks: list[Block] = []
        while not cursor.accept("}"):
            blocks.append(self.body.block())
        self.functions[name] = Function(
            name, tuple(parameters), variables, result, tuple(blocks), atomic, loc
        )

    def _variable(self, variables: dict[str, Scalar], parameters: list[str]) -> str:
        cursor = self.cursor
        token = cursor.peek()
        cursor.expect("%", "a local is written %name")
        name = cursor.name("the name of a local")
        if name in variables or name in parameters:
            raise cursor.error(f"the local %{name} is declared twice", token)
        cursor.expect(":", f"give its type: %{name}: u32")
        variables[name] = self.body.scalar()
        return name

    def _new(self, known: Mapping[str, object], what: str, mark: str) -> str:
        if mark:
            self.cursor.expect(mark, f"the name of a {what} is written {mark}name")
        token = self.cursor.peek()
        name = self.cursor.name(f"the name of a {what}")
        if name in known:
            raise self.cursor.error(f"the {what} {mark}{name} is declared twice", token)
        return name

    def _opened(self, start: Token) -> Location:
        self.cursor.expect("{")
        return self.cursor.location(start)

    def _function_name(self) -> str:
        self.cursor.expect("@", "a function is written @name")
        return self.cursor.name("the name of a function")
