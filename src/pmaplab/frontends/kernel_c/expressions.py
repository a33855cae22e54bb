"""Lowering C's expressions.  Every read of memory becomes a Load of its own.

clang has made every conversion explicit: a node without a kind of its own whose
type is not that of what stands below converts it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from pmaplab.errors import Location
from pmaplab.frontends.builder import (
    Builder,
    arithmetic,
    as_condition,
    compared,
    joined,
    negated,
    selected,
)
from pmaplab.frontends.kernel_c.nodes import INT, CFunction, CType, Node, called, unwrapped, walk
from pmaplab.frontends.kernel_c.types import LEFT_OUT, Merged
from pmaplab.frontends.kernel_c.values import Place, Probe, Restart, Span, Value, coerce, fail
from pmaplab.frontends.kernel_python.values import Signature
from pmaplab.ir.nodes import (
    Assert,
    Assign,
    Binary,
    Cast,
    Const,
    Count,
    Expr,
    FieldAddress,
    GlobalAddress,
    IndexAddress,
    Jump,
    Load,
    Local,
    Store,
    ThisCpu,
    Unary,
)
from pmaplab.ir.types import BOOL, U32, U64, Array, Int, Pointer, Scalar, Struct, Type

PCPU = "__pmaplab_pcpu"
PCPU_ADD = "__pmaplab_pcpu_add"
TRANSPARENT = ("UNEXPOSED_EXPR", "PAREN_EXPR", "CSTYLE_CAST_EXPR")

_ARITHMETIC = {
    "+": "add", "-": "sub", "*": "mul", "/": "div", "%": "mod",
    "&": "and", "|": "or", "^": "xor", "<<": "shl", ">>": "shr",
}  # fmt: skip
_COMPARISONS = {"==": "eq", "!=": "ne", "<": "lt", "<=": "le", ">": "gt", ">=": "ge"}
_VOID = CType("void", "void")


UNTYPED = "a pointer converted to void *"


@dataclass(frozen=True, slots=True)
class Taken:
    """A function whose address is taken: the number that stands for it."""

    number: int
    type: CType


@dataclass(frozen=True)
class Names:
    """What a call can mean: see :mod:`.calls`."""

    signatures: Mapping[str, Signature]  # of kernel Python and of the C
    from_tree: frozenset[str]  # functions with a body in the tree
    ifuncs: Mapping[str, str]  # what each stands for in this mode
    taken: Mapping[str, Taken]  # functions that pointers may lead to
    inline: Mapping[str, CFunction]  # functions that only compute a pointer


class Expressions:
    """Lowers the expressions of one function into its builder.

    ``opaque`` are the local variables that hold what is left out, by key, with
    the reason; one more raises Restart.
    """

    def __init__(
        self,
        merged: Merged,
        builder: Builder,
        names: Names,
        opaque: dict[str, str],
        *,
        atomic: bool,
    ) -> None:
        self.merged = merged
        self.builder = builder
        self.names = names
        self.opaque = opaque
        self.atomic = atomic
        self.locals: dict[str, str] = {}  # key: name in the builder
        self.types: dict[str, CType] = {}
        self.fixed: dict[str, Expr] = {}  # locals that only ever hold this
        self.spans: dict[str, Span] = {}  # locals that point into an array, likewise
        self.single: frozenset[str] = frozenset()  # locals that are assigned once
        self.members: dict[str, list[Node]] = {}  # of local structures, by key

    # --- locals -------------------------------------------------------------------

    def declare(self, name: str, key: str, ctype: CType, loc: Location) -> None:
        """A local variable; what it cannot hold is left out or an error."""
        self.types[key] = ctype
        if key in self.opaque:
            return
        if ctype.kind == "struct" and (reason := self.merged.outside_struct(ctype)):
            self.hide(key, reason)
        unique, number = name, 1
        taken = set(self.locals.values())
        while unique in taken or unique in self.names.signatures:
            number += 1
            unique = f"{name}_{number}"
        self.locals[key] = unique
        if ctype.kind in ("int", "pointer"):
            self.builder.variables[unique] = self.merged.scalar(ctype, loc)

    def parts(self, name: str) -> list[Place]:
        """The fields of a local structure that the function names."""
        key = next((key for key, local in self.locals.items() if local == name), "")
        return [
            Place(node.type, local=f"{name}.{node.name}", width=node.value)
            for node in self.members.get(key, ())
        ]

    def hide(self, key: str, reason: str) -> None:
        self.opaque[key] = reason
        raise Restart

    def cell_of_local(self, place: Place, loc: Location) -> Local:
        """The scalar variable that a local place is."""
        kind = self.builder.variables.get(place.local)
        if kind is None:
            kind = self.merged.scalar(place.type, loc)
            self.builder.variables[place.local] = kind
        return Local(place.local, kind)

    # --- places -------------------------------------------------------------------

    def place(self, node: Node) -> Place:
        """``node`` as an object."""
        match node.kind:
            case "PAREN_EXPR":
                return self.place(node.children[0])
            case "UNEXPOSED_EXPR" if node.children and (
                node.children[0].type == node.type or node.type.kind in ("array", "struct")
            ):
                return self.place(node.children[0])
            case "DECL_REF_EXPR" if node.ref == "local":
                if node.key in self.opaque:
                    return Place(node.type, outside=self.opaque[node.key])
                if node.key not in self.locals:
                    fail(node.loc, f"{node.name} is not declared here", "this is a bug")
                return Place(node.type, local=self.locals[node.key])
            case "DECL_REF_EXPR" if node.ref == "global":
                return self.merged.object(node)
            case "DECL_REF_EXPR" if node.ref == "static":
                fail(node.loc, f"a static local variable, {node.name}", LEFT_OUT)
            case "MEMBER_REF_EXPR" if node.children:
                return self._member(node)
            case "ARRAY_SUBSCRIPT_EXPR":
                return self._element(node)
            case "UNARY_OPERATOR" if node.name == "*":
                return self.target(self.value(node.children[0]), node)
            case "StmtExpr" | "CALL_EXPR" if node.type.kind == "struct":
                fail(node.loc, "a structure that a call returns")
        fail(node.loc, f"{describe(node)} is not supported as a place in memory")

    def target(self, pointer: Value, node: Node) -> Place:
        """What ``pointer`` points to."""
        if pointer.expr is None and pointer.local is not None:
            return pointer.local
        ctype = pointer.type.target or _VOID
        if pointer.expr is None:
            struct = self.merged.struct_name(ctype.name) if ctype.kind == "struct" else None
            if struct is not None and not pointer.within:
                fail(
                    node.loc,
                    f"a structure {struct} is used through a pointer that is left out of the "
                    f"model: {pointer.outside}",
                    "do not leave that pointer out",
                )
            return Place(node.type, outside=pointer.outside)
        if ctype.kind == "struct" and (reason := self.merged.outside_struct(ctype)):
            return Place(node.type, outside=reason)
        if not isinstance(pointer.expr.type, Pointer):
            fail(node.loc, f"{pointer.type.text} points to nothing of the model", LEFT_OUT)
        return Place(ctype, pointer.expr.type.target, pointer.expr)

    def _member(self, node: Node) -> Place:
        inner = node.children[0]
        constant = self._constant_field(node)
        if constant is not None:
            return constant
        if inner.kind == "MEMBER_REF_EXPR" and inner.type.kind == "struct" and inner.children:
            # A field of a structure within one can be the model's field of the outer.
            outer = inner.children[0].type
            path = f"{(outer.target or outer).name}.{inner.name}.{node.name}"
            if path in self.merged.api.names:
                named = replace(node, name=f"{inner.name}.{node.name}", children=inner.children)
                return self._member(named)
        if inner.type.kind == "pointer":
            base = self.target(self.value(inner), node)
        else:
            base = self.place(inner)
        if base.outside:
            return Place(node.type, outside=base.outside)
        if base.local:
            return Place(node.type, local=f"{base.local}.{node.name}", width=node.value)
        beside = self.merged.api.names.get(f"{base.type.name}.{node.name}", "")
        if beside.endswith("[]"):
            return self._beside(base, beside.removesuffix("[]"), node)
        struct, name, kind, special = self.merged.member(base.type, node)
        if special is not None:
            return special
        if node.value is not None:
            fail(node.loc, f"the bit field {node.name} of an object in memory")
        assert base.address is not None
        if base.kind != Struct(struct):
            fail(node.loc, f"{base.type.text} is {base.kind} in the model, not {struct}")
        c = f"{base.type.name}.{node.name}"
        address = FieldAddress(base.address, struct, name, Pointer(kind))
        given = self.merged.api.given.get(c)
        if given is not None:
            self.merged.given_used[c] = given
        return Place(node.type, kind, address, fixed=given is not None)

    def _beside(self, base: Place, name: str, node: Node) -> Place:
        """A field of the CPUs' data that the model has in an array of its own."""
        decl = self.merged.scope.globals.get(name)
        owner = base.address
        if decl is None or not isinstance(decl.type, Array):
            fail(node.loc, f"the model has no array {name}")
        if not isinstance(owner, IndexAddress) or owner.length != decl.type.length:
            fail(node.loc, f"whose {node.name} this is must be known here")
        kind = decl.type.element
        address = GlobalAddress(name, Pointer(decl.type))
        element = IndexAddress(address, owner.index, owner.length, Pointer(kind))
        return Place(node.type, kind, element)

    def _constant_field(self, node: Node) -> Place | None:
        """A field that the table takes for a constant of the model."""
        base = node.children[0].type
        tag = base.target.name if base.target is not None else base.name
        c, api = f"{tag}.{node.name}", self.merged.api
        constant = self.merged.scope.constant(api.names[c]) if c in api.names else None
        if constant is None:
            return None
        for inner in walk(node.children[0]):
            changes = inner.kind == "BINARY_OPERATOR" and inner.name == "="
            if changes or inner.kind == "COMPOUND_ASSIGNMENT_OPERATOR" or "++" in inner.name:
                fail(inner.loc, f"{c} is a constant, but evaluating this has an effect")
            if inner.kind == "CALL_EXPR" and [*called(inner)] != [PCPU]:
                fail(inner.loc, f"{c} is a constant, but a call says whose")
        if c in api.given:
            self.merged.given_used[c] = api.given[c]
        return self.merged.constant(constant.value, node)

    def _element(self, node: Node) -> Place:
        array, index = node.children
        inner = unwrapped(array)
        while inner.kind == "UNEXPOSED_EXPR" and inner.type.kind == "pointer" and inner.children:
            inner = unwrapped(inner.children[0])
        if inner.type.kind != "array":
            pointer = self.value(array)
            if pointer.expr is None and pointer.local is None:
                self._harmless(index)
                return self.target(pointer, node)
            if pointer.span is not None:
                moved = self._moved(pointer, "add", self.value(index), array)
                assert moved.span is not None and moved.expr is not None
                return Place(node.type, moved.span.array.element, moved.expr)
            fail(
                node.loc,
                "an index on a pointer is not supported",
                f"arrays of the model are indexed by their name; {LEFT_OUT}",
            )
        base = self.place(inner)
        if base.outside:
            self._harmless(index)
            return Place(node.type, outside=base.outside)
        number = self.value(index)
        if number.expr is None:
            fail(index.loc, f"an index that is left out of the model: {number.outside}")
        if base.local:
            return self._local_element(base, number.expr, node)
        if not isinstance(base.kind, Array):
            fail(node.loc, f"{base.type.text} is no array in the model")
        if isinstance(number.expr, Const) and not 0 <= number.expr.value < base.kind.length:
            fail(index.loc, f"the index {number.expr.value} is outside of {base.kind.length}")
        assert base.address is not None
        place = number.expr
        while isinstance(place, Cast) and isinstance(place.operand, ThisCpu | Cast):
            place = place.operand
        element = base.kind.element
        address = IndexAddress(base.address, place, base.kind.length, Pointer(element))
        if base.addresses:
            return Place(node.type, pointer=address)
        return Place(node.type, element, address)

    def _local_element(self, base: Place, index: Expr, node: Node) -> Place:
        """An element of a local array, which has no cells that could be counted."""
        length = base.type.length
        if isinstance(index, Const):
            if not 0 <= index.value < length:
                fail(node.loc, f"the index {index.value} is outside of {length}")
            return Place(node.type, local=f"{base.local}.{index.value}")
        if length != 1:
            fail(node.loc, "an index into a local array of several elements is a constant")
        inside = compared("eq", index, Const(0, index.type))
        self.builder.emit(Assert(inside, "panic", "an index outside of 1 element", (), node.loc))
        return Place(node.type, local=f"{base.local}.0")

    def _harmless(self, node: Node) -> None:
        """Check that what is not evaluated would have no effect."""
        effects = self.probed(lambda: self.value(node))
        if effects:
            fail(
                node.loc,
                "this is left out of the model, but evaluating it has an effect",
                "take the effect into a statement of its own, or do not leave this out",
            )

    # --- reading and writing ---------------------------------------------------------

    def read(self, place: Place, loc: Location) -> Value:
        """The value of an object."""
        if place.outside:
            return Value(None, place.type, place.outside)
        if place.counter:
            return Value(None, place.type, "a statistics counter")
        if place.constant is not None:
            return Value(place.constant, place.type)
        if place.pointer is not None:
            return Value(place.pointer, place.type)
        if place.address is not None and isinstance(place.kind, Array) and place.fixed:
            return spanned(place.address, place.kind, Const(0, U64), place.type)
        place = self._narrowed(place)
        if place.local:
            if place.type.kind in ("struct", "array"):
                fail(loc, f"a value of the type {place.type.text}")
            if place.local in self.fixed:
                return Value(self.fixed[place.local], place.type)
            if place.local in self.spans:
                span = self.spans[place.local]
                return spanned(span.base, span.array, span.index, place.type)
            return Value(self.cell_of_local(place, loc), place.type)
        if not isinstance(place.kind, Int | Pointer):
            fail(loc, f"a value of the type {place.type.text} is not supported")
        assert place.address is not None
        loaded = self.builder.temporary(place.kind)
        self.builder.emit(Load(loaded.name, place.address, loc))
        if place.this_cpu:
            same = Binary("eq", coerce(loaded, U32), ThisCpu(), BOOL)
            self.builder.emit(Assert(same, "panic", "not the CPU that was started", (), loc))
            return Value(self._as(ThisCpu(), place.type, loc), place.type)
        return Value(self._as(loaded, place.type, loc), place.type)

    def _narrowed(self, place: Place) -> Place:
        """The only cell of a structure that goes by value; else ``place``."""
        cell = self.merged.only_cell(place.type) if place.type.kind == "struct" else None
        if cell is None:
            return place
        path, kind = cell
        if place.local:
            name = f"{place.local}{path}"
            self.builder.variables.setdefault(name, kind)
            return Place(_integer(kind), local=name)
        found: Type | None = place.kind
        for part in path.split(".")[1:]:
            if isinstance(found, Struct):
                inner = dict(self.merged.all_fields(found.name))[part]
                place = _part(place, found.name, part, inner)
            else:
                assert isinstance(found, Array)
                place = _item(place, found, int(part))
            found = place.kind
        return replace(place, type=_integer(kind))

    def _as(self, expr: Expr, ctype: CType, loc: Location) -> Expr:
        """A cell's value as the C type; a pointer that the model holds as a
        number stays one."""
        kind = self.merged.scalar(ctype, loc)
        if isinstance(kind, Int) and isinstance(expr.type, Int):
            return coerce(expr, kind)
        return expr

    def write(self, place: Place, value: Value, loc: Location) -> None:
        """Store; what the table leaves out is not stored."""
        if place.outside or place.counter or place.fixed:
            return
        if place.pointer is not None:
            fail(loc, "the model gives this pointer, and the tree stores another")
        place = self._narrowed(place)
        if value.expr is None:
            if value.local is not None:
                fail(loc, "the address of a local variable is kept in a variable")
            self._refuse(place, value, loc)
        assert value.expr is not None
        if place.constant is not None:
            same = compared("eq", coerce(value.expr, place.constant.type), place.constant)
            if not (isinstance(same, Const) and same.value):
                message = "the tree sets a tunable to what the mode excludes"
                self.builder.emit(Assert(same, "mode", message, (), loc))
            return
        if place.local:
            variable = self.cell_of_local(place, loc)
            if place.type.target == _VOID and isinstance(value.expr.type, Pointer):
                self._refuse(place, replace(value, expr=None, outside=UNTYPED), loc)
            expr = self.fit(value.expr, variable.type, loc)
            if place.width is not None:
                assert isinstance(variable.type, Int)
                mask = Const((1 << place.width) - 1, variable.type)
                expr = arithmetic("and", expr, mask, variable.type)
            if place.local in self.single and _invariant(expr):
                self.fixed[place.local] = expr
            if place.local in self.single and value.span is not None:
                kept = self.builder.temporary(U64)
                self.builder.emit(Assign(kept.name, coerce(value.span.index, U64), loc))
                self.spans[place.local] = replace(value.span, index=kept)
                return
            self.builder.emit(Assign(variable.name, expr, loc))
            return
        if not isinstance(place.kind, Int | Pointer):
            fail(loc, f"an assignment to the type {place.type.text} is not supported")
        assert place.address is not None
        self.builder.emit(Store(place.address, self.fit(value.expr, place.kind, loc), loc))

    def _refuse(self, place: Place, value: Value, loc: Location) -> None:
        """A value that is left out goes where it matters: hide a local, or fail."""
        for key, name in self.locals.items():
            if place.local == name or place.local.startswith(f"{name}."):
                self.hide(key, value.outside)
        fail(
            loc,
            f"what is stored here is left out of the model: {value.outside}",
            f"leave the place out as well, or do not leave the value out; {LEFT_OUT}",
        )

    def fit(self, expr: Expr, kind: Scalar, loc: Location) -> Expr:
        """``expr`` for a cell or a parameter of the type ``kind``."""
        if isinstance(kind, Int) and isinstance(expr.type, Int):
            return coerce(expr, kind)
        if isinstance(expr, Const) and expr.value == 0:
            return Const(0, kind)
        if expr.type != kind:
            fail(loc, f"{kind} of the model is expected here, not {expr.type}", LEFT_OUT)
        return expr

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

    # Set by what lowers a function, which also needs these.
    calls: Calls
    statement_expression: Callable[[Node], Value]

    def _conversion(self, node: Node) -> Value:
        inner, ctype = node.children[0], node.type
        if ctype.kind == "void":
            value = self.value(inner)
            return Value(None, ctype, value.outside or "nothing")
        if ctype.kind == "pointer" and inner.type.kind == "array":
            base = unwrapped(inner)
            if base.kind == "STRING_LITERAL":
                return Value(None, ctype, "a string")
            place = self.place(inner)
            if place.outside:
                return Value(None, ctype, place.outside, within=True)
            return Value(None, ctype, "the address of an array's first element")
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
                return Value(None, ctype, "an address as a number")
            return Value(coerce(value.expr, self.merged.scalar(ctype, node.loc)), ctype)
        if ctype.kind != "pointer":
            fail(node.loc, f"a conversion to {ctype.text} is not supported")
        kind = self.merged.scalar(ctype, node.loc)
        if isinstance(value.expr, Const) and value.expr.value == 0:
            return Value(Const(0, kind), ctype)
        if isinstance(value.expr.type, Pointer) and ctype.target == _VOID:
            return replace(value, type=ctype)
        if isinstance(value.expr.type, Pointer) and value.expr.type == kind:
            return replace(value, type=ctype)
        if isinstance(value.expr.type, Int) and value.type.kind == "pointer":
            return Value(value.expr, ctype)  # a number in the model already
        if isinstance(value.expr.type, Pointer):
            if isinstance(kind, Pointer) and _same_cells(kind.target, value.expr.type.target):
                return Value(value.expr, ctype)
            return Value(None, ctype, f"a pointer converted to {ctype.text}")
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
            return Value(None, node.type, place.outside or "a statistics counter", within=True)
        if place.local:
            return Value(None, node.type, local=place)
        if place.constant is not None:
            return Value(None, node.type, f"the address of {inner.name}, which the mode fixes")
        if place.pointer is not None:
            return Value(None, node.type, "the address of a pointer that the model computes")
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
            self.value(left)
            return self.value(right)
        if op in ("&&", "||"):
            return self._logic(node)
        a, b = self.value(left), self.value(right)
        if a.local is not None or b.local is not None:
            fail(node.loc, "the address of a local variable is used as a value")
        if a.expr is None or b.expr is None:
            return Value(None, node.type, a.outside or b.outside)
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

    def _moved(self, pointer: Value, op: str, by: Value, node: Node) -> Value:
        """A pointer into an array, some elements further; using it checks the bounds."""
        span = pointer.span
        assert span is not None
        if by.expr is None or not isinstance(by.expr.type, Int):
            fail(node.loc, f"a pointer is moved by what is left out: {by.outside}", LEFT_OUT)
        index = arithmetic(op, span.index, coerce(by.expr, U64), U64)
        return spanned(span.base, span.array, index, pointer.type)

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
            self._harmless(right)
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

    def copy(self, to: Place, source: Place, loc: Location) -> None:
        """A structure assigned as a whole: its fields one by one."""
        if to.outside:
            return
        if source.outside:
            self._refuse(to, Value(None, to.type, source.outside), loc)
        name = self.merged.struct_name(to.type.name)
        if name is None:
            fail(loc, f"an assignment of a whole {to.type.text} is not supported", LEFT_OUT)
        self.merged.copied.add(name)
        self._copy_cells(to, source, Struct(name), loc)

    def _copy_cells(self, to: Place, source: Place, kind: Type, loc: Location) -> None:
        match kind:
            case Struct(name=name):
                for field_name, inner in self.merged.all_fields(name):
                    pair = [_part(p, name, field_name, inner) for p in (to, source)]
                    self._copy_cells(pair[0], pair[1], inner, loc)
            case Array(element=element, length=length):
                for index in range(length):
                    pair = [_item(p, kind, index) for p in (to, source)]
                    self._copy_cells(pair[0], pair[1], element, loc)
            case Int() | Pointer():
                self._copy_cell(to, source, kind, loc)

    def _copy_cell(self, to: Place, source: Place, kind: Scalar, loc: Location) -> None:
        variables = self.builder.variables
        expr: Expr
        if source.local:
            expr = Local(source.local, variables.setdefault(source.local, kind))
        else:
            assert source.address is not None
            loaded = self.builder.temporary(kind)
            self.builder.emit(Load(loaded.name, source.address, loc))
            expr = loaded
        if to.local:
            expr = self.fit(expr, variables.setdefault(to.local, kind), loc)
            self.builder.emit(Assign(to.local, expr, loc))
        else:
            assert to.address is not None
            self.builder.emit(Store(to.address, self.fit(expr, kind, loc), loc))

    def _compound(self, node: Node) -> Value:
        left, right = node.children
        op = node.name.removesuffix("=")
        place = self.place(left)
        if place.counter:
            if op != "+" or not _is_one(right):
                fail(node.loc, "a statistics counter only counts", "take it off [[counter]]")
            self.builder.emit(Count(place.counter, node.loc))
            return Value(None, node.type, "a statistics counter")
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
            self._harmless(then)
            self._harmless(other)
            return Value(None, node.type, first.outside)
        condition = self._true(first)
        if isinstance(condition, Const):
            return self.value(then if condition.value else other)
        if node.type.kind == "void":
            return self._either(node, condition, None)
        whole = node.type.kind == "struct"
        if not whole and self.simple(then) and self.simple(other):
            a, b = self.value(then), self.value(other)
            if a.expr is None or b.expr is None:
                return Value(None, node.type, a.outside or b.outside)
            kind = self.merged.scalar(node.type, node.loc)
            x, y = self.fit(a.expr, kind, node.loc), self.fit(b.expr, kind, node.loc)
            return Value(selected(condition, x, y), node.type)
        for arm in (then, other):
            found: list[Value] = []
            self.probed(lambda arm=arm, found=found: found.append(self.value(arm)))  # type: ignore[misc]
            if found[0].expr is None:
                self._harmless(then)
                self._harmless(other)
                return Value(None, node.type, found[0].outside)
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

    # --- trying out ----------------------------------------------------------------

    def probed(self, lower: Callable[[], object]) -> list[object]:
        """The effects that lowering something would have."""
        probe = Probe(self.builder.variables, self.builder.result, self.merged.api.looks)
        real, self.builder = self.builder, probe
        kept = dict(self.locals), dict(self.fixed), dict(self.spans)
        try:
            lower()
        finally:
            self.builder = real
            self.locals, self.fixed, self.spans = kept
        return list(probe.effects)


