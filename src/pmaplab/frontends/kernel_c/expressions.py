"""Lowering C's expressions.  Every read of memory becomes a Load of its own.

clang has made every conversion explicit: a node without a kind of its own whose
type is not that of what stands below converts it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from pmaplab.errors import Location
from pmaplab.frontends.builder import arithmetic, as_condition, compared, joined, negated, selected
from pmaplab.frontends.kernel_c.nodes import INT, VOID, CType, Node, unwrapped, walk
from pmaplab.frontends.kernel_c.places import Places, describe
from pmaplab.frontends.kernel_c.types import LEFT_OUT
from pmaplab.frontends.kernel_c.values import Inside, InsideStructure, Place, Value, coerce, fail
from pmaplab.ir.nodes import Assign, Const, Count, Expr, Jump, Local, Unary
from pmaplab.ir.types import BOOL, U64, Int, Pointer, Scalar, Struct, Type

TRANSPARENT = ("UNEXPOSED_EXPR", "PAREN_EXPR", "CSTYLE_CAST_EXPR")

_ARITHMETIC = {
    "+": "add", "-": "sub", "*": "mul", "/": "div", "%": "mod",
    "&": "and", "|": "or", "^": "xor", "<<": "shl", ">>": "shr",
}  # fmt: skip
_COMPUTES = ("UNARY_OPERATOR", "BINARY_OPERATOR", "CONDITIONAL_OPERATOR", "StmtExpr")
_COMPARISONS = {"==": "eq", "!=": "ne", "<": "lt", "<=": "le", ">": "gt", ">=": "ge"}


class Expressions(Places):
    """Lowers the expressions of one function into its builder."""

    # Set by what lowers a function, which also needs these.
    calls: Calls
    statement_expression: Callable[[Node], Value]

    # --- values -------------------------------------------------------------------

    def scalar(self, node: Node) -> Expr:
        """The value of ``node``; an error where the table leaves it out."""
        value = self.value(node)
        if value.expr is None:
            if value.local is not None:
                fail(node.loc, "the address of a local variable is used as a value")
            fail(
                node.loc,
                f"this depends on what is left out of the model: {value.outside}",
                f"do not leave it out, or leave out what it decides; {LEFT_OUT}",
            )
        return value.expr

    def condition(self, node: Node) -> Expr:
        return as_condition(self.scalar(node))

    def effect(self, node: Node) -> Value:
        """Evaluate ``node`` for what it does: a value that C does not define is an
        error even where nobody uses it."""
        while node.kind in TRANSPARENT and len(node.children) == 1 and node.value is None:
            node = node.children[0]
        if node.kind == "BINARY_OPERATOR" and node.name == ",":
            self.effect(node.children[0])
            return self.effect(node.children[1])
        value = self.value(node)
        stored = node.name in ("=", "x++", "x--", "++x", "--x")
        plain = value.expr is None or isinstance(value.expr, Const | Local)
        if node.kind in _COMPUTES and not stored and not plain:
            assert value.expr is not None
            kept = self.builder.temporary(value.expr.type)
            self.builder.emit(Assign(kept.name, value.expr, node.loc))
        return value

    def value(self, node: Node) -> Value:
        """The value of ``node``."""
        ctype = node.type
        if node.value is not None and not node.children and node.kind != "MEMBER_REF_EXPR":
            kind = self.merged.scalar(ctype, node.loc) if ctype.kind == "int" else None
            if kind is None:
                fail(node.loc, f"{describe(node)} is not supported")
            return Value(coerce(Const(node.value, _wide(node.value)), kind), ctype)
        match node.kind:
            case "PAREN_EXPR":
                return self.value(node.children[0])
            case "UNEXPOSED_EXPR" | "CSTYLE_CAST_EXPR" if len(node.children) == 1:
                return self._conversion(node)
            case "DECL_REF_EXPR" if node.ref == "function":
                return self._function_pointer(node, ctype)
            case "DECL_REF_EXPR" | "MEMBER_REF_EXPR" | "ARRAY_SUBSCRIPT_EXPR":
                return self.read(self.place(node), node.loc)
            case "STRING_LITERAL":
                return Value(None, ctype, "a string")
            case "UNARY_OPERATOR":
                return self._unary(node)
            case "BINARY_OPERATOR":
                return self._binary(node)
            case "COMPOUND_ASSIGNMENT_OPERATOR":
                return self._compound(node)
            case "CONDITIONAL_OPERATOR":
                return self._conditional(node)
            case "CALL_EXPR":
                return self.calls.call(node)
            case "StmtExpr":
                return self.statement_expression(node)
        fail(
            node.loc,
            f"{describe(node)} is not supported",
            "give the function that holds it a meaning in a table ([[model]] or [[drop]])",
        )

    def _conversion(self, node: Node) -> Value:
        inner, ctype = node.children[0], node.type
        if ctype.kind == "void":
            value = self.effect(inner)
            return Value(None, ctype, value.outside or "nothing")
        if ctype.kind == "pointer" and inner.type.kind == "array":
            base = unwrapped(inner)
            if base.kind == "STRING_LITERAL":
                return Value(None, ctype, "a string")
            place = self.place(inner)
            if place.outside:
                return Value(None, ctype, place.outside, within=not place.inside)
            return Value(None, ctype, Inside("the address of an array's first element"))
        if ctype.kind == "pointer" and inner.type.kind == "function":
            return self._function_pointer(inner, ctype)
        value = self.value(inner)
        if value.expr is None:
            return replace(value, type=ctype)
        if ctype.kind == "struct":
            return replace(value, type=ctype)
        if ctype.kind == "int":
            if isinstance(value.expr.type, Pointer):
                if ctype.bits == 1:
                    return Value(as_condition(value.expr), ctype)
                return Value(None, ctype, _inside(value.expr.type, "an address as a number"))
            return Value(coerce(value.expr, self.merged.scalar(ctype, node.loc)), ctype)
        if ctype.kind != "pointer":
            fail(node.loc, f"a conversion to {ctype.text} is not supported")
        kind = self.merged.scalar(ctype, node.loc)
        if isinstance(value.expr, Const) and value.expr.value == 0:
            return Value(Const(0, kind), ctype)
        if isinstance(value.expr.type, Pointer) and ctype.target == VOID:
            return replace(value, type=ctype)
        if isinstance(value.expr.type, Pointer) and value.expr.type == kind:
            return replace(value, type=ctype)
        if isinstance(value.expr.type, Int) and value.type.kind == "pointer":
            return Value(value.expr, ctype)  # a number in the model already
        if isinstance(value.expr.type, Pointer):
            if isinstance(kind, Pointer) and _same_cells(kind.target, value.expr.type.target):
                return Value(value.expr, ctype)
            converted = f"a pointer converted to {ctype.text}"
            return Value(None, ctype, _inside(value.expr.type, converted))
        return Value(None, ctype, "an address made from a number")

    def _unary(self, node: Node) -> Value:
        inner, op = node.children[0], node.name
        if op in ("x++", "x--", "++x", "--x"):
            return self._step(node)
        match op:
            case "&":
                return self._address(node)
            case "*":
                return self.read(self.place(node), node.loc)
            case "!":
                value = self.value(inner)
                if value.expr is None and value.local is None:
                    return replace(value, type=INT)
                return Value(negated(self._true(value)), INT)
            case "__extension__" | "+":
                return self.value(inner)
        value = self.value(inner)
        if value.expr is None:
            return replace(value, type=node.type)
        kind = self.merged.scalar(node.type, node.loc)
        expr = coerce(value.expr, kind)
        if not isinstance(kind, Int) or op not in "-~":
            fail(node.loc, f"the operator {op} is not supported")
        if op == "-" and isinstance(expr, Const) and expr.value == kind.minimum and kind.signed:
            return Value(Unary("neg", expr, kind), node.type)  # undefined: fails
        if isinstance(expr, Const):
            return Value(coerce(Const(*_apply(op, expr.value)), kind), node.type)
        return Value(Unary("inv" if op == "~" else "neg", expr, kind), node.type)

    def _true(self, value: Value) -> Expr:
        if value.expr is None:
            return Const(1, BOOL)  # the address of a local variable
        return as_condition(value.expr)

    def _address(self, node: Node) -> Value:
        inner = unwrapped(node.children[0])
        if inner.ref == "function":
            return self._function_pointer(inner, node.type)
        place = self.place(inner)
        if place.outside or place.counter:
            reason = place.outside or "a statistics counter"
            return Value(None, node.type, reason, within=not place.inside)
        if place.local:
            return Value(None, node.type, local=place)
        if place.constant is not None:
            reason = Inside(f"the address of {inner.name}, which the mode fixes")
            return Value(None, node.type, reason)
        if place.pointer is not None:
            reason = Inside("the address of a pointer that the model computes")
            return Value(None, node.type, reason)
        return Value(place.address, node.type)

    def _function_pointer(self, node: Node, ctype: CType) -> Value:
        """The address of a function of the tree, which is a number here."""
        while node.kind in TRANSPARENT and node.children:
            node = node.children[0]
        taken = self.names.taken.get(node.name)
        if node.ref != "function" or taken is None:
            return Value(None, ctype, f"the address of the function {node.name}")
        return Value(Const(taken.number, U64), ctype)

    def _step(self, node: Node) -> Value:
        place = self.place(node.children[0])
        if place.counter:
            self.builder.emit(Count(place.counter, node.loc))
            return Value(None, node.type, "a statistics counter")
        self.kept_out(place, node.loc)
        old = self.read(place, node.loc)
        if old.expr is None:
            return old
        if not isinstance(old.expr.type, Int):
            fail(node.loc, f"{node.name.strip('x')} on a pointer is not supported")
        op = "add" if "+" in node.name else "sub"
        kept = old.expr
        if isinstance(kept, Local) and not kept.name.startswith(".") and node.name[0] == "x":
            # The variable changes before its old value is used.
            temporary = self.builder.temporary(kept.type)
            self.builder.emit(Assign(temporary.name, kept, node.loc))
            kept = temporary
        wide = INT if node.type.bits < 32 else node.type
        kind = self.merged.scalar(wide, node.loc)
        assert isinstance(kind, Int)
        changed = arithmetic(op, coerce(kept, kind), Const(1, kind), kind)
        result = coerce(changed, self.merged.scalar(node.type, node.loc))
        self.write(place, Value(result, node.type), node.loc)
        if node.name[0] == "x":
            return Value(kept, node.type)
        return self.read(place, node.loc) if place.local else Value(result, node.type)

    def _binary(self, node: Node) -> Value:
        left, right = node.children
        op = node.name
        if op == "=":
            return self._assign(node)
        if op == ",":
            self.effect(left)
            return self.value(right)
        if op in ("&&", "||"):
            return self._logic(node)
        a, b = self.value(left), self.value(right)
        _no_local(node, a, b)
        if a.expr is None or b.expr is None:
            if op in _COMPARISONS:
                return Value(None, node.type, a.outside or b.outside)
            return _mixed(node.type, a, b)
        if op in _COMPARISONS:
            x, y = self._alike(a, b, node)
            return Value(compared(_COMPARISONS[op], x, y), node.type)
        if op not in _ARITHMETIC:
            fail(node.loc, f"the operator {op} is not supported")
        if a.span is not None and op in ("+", "-"):
            return self._moved(a, _ARITHMETIC[op], b, node)
        if b.span is not None and op == "+":
            return self._moved(b, "add", a, node)
        if isinstance(a.expr.type, Pointer) or isinstance(b.expr.type, Pointer):
            fail(node.loc, "arithmetic on a pointer is not supported", LEFT_OUT)
        kind = self.merged.scalar(node.type, node.loc)
        if not isinstance(kind, Int):
            return Value(None, node.type, "an address made from a number")
        return Value(self._calculate(op, a.expr, b.expr, kind), node.type)

    def _calculate(self, op: str, a: Expr, b: Expr, kind: Int) -> Expr:
        """``a op b`` in the type ``kind``; the right side of a shift has a type
        of its own."""
        if op in ("<<", ">>"):
            assert isinstance(b.type, Int)
            count = coerce(b, Int(b.type.bits)) if b.type.signed else b
            return arithmetic(_ARITHMETIC[op], coerce(a, kind), count, kind)
        return arithmetic(_ARITHMETIC[op], coerce(a, kind), coerce(b, kind), kind)

    def _alike(self, a: Value, b: Value, node: Node) -> tuple[Expr, Expr]:
        """Two operands of a comparison in one type."""
        x, y = a.expr, b.expr
        assert x is not None and y is not None
        if isinstance(x.type, Pointer) or isinstance(y.type, Pointer):
            if node.name not in ("==", "!="):
                fail(node.loc, "pointers are compared for equality only")
            if isinstance(x, Const) and x.value == 0:
                x = Const(0, y.type)
            elif isinstance(y, Const) and y.value == 0:
                y = Const(0, x.type)
            if x.type != y.type:
                fail(node.loc, f"{x.type} and {y.type} of the model are compared")
            return x, y
        ctype = node.children[0].type
        kind = self.merged.scalar(ctype, node.loc) if ctype.kind == "int" else x.type
        return coerce(x, kind), coerce(y, kind)

    def _assign(self, node: Node) -> Value:
        left, right = node.children
        if node.type.kind == "struct":
            self.assign_struct(self.place(left), right, node.loc)
            return Value(None, node.type, "a structure")
        place = self.place(left)
        if place.outside or place.fixed or place.counter:
            self.write(place, self._harmless(right), node.loc)
            reason = place.outside or "the model gives it"
            return Value(None, node.type, reason)
        value = self.value(right)
        self.write(place, value, node.loc)
        if value.expr is not None and place.kind is None and place.local:
            return self.read(place, node.loc)
        return value

    def assign_struct(self, to: Place, source: Node, loc: Location) -> None:
        """A structure assigned as a whole."""
        if self.merged.only_cell(source.type) is not None and not to.outside:
            self.write(to, self.value(source), loc)
        else:
            self.copy(to, self.place(source), loc)

    def _compound(self, node: Node) -> Value:
        left, right = node.children
        op = node.name.removesuffix("=")
        place = self.place(left)
        if place.counter:
            if op != "+" or not _is_one(right):
                fail(node.loc, "a statistics counter only counts", "take it off [[counter]]")
            self.builder.emit(Count(place.counter, node.loc))
            return Value(None, node.type, "a statistics counter")
        self.kept_out(place, node.loc)
        if place.outside or place.fixed:
            self._harmless(right)
            return Value(None, node.type, place.outside or "the model gives it")
        old, operand = self.read(place, node.loc), self.value(right)
        if operand.expr is None:
            self.write(place, operand, node.loc)
            return operand
        if old.expr is None:
            return old
        if not isinstance(old.expr.type, Int) or not isinstance(operand.expr.type, Int):
            fail(node.loc, f"{node.name} on a pointer is not supported", LEFT_OUT)
        common = usual(left.type, right.type) if op not in ("<<", ">>") else usual(left.type, INT)
        kind = self.merged.scalar(common, node.loc)
        assert isinstance(kind, Int)
        value = self._calculate(op, old.expr, operand.expr, kind)
        result = Value(coerce(value, self.merged.scalar(node.type, node.loc)), node.type)
        self.write(place, result, node.loc)
        return self.read(place, node.loc) if place.local else result

    def _logic(self, node: Node) -> Value:
        """&&, ||: the right side is evaluated only where C evaluates it."""
        left, right = node.children
        op = "land" if node.name == "&&" else "lor"
        first = self.value(left)
        if first.expr is None and first.local is None:
            self._harmless(right)
            return Value(None, node.type, first.outside)
        a = self._true(first)
        if isinstance(a, Const):
            if a.value == int(op == "lor"):
                return Value(a, node.type)
            second = self.value(right)
            return (
                replace(second, type=node.type)
                if second.expr is None
                else Value(as_condition(second.expr), node.type)
            )
        if self.simple(right):
            second = self.value(right)
            if second.expr is None:
                return replace(second, type=node.type)
            return Value(joined(op, a, as_condition(second.expr)), node.type)
        builder, loc = self.builder, node.loc
        result = builder.temporary(BOOL)
        builder.emit(Assign(result.name, a, loc))
        more, end = builder.label("and" if op == "land" else "or"), builder.label("end")
        if op == "land":
            builder.branch(result, more, end, loc)
        else:
            builder.branch(result, end, more, loc)
        builder.start(more)
        builder.emit(Assign(result.name, self.condition(right), right.loc))
        builder.terminate(Jump(end, loc))
        builder.start(end)
        return Value(result, node.type)

    def simple(self, node: Node) -> bool:
        """Whether evaluating ``node`` reads no memory and does nothing."""
        for inner in walk(node):
            match inner.kind:
                case "CALL_EXPR":
                    if not is_expect(inner):
                        return False
                case "MEMBER_REF_EXPR" | "ARRAY_SUBSCRIPT_EXPR" | "StmtExpr":
                    return False
                case "CONDITIONAL_OPERATOR" | "COMPOUND_ASSIGNMENT_OPERATOR":
                    return False
                case "BINARY_OPERATOR" if inner.name in ("=", "&&", "||", ","):
                    return False
                case "UNARY_OPERATOR" if inner.name not in ("!", "~", "-", "+", "&"):
                    return False
                case "DECL_REF_EXPR" if inner.ref == "global":
                    name = self.merged.api.names.get(inner.name, inner.name)
                    known = self.merged.scope.constant(name) is not None
                    if not known and inner.type.kind != "struct":
                        return False
        return True

    def _conditional(self, node: Node) -> Value:
        test, then, other = node.children
        first = self.value(test)
        if first.expr is None and first.local is None:
            arms = self._harmless(then), self._harmless(other)
            _no_local(node, *arms)
            return _mixed(node.type, Value(None, node.type, first.outside), *arms)
        condition = self._true(first)
        if isinstance(condition, Const):
            return self.value(then if condition.value else other)
        if node.type.kind == "void":
            return self._either(node, condition, None)
        whole = node.type.kind == "struct"
        if not whole and self.simple(then) and self.simple(other):
            a, b = self.value(then), self.value(other)
            _no_local(node, a, b)
            if a.expr is None or b.expr is None:
                return _mixed(node.type, a, b)
            kind = self.merged.scalar(node.type, node.loc)
            x, y = self.fit(a.expr, kind, node.loc), self.fit(b.expr, kind, node.loc)
            return Value(selected(condition, x, y), node.type)
        found: list[Value] = []
        for arm in (then, other):
            self.probed(lambda arm=arm: found.append(self.value(arm)))  # type: ignore[misc]
        _no_local(node, *found)
        if any(each.expr is None for each in found):
            return _mixed(node.type, self._harmless(then), self._harmless(other))
        kind = self.merged.scalar(node.type, node.loc)
        return self._either(node, condition, kind)

    def _either(self, node: Node, condition: Expr, kind: Scalar | None) -> Value:
        builder, loc = self.builder, node.loc
        _, then, other = node.children
        target = None if kind is None else builder.temporary(kind)
        labels = builder.label("then"), builder.label("else"), builder.label("end")
        builder.branch(condition, labels[0], labels[1], loc)
        for label, arm in zip(labels, (then, other), strict=False):
            builder.start(label)
            if target is None:
                self.value(arm)
            else:
                expr = self.fit(self.scalar(arm), target.type, arm.loc)
                builder.emit(Assign(target.name, expr, arm.loc))
            builder.terminate(Jump(labels[2], loc))
        builder.start(labels[2])
        return Value(target, node.type, "" if target is not None else "nothing")


class Calls(Protocol):
    """What a call means: see :mod:`.calls`."""

    def call(self, node: Node) -> Value: ...


def usual(left: CType, right: CType) -> CType:
    """C's usual arithmetic conversions (6.3.1.8)."""
    pair = [INT if t.kind == "int" and t.bits < 32 else t for t in (left, right)]
    a, b = pair
    if a.bits != b.bits:
        return a if a.bits > b.bits else b
    return a if not a.signed else b


