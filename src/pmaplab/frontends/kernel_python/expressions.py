"""Lowering expressions.  Every read of memory becomes a Load of its own, in
the order in which Python evaluates."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import NoReturn, TypeVar

from pmaplab.errors import Location
from pmaplab.frontends.builder import (
    Builder,
    arithmetic,
    as_condition,
    compared,
    joined,
    negated,
    selected,
    widened,
)
from pmaplab.frontends.kernel_python.scope import INTEGERS, Scope, spelled
from pmaplab.frontends.kernel_python.source import SourceFile
from pmaplab.frontends.kernel_python.values import (
    ARITHMETIC,
    COMPARISONS,
    Signature,
    Value,
    construct,
)
from pmaplab.ir.nodes import (
    Assign,
    Call,
    Cast,
    Const,
    Expr,
    FieldAddress,
    GlobalAddress,
    IndexAddress,
    Jump,
    Load,
    Local,
    ThisCpu,
    Unary,
)
from pmaplab.ir.types import BOOL, I64, U32, U64, Array, Int, Pointer, Scalar, Struct

Result = TypeVar("Result")


class Expressions:
    """Lowers the expressions of one function into its builder."""

    def __init__(
        self,
        scope: Scope,
        source: SourceFile,
        builder: Builder,
        signatures: dict[str, Signature],
        intrinsics: Intrinsics,
        *,
        atomic: bool,
    ) -> None:
        self.atomic = atomic
        # The variables of for loops: whether the loop is still running.
        self.counters: dict[str, bool] = {}
        self.scope = scope
        self.source = source
        self.builder = builder
        self.signatures = signatures
        self.intrinsics = intrinsics

    # --- entry points ------------------------------------------------------

    def value(self, node: ast.expr, expected: Scalar | None = None) -> Expr:
        """The value of ``node``, converted to ``expected`` when that is given."""
        return self.rvalue(node, self.lower(node, expected), expected)

    def condition(self, node: ast.expr) -> Expr:
        """``node`` as a bool."""
        return as_condition(self.value(node))

    def place(self, node: ast.expr) -> Value:
        """``node`` as a place in memory; an error where it is none."""
        value = self.lower(node, None)
        if not value.place:
            self.fail(node, f"{ast.unparse(node)} is no place in memory")
        return value

    def rvalue(self, node: ast.expr, value: Value, expected: Scalar | None) -> Expr:
        """Load from a place, and convert."""
        expr, literal = value.expr, value.literal
        if value.place:
            match value.kind:
                case Struct():
                    expr = value.expr
                case Array():
                    self.fail(node, "an array has no value", "index it")
                case Int() | Pointer() as kind:
                    loaded = self.builder.temporary(kind)
                    self.builder.emit(Load(loaded.name, value.expr, self.at(node)))
                    expr = loaded
        return expr if expected is None else self.convert(node, expr, expected, literal=literal)

    def convert(self, node: ast.expr, expr: Expr, expected: Scalar, *, literal: bool) -> Expr:
        """``expr`` as an ``expected``; only conversions that lose nothing."""
        kind = expr.type
        if isinstance(expected, Pointer):
            if isinstance(expr, Const) and isinstance(kind, Pointer) and expr.value == 0:
                return Const(0, expected)
            if kind != expected:
                self.fail(node, f"{spelled(expected)} is expected, not {spelled(kind)}")
            return expr
        if isinstance(kind, Pointer):
            self.fail(node, f"{expected} is expected, not {spelled(kind)}")
        if isinstance(expr, Const) and literal:
            if not expected.minimum <= expr.value <= expected.maximum:
                self.fail(node, f"the value {expr.value} does not fit into {expected}")
            return Const(expr.value, expected.whole)
        if expected.bits == 1 and kind.bits != 1:
            self.fail(node, f"a bool is expected, not {kind}", "compare: `... != 0`")
        whole = expected.whole
        if kind.whole.minimum < whole.minimum or kind.whole.maximum > whole.maximum:
            self.fail(
                node,
                f"{spelled(kind.whole)} does not always fit into {spelled(whole)}",
                f"convert as C would: {whole}(...)",
            )
        return widened(expr, whole)

    def at(self, node: ast.AST) -> Location:
        return self.source.location(node)

    def fail(self, node: ast.AST, message: str, advice: str | None = None) -> NoReturn:
        self.source.fail(node, message, advice)

    # --- expressions -------------------------------------------------------

    def lower(self, node: ast.expr, expected: Scalar | None) -> Value:
        match node:
            case ast.Constant(value=bool() as truth):
                return Value(Const(int(truth), BOOL), BOOL)
            case ast.Constant(value=int() as number):
                return self._literal(node, number)
            case ast.Constant(value=None):
                self.fail(node, "None has no type here", "write NULL")
            case ast.Name(id=name):
                return self._name(node, name)
            case ast.Attribute(value=inner, attr=field):
                return self._attribute(node, inner, field)
            case ast.Subscript(value=inner, slice=index):
                return self._subscript(node, inner, index)
            case ast.UnaryOp(op=op, operand=operand):
                return self._unary(node, op, operand, expected)
            case ast.BinOp(left=left, op=op, right=right):
                return self._binary(node, left, op, right, expected)
            case ast.BoolOp(op=op, values=values):
                return self._logic(node, "land" if isinstance(op, ast.And) else "lor", values)
            case ast.Compare(left=left, ops=ops, comparators=comparators):
                if len(ops) > 1:
                    self.fail(node, "a chain of comparisons", "join two comparisons with `and`")
                return self._compare(node, left, ops[0], comparators[0])
            case ast.IfExp(test=test, body=body, orelse=orelse):
                return self._conditional(node, test, body, orelse, expected)
            case ast.Call():
                value = self.call(node, expected)
                if value is None:
                    self.fail(node, f"{ast.unparse(node.func)} returns nothing")
                assert value is not None
                return value
        self.fail(
            node,
            f"{construct(node)} is not part of kernel Python",
            "see docs/kernel-python.md for the expressions that are",
        )
        raise AssertionError

    def _literal(self, node: ast.expr, number: int) -> Value:
        for kind in (U32, U64, I64):
            if kind.minimum <= number <= kind.maximum:
                return Value(Const(number, kind), kind, literal=True)
        self.fail(node, f"the number {number} does not fit into 64 bits")
        raise AssertionError

    def _name(self, node: ast.expr, name: str) -> Value:
        scope, builder = self.scope, self.builder
        if name in builder.variables:
            if not self.counters.get(name, True):
                self.fail(
                    node,
                    f"the loop over {name} is over",
                    "its last value is not the same in C and in Python; "
                    "take it into another local within the loop",
                )
            kind = builder.variables[name]
            return Value(Local(name, kind), kind)
        if name == "NULL":
            kind = Pointer(Struct(""))
            return Value(Const(0, kind), kind, literal=True)
        constant = scope.constant(name)
        if constant is not None:
            if constant.type is None:
                return self._literal(node, constant.value)
            return Value(Const(constant.value, constant.type.whole), constant.type.whole)
        if name in scope.owns:
            array = scope.globals[scope.owns[name]]
            assert isinstance(array.type, Array)
            address = GlobalAddress(array.name, Pointer(array.type))
            element = array.type.element
            own = IndexAddress(address, ThisCpu(), array.type.length, Pointer(element))
            return Value(own, element, place=True)
        if name in scope.globals:
            kind_of = scope.globals[name].type
            return Value(GlobalAddress(name, Pointer(kind_of)), kind_of, place=True)
        if name in self.signatures or name in self.intrinsics.names:
            self.fail(node, f"{name} is a function", f"call it: {name}(...)")
        scope.unknown(self.source, node, name, *builder.variables)

    def _attribute(self, node: ast.expr, inner: ast.expr, field: str) -> Value:
        base = self.rvalue(inner, self.lower(inner, None), None)
        kind = base.type
        if not isinstance(kind, Pointer) or not isinstance(kind.target, Struct):
            self.fail(node, f"{ast.unparse(inner)} has no fields: it is {spelled(kind)}")
            raise AssertionError
        struct = kind.target.name
        if not struct:
            self.fail(node, "NULL has no fields")
        found = self.scope.struct(struct).field_type(field)
        if found is None:
            if (struct, field) in self.scope.counters:
                self.fail(
                    node,
                    f"the counter {field} has no value here",
                    f"a statistics counter can only be counted: `....{field} += 1`",
                )
            names = ", ".join(name for name, _ in self.scope.struct(struct).fields)
            self.fail(node, f"{struct} has no field {field}", f"it has: {names}")
            raise AssertionError
        return Value(FieldAddress(base, struct, field, Pointer(found)), found, place=True)

    def _subscript(self, node: ast.expr, inner: ast.expr, index: ast.expr) -> Value:
        base = self.lower(inner, None)
        if not base.place or not isinstance(base.kind, Array):
            self.fail(node, f"{ast.unparse(inner)} is no array")
            raise AssertionError
        number = self.value(index)
        if not isinstance(number.type, Int):
            self.fail(index, f"an index is an integer, not {spelled(number.type)}")
        array = base.kind
        if isinstance(number, Const) and not 0 <= number.value < array.length:
            self.fail(index, f"the index {number.value} is outside of {array.length} elements")
        address = IndexAddress(base.expr, number, array.length, Pointer(array.element))
        return Value(address, array.element, place=True)

    def _unary(
        self, node: ast.expr, op: ast.unaryop, operand: ast.expr, expected: Scalar | None
    ) -> Value:
        if isinstance(op, ast.Not):
            return Value(negated(self.condition(operand)), BOOL)
        value = self.lower(operand, expected)
        expr = self.rvalue(operand, value, None)
        if not isinstance(expr.type, Int) or expr.type.bits == 1:
            self.fail(node, f"{spelled(expr.type)} has no such operator")
        if isinstance(expr, Const) and value.literal and isinstance(op, ast.USub):
            return self._literal(node, -expr.value)
        undecided = value.literal or value.open
        if value.literal and isinstance(expected, Int):
            expr = self.convert(operand, expr, expected, literal=True)
            undecided = False
        assert isinstance(expr.type, Int)
        kind = expr.type.whole
        if isinstance(op, ast.UAdd):
            return Value(expr, kind, literal=value.literal, open=value.open)
        if isinstance(expr, Const) and not kind.signed:
            number = ~expr.value if isinstance(op, ast.Invert) else -expr.value
            return Value(Const(number & kind.maximum, kind), kind, open=undecided)
        return Value(Unary("inv" if isinstance(op, ast.Invert) else "neg", expr, kind), kind)

    def _operands(self, left: ast.expr, right: ast.expr) -> tuple[Expr, Expr, bool]:
        """Both operands in their common type; whether both are literals."""
        first = self.lower(left, None)
        a = self.rvalue(left, first, None)
        second = self.lower(right, a.type if isinstance(a.type, Int) else None)
        b = self.rvalue(right, second, None)
        if first.open and isinstance(b.type, Int) and not second.literal:
            a = self.rvalue(left, self.lower(left, b.type), None)
        if isinstance(a.type, Pointer) or isinstance(b.type, Pointer):
            if first.literal:
                a = self.convert(left, a, b.type, literal=True)
            else:
                b = self.convert(right, b, a.type, literal=second.literal)
            return a, b, False
        if first.literal and second.literal:
            return *self._literals(right, a, b), True
        if second.literal:
            return a, self.convert(right, b, a.type.whole, literal=True), False
        if first.literal:
            return self.convert(left, a, b.type.whole, literal=True), b, False
        if a.type.signed != b.type.signed:
            self.fail(
                right,
                f"{a.type.whole} and {b.type.whole} are mixed",
                "convert one of the two: u32(...), i32(...)",
            )
        wide = a.type.whole if a.type.bits >= b.type.bits else b.type.whole
        return widened(a, wide), widened(b, wide), False

    def _literals(self, node: ast.expr, a: Expr, b: Expr) -> tuple[Expr, Expr]:
        """Two literals in one type."""
        assert isinstance(a, Const) and isinstance(b, Const)
        for kind in (U32, U64, I64):
            if all(kind.minimum <= number.value <= kind.maximum for number in (a, b)):
                return Const(a.value, kind), Const(b.value, kind)
        self.fail(node, f"no type holds both {a.value} and {b.value}")

    def _binary(
        self,
        node: ast.expr,
        left: ast.expr,
        op: ast.operator,
        right: ast.expr,
        expected: Scalar | None,
    ) -> Value:
        if isinstance(op, ast.Div):
            self.fail(node, "/ is not integer division", "write //")
        if type(op) not in ARITHMETIC:
            self.fail(node, f"{construct(node)} is not part of kernel Python")
        name = ARITHMETIC[type(op)]
        if self._is_literal(left) and self._is_literal(right):
            # As in the value of a constant: without a width, hence exact.
            numbers = [self.lower(side, None).expr for side in (left, right)]
            a, b = numbers
            assert isinstance(a, Const) and isinstance(b, Const)
            number = self.scope.calculate(self.source, node, op, a.value, b.value)
            return self._literal(node, number)
        if name in ("shl", "shr"):
            first = self.lower(left, expected)
            a = self.rvalue(left, first, None)
            if first.literal and isinstance(expected, Int):
                a = self.convert(left, a, expected.whole, literal=True)
            b = self._shift_count(right)
        else:
            a, b, _ = self._operands(left, right)
        if not isinstance(a.type, Int) or not isinstance(b.type, Int) or a.type.bits == 1:
            self.fail(node, f"{spelled(a.type)} and {spelled(b.type)} have no such operator")
        assert isinstance(a.type, Int)
        result = arithmetic(name, a, b, a.type.whole)
        return Value(result, a.type.whole)

    def _is_literal(self, node: ast.expr) -> bool:
        """Whether ``node`` is an integer without a type of its own."""
        match node:
            case ast.Constant(value=value):
                return isinstance(value, int) and not isinstance(value, bool)
            case ast.Name(id=name):
                if name in self.builder.variables:
                    return False
                constant = self.scope.constant(name)
                return constant is not None and constant.type is None
            case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=operand):
                return self._is_literal(operand)
            case ast.BinOp(left=left, op=op, right=right):
                return type(op) in ARITHMETIC and self._is_literal(left) and self._is_literal(right)
        return False

    def _shift_count(self, node: ast.expr) -> Expr:
        count = self.value(node)
        if not isinstance(count.type, Int) or (count.type.signed and not isinstance(count, Const)):
            self.fail(
                node,
                f"a shift count is unsigned, not {spelled(count.type)}",
                "convert it: u32(...)",
            )
        return count

    def binary(self, node: ast.expr, op: ast.operator, a: Expr, right: ast.expr) -> Expr:
        """``a op right`` for an augmented assignment to something of a's type."""
        if type(op) not in ARITHMETIC:
            self.fail(node, "this operator is not part of kernel Python", "use // for division")
        name = ARITHMETIC[type(op)]
        if not isinstance(a.type, Int) or a.type.bits == 1:
            self.fail(node, f"{spelled(a.type)} has no such operator")
        assert isinstance(a.type, Int)
        kind = a.type.whole
        b = self._shift_count(right) if name in ("shl", "shr") else self.value(right, kind)
        return arithmetic(name, a, b, kind)

    def _compare(self, node: ast.expr, left: ast.expr, op: ast.cmpop, right: ast.expr) -> Value:
        if type(op) not in COMPARISONS:
            self.fail(node, f"{construct(node)} is not part of kernel Python")
        name = COMPARISONS[type(op)]
        a, b, _ = self._operands(left, right)
        if isinstance(a.type, Pointer) and name not in ("eq", "ne"):
            self.fail(node, "pointers are equal or not, nothing else")
        if isinstance(op, ast.Is | ast.IsNot) and not isinstance(a.type, Pointer):
            self.fail(node, "`is` compares pointers", "write == or !=")
        return Value(compared(name, a, b), BOOL)

    def _logic(self, node: ast.expr, op: str, values: list[ast.expr]) -> Value:
        """and, or: the right side is evaluated only where C evaluates it."""
        result = self.condition(values[0])
        for value in values[1:]:
            if isinstance(result, Const) and result.value == int(op == "lor"):
                # Still checked, though never executed.
                self._discarded(value)
                continue
            result = self._short_circuit(node, op, result, value)
        return Value(result, BOOL)

    def _short_circuit(self, node: ast.expr, op: str, left: Expr, right: ast.expr) -> Expr:
        builder, loc = self.builder, self.at(node)
        if is_pure(self, right):
            return joined(op, left, self.condition(right))
        if isinstance(left, Const):
            return self.condition(right)
        result = builder.temporary(BOOL)
        builder.emit(Assign(result.name, left, loc))
        more, end = builder.label("and" if op == "land" else "or"), builder.label("end")
        if op == "land":
            builder.branch(result, more, end, loc)
        else:
            builder.branch(result, end, more, loc)
        builder.start(more)
        value = self.condition(right)
        builder.emit(Assign(result.name, value, self.at(right)))
        builder.terminate(Jump(end, loc))
        builder.start(end)
        return result

    def _discarded(self, node: ast.expr) -> None:
        """Lower for the sake of its errors only."""
        builder = self.builder
        end, dead = builder.label("end"), builder.label("dead")
        builder.terminate(Jump(end, self.at(node)))
        builder.start(dead)
        self.condition(node)
        builder.terminate(Jump(end, self.at(node)))
        builder.start(end)

    def _conditional(
        self,
        node: ast.expr,
        test: ast.expr,
        body: ast.expr,
        orelse: ast.expr,
        expected: Scalar | None,
    ) -> Value:
        builder, loc = self.builder, self.at(node)
        condition = self.condition(test)
        if is_pure(self, body) and is_pure(self, orelse):
            a, b, literal = self._both(body, orelse, expected)
            result = selected(condition, a, b)
            return Value(result, result.type, literal=literal and isinstance(result, Const))
        then, other, end = builder.label("then"), builder.label("else"), builder.label("end")
        if expected is None:
            expected = self.probed(lambda: self._operands(body, orelse)[0].type)
        target = builder.temporary(expected)
        builder.branch(condition, then, other, loc)
        builder.start(then)
        builder.emit(Assign(target.name, self.value(body, target.type), self.at(body)))
        builder.terminate(Jump(end, loc))
        builder.start(other)
        builder.emit(Assign(target.name, self.value(orelse, target.type), self.at(orelse)))
        builder.terminate(Jump(end, loc))
        builder.start(end)
        return Value(target, target.type)

    def probed(self, ask: Callable[[], Result]) -> Result:
        """What ``ask`` finds out by lowering, without what it emits."""
        probe = Builder("probe", {}, None)
        probe.variables = dict(self.builder.variables)
        real, self.builder = self.builder, probe
        try:
            return ask()
        finally:
            self.builder = real

    def _both(
        self, body: ast.expr, orelse: ast.expr, expected: Scalar | None
    ) -> tuple[Expr, Expr, bool]:
        if expected is not None:
            return self.value(body, expected), self.value(orelse, expected), False
        return self._operands(body, orelse)

    # --- calls -------------------------------------------------------------

    def call(self, node: ast.Call, expected: Scalar | None) -> Value | None:
        """A call; None when the function returns nothing."""
        if not isinstance(node.func, ast.Name):
            self.fail(node.func, "only functions can be called, by their name")
            raise AssertionError
        name = node.func.id
        for argument in node.args:
            if isinstance(argument, ast.Starred):
                self.fail(argument, "arguments are passed one by one")
        if node.keywords:
            self.fail(node.keywords[0].value, "arguments are passed by position")
        if name in INTEGERS:
            return self._cast(node, INTEGERS[name])
        if name in self.builder.variables:
            self.fail(node.func, f"{name} is a local variable, no function")
        if name in self.intrinsics.names:
            return self.intrinsics.lower(self, name, node, expected)
        signature = self.signatures.get(name)
        if signature is None:
            self.scope.unknown(
                self.source, node.func, name, *self.signatures, *self.intrinsics.names
            )
        assert signature is not None
        if self.atomic and not signature.atomic:
            self.fail(
                node,
                f"an atomic function calls {name}, which is not atomic",
                "mark the callee @atomic if it runs within one step",
            )
        if len(node.args) != len(signature.parameters):
            self.fail(
                node,
                f"{name} takes {len(signature.parameters)} arguments, not {len(node.args)}",
                f"it is declared at {signature.location}",
            )
        arguments = tuple(
            self.value(argument, kind)
            for argument, (_, kind) in zip(node.args, signature.parameters, strict=True)
        )
        if signature.result is None:
            self.builder.emit(Call(None, name, arguments, self.at(node)))
            return None
        result = self.builder.temporary(signature.result)
        self.builder.emit(Call(result.name, name, arguments, self.at(node)))
        return Value(result, result.type)

    def _cast(self, node: ast.Call, kind: Int) -> Value:
        if len(node.args) != 1:
            self.fail(node, f"{kind}(...) converts one value")
        value = self.lower(node.args[0], None)
        if value.open:
            value = self.lower(node.args[0], kind)
        expr = self.rvalue(node.args[0], value, None)
        if not isinstance(expr.type, Int):
            self.fail(node.args[0], f"{spelled(expr.type)} is no integer")
        if isinstance(expr, Const):
            number = int(expr.value != 0) if kind.bits == 1 else kind.wrapped(expr.value)
            return Value(Const(number, kind), kind)
        return Value(Cast(expr, kind), kind)


class Intrinsics:
    """What the language gives a meaning; see intrinsics.py."""

    names: frozenset[str] = frozenset()

    def lower(
        self, owner: Expressions, name: str, node: ast.Call, expected: Scalar | None
    ) -> Value | None:
        raise NotImplementedError


def is_pure(owner: Expressions, node: ast.expr) -> bool:
    """Whether evaluating ``node`` reads no memory and calls nothing."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Call):
            if not (isinstance(inner.func, ast.Name) and inner.func.id in INTEGERS):
                return False
        elif isinstance(inner, ast.Attribute | ast.Subscript | ast.IfExp | ast.BoolOp):
            return False
        elif isinstance(inner, ast.Name):
            declared = owner.scope.globals.get(inner.id)
            local = inner.id in owner.builder.variables
            if declared is not None and not local and not isinstance(declared.type, Struct):
                return False
    return True