class Calls(Protocol):
    """What a call means: see :mod:`.calls`."""

    def call(self, node: Node) -> Value: ...


def describe(node: Node) -> str:
    """How messages call a construct."""
    names = {
        "GCCAsmStmt": "inline assembly",
        "ASM_STMT": "inline assembly",
        "MS_ASM_STMT": "inline assembly",
        "INIT_LIST_EXPR": "an initializer in braces",
        "COMPOUND_LITERAL_EXPR": "a compound literal",
        "ADDR_LABEL_EXPR": "the address of a label",
        "FLOATING_LITERAL": "a floating-point number",
        "CALL_EXPR": "a call",
        "UNEXPOSED_EXPR": "this construct",
        "UNEXPOSED_STMT": "this construct",
        "INDIRECT_GOTO_STMT": "a computed goto",
        "StmtExpr": "a statement expression",
    }
    return names.get(node.kind, node.kind.lower().replace("_", " "))


def usual(left: CType, right: CType) -> CType:
    """C's usual arithmetic conversions (6.3.1.8)."""
    pair = [INT if t.kind == "int" and t.bits < 32 else t for t in (left, right)]
    a, b = pair
    if a.bits != b.bits:
        return a if a.bits > b.bits else b
    return a if not a.signed else b


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


def spanned(base: Expr, array: Array, index: Expr, ctype: CType) -> Value:
    """A pointer to an element of an array."""
    address = IndexAddress(base, index, array.length, Pointer(array.element))
    return Value(address, ctype, span=Span(base, array, index))


