"""Blocks and instructions of IR text."""

from __future__ import annotations

from pmaplab.errors import Location
from pmaplab.ir.lexer import Kind, Token
from pmaplab.ir.nodes import (
    RMW_OPS,
    Assert,
    Assign,
    Assume,
    Block,
    Branch,
    Call,
    Choose,
    CmpXchg,
    Count,
    Enter,
    Expr,
    Fence,
    Instruction,
    Jump,
    Leave,
    Load,
    Print,
    Return,
    Rmw,
    Sometimes,
    Step,
    Store,
    Terminator,
)
from pmaplab.ir.parse_expr import ExprParser

_STATEMENTS = (
    "store, rmw, fence, step, assume, assert, call, print, count, sometimes, enter, leave,"
    " jump, branch, return, and %local = load, rmw, cmpxchg, choose, call or an expression"
)


class BodyParser(ExprParser):
    """Reads the blocks of a function; all methods raise IRError."""

    def block(self) -> Block:
        cursor = self.cursor
        label = cursor.name("the label of a block")
        cursor.expect(":", "every block starts with its label and a colon")
        cursor.end_of_line()
        instructions: list[Instruction] = []
        while True:
            token = cursor.peek()
            named = token.kind in (Kind.NAME, Kind.STRING)
            if token.kind is Kind.END or cursor.at("}") or (named and cursor.at(":", 1)):
                raise cursor.error(
                    f"the block {label} does not end",
                    token,
                    "its last line is a jump, a branch or a return",
                )
            line = self._terminator() or self._instruction()
            cursor.end_of_line()
            if isinstance(line, Terminator):
                return Block(label, tuple(instructions), line)
            instructions.append(line)

    def _loc(self, start: Token) -> Location:
        return self.cursor.location(start)

    def _terminator(self) -> Terminator | None:
        cursor, start = self.cursor, self.cursor.peek()
        if cursor.accept("jump"):
            return Jump(cursor.name("the label of a block"), self._loc(start))
        if cursor.accept("branch"):
            condition = self.expr()
            cursor.expect(",")
            then = cursor.name("the label of a block")
            cursor.expect(",")
            otherwise = cursor.name("the label of a block")
            return Branch(condition, then, otherwise, self._loc(start))
        if cursor.accept("return"):
            # A value stands on the same line, unlike the label that may follow.
            bare = not cursor.same_line() or cursor.peek().kind is Kind.LOCATION or cursor.at("}")
            value = None if bare else self.expr()
            return Return(value, self._loc(start))
        return None

    def _instruction(self) -> Instruction:
        cursor = self.cursor
        start = cursor.peek()
        if cursor.accept("%"):
            target = cursor.name("the name of a local")
            cursor.expect("=")
            return self._result(start, target)
        if start.kind is not Kind.NAME:
            raise cursor.unexpected("an instruction", f"there are {_STATEMENTS}")
        cursor.next()
        match start.text:
            case "store":
                address, value = self._operands(2)
                return Store(address, value, self._loc(start))
            case "rmw":
                return self._rmw(start, None)
            case "call":
                return self._call(start, None)
            case "fence":
                return Fence(self._loc(start))
            case "step":
                return Step(self._loc(start))
            case "assume":
                return Assume(self.expr(), self._loc(start))
            case "assert":
                return self._assert(start)
            case "print":
                format = cursor.string("a format")
                return Print(format, self._arguments(), self._loc(start))
            case "count":
                return Count(cursor.name("a counter"), self._loc(start))
            case "sometimes":
                return Sometimes(cursor.name("a label"), self._loc(start))
            case "enter":
                return Enter(cursor.name("a region"), self._loc(start))
            case "leave":
                return Leave(cursor.name("a region"), self._loc(start))
        raise cursor.error(f"unknown instruction {start.text!r}", start, f"there are {_STATEMENTS}")

    def _result(self, start: Token, target: str) -> Instruction:
        """What stands after ``%target =``."""
        cursor = self.cursor
        if cursor.accept("load"):
            return Load(target, self.expr(), self._loc(start))
        if cursor.accept("rmw"):
            return self._rmw(start, target)
        if cursor.accept("cmpxchg"):
            address, expected, desired = self._operands(3)
            return CmpXchg(target, address, expected, desired, self._loc(start))
        if cursor.accept("choose"):
            lo, hi = self._operands(2)
            return Choose(target, lo, hi, self._loc(start))
        if cursor.accept("call"):
            return self._call(start, target)
        return Assign(target, self.expr(), self._loc(start))

    def _rmw(self, start: Token, target: str | None) -> Rmw:
        token = self.cursor.peek()
        op = self.cursor.name("an operation")
        if op not in RMW_OPS:
            raise self.cursor.error(
                f"unknown operation {op!r}", token, f"there are {', '.join(RMW_OPS)}"
            )
        address, operand = self._operands(2)
        return Rmw(target, op, address, operand, self._loc(start))

    def _call(self, start: Token, target: str | None) -> Call:
        self.cursor.expect("@", "a function is written @name")
        function = self.cursor.name("the name of a function")
        self.cursor.expect("(")
        arguments = self.exprs(")")
        return Call(target, function, arguments, self._loc(start))

    def _assert(self, start: Token) -> Assert:
        condition = self.expr()
        self.cursor.expect(",")
        kind = self.cursor.name("the kind of a check, such as KASSERT")
        self.cursor.expect(",")
        message = self.cursor.string("a message")
        return Assert(condition, kind, message, self._arguments(), self._loc(start))

    def _operands(self, count: int) -> list[Expr]:
        found = [self.expr()]
        while len(found) < count:
            found.append(self._another(0))
        return found

    def _arguments(self) -> tuple[Expr, ...]:
        found: list[Expr] = []
        while self.cursor.at(","):
            found.append(self._another(0))
        return tuple(found)