def _no_local(node: Node, *values: Value) -> None:
    if any(each.local is not None for each in values):
        fail(node.loc, "the address of a local variable is used as a value")


def _mixed(ctype: CType, *values: Value) -> Value:
    """What is made of values of which one is left out: it may still be an address."""
    reason = next(each.outside for each in values if each.expr is None)
    for each in values:
        if isinstance(each.outside, Inside):
            return Value(None, ctype, each.outside)
        if each.expr is not None and isinstance(each.expr.type, Pointer):
            if isinstance(each.expr, Const):
                continue
            mixed = f"an address together with what is left out: {reason}"
            return Value(None, ctype, _inside(each.expr.type, mixed))
    return Value(None, ctype, reason)


def _inside(kind: Pointer, reason: str) -> Inside:
    """Why there is no value for what was an address of the model's."""
    return InsideStructure(reason) if isinstance(kind.target, Struct) else Inside(reason)


def _wide(number: int) -> Int:
    return Int(64, signed=number < 0)


def _apply(op: str, number: int) -> tuple[int, Int]:
    result = ~number if op == "~" else -number
    return result, _wide(result)


def _is_one(node: Node) -> bool:
    while node.kind in TRANSPARENT and node.value is None and node.children:
        node = node.children[0]
    return node.value == 1


def is_expect(node: Node) -> bool:
    """Whether a call is __builtin_expect, which is its first argument."""
    callee = node.children[0]
    while callee.kind in TRANSPARENT and callee.children:
        callee = callee.children[0]
    return callee.name == "__builtin_expect"


def _same_cells(left: Type, right: Type) -> bool:
    """Whether pointers to both can point to the same cells."""
    if isinstance(left, Int) and isinstance(right, Int):
        return left.bits == right.bits
    return left == right