def _same_cells(left: Type, right: Type) -> bool:
    """Whether pointers to both can point to the same cells."""
    if isinstance(left, Int) and isinstance(right, Int):
        return left.bits == right.bits
    return left == right


def _integer(kind: Scalar) -> CType:
    """The C type of a structure's only cell."""
    if isinstance(kind, Int):
        return CType("int", str(kind), kind.bits, kind.signed)
    return CType("pointer", str(kind), target=_VOID)


def _invariant(expr: Expr) -> bool:
    """Whether a value is the same wherever the function goes on."""
    while isinstance(expr, Cast):
        expr = expr.operand
    if isinstance(expr, IndexAddress) and isinstance(expr.base, GlobalAddress):
        return isinstance(expr.index, ThisCpu)
    return isinstance(expr, ThisCpu)


def _part(place: Place, struct: str, name: str, kind: Type) -> Place:
    if place.local:
        return Place(place.type, kind, local=f"{place.local}.{name}")
    assert place.address is not None
    return Place(place.type, kind, FieldAddress(place.address, struct, name, Pointer(kind)))


def _item(place: Place, array: Array, index: int) -> Place:
    if place.local:
        return Place(place.type, array.element, local=f"{place.local}.{index}")
    assert place.address is not None
    address = IndexAddress(place.address, Const(index, U32), array.length, Pointer(array.element))
    return Place(place.type, array.element, address)
