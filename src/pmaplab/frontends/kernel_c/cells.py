"""What C's names and places stand for in the model, read and written: cells become Loads
and Stores, a function's own variables Assigns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from pmaplab.errors import Location
from pmaplab.frontends.builder import Builder, arithmetic, compared
from pmaplab.frontends.kernel_c.nodes import VOID, CFunction, CType, Node
from pmaplab.frontends.kernel_c.types import LEFT_OUT, Merged
from pmaplab.frontends.kernel_c.values import (
    Inside,
    InsideStructure,
    Place,
    Probe,
    Restart,
    Span,
    Value,
    coerce,
    fail,
)
from pmaplab.frontends.kernel_python.values import Signature
from pmaplab.ir.nodes import (
    Assert,
    Assign,
    Binary,
    Cast,
    Const,
    Expr,
    FieldAddress,
    GlobalAddress,
    IndexAddress,
    Load,
    Local,
    Store,
    ThisCpu,
)
from pmaplab.ir.types import BOOL, U32, U64, Array, Int, Pointer, Scalar, Struct, Type

UNKNOWN = "?"  # in a path: an index that is no literal
UNTYPED = Inside("a pointer converted to void *")


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


class Cells:
    """Reads and writes what places stand for, in one function's builder.

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
        # What is assigned where one of them is read, which needs a value there.
        self.marks: set[str] = set()
        self.spans: dict[str, Span] = {}  # locals that point into an array, likewise
        self.single: frozenset[str] = frozenset()  # locals that are assigned once
        # What is named of local structures and arrays, by key and by path.
        self.members: dict[str, dict[str, Node]] = {}
        self.unions: dict[str, str] = {}  # the member of each local union that is used

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

    def parts(self, name: str, loc: Location) -> list[Place]:
        """The cells of a local structure, or of one within, that the function names."""
        found = {
            local: Place(node.type, local=local, width=node.value)
            for local, node in self._named(name, loc).items()
            if node.type.kind in ("int", "pointer")
        }
        for local, kind in self.builder.variables.items():
            if local.startswith(f"{name}."):
                found.setdefault(local, Place(_integer(kind), local=local))
        return list(found.values())

    def _named(self, name: str, loc: Location) -> dict[str, Node]:
        """What the function names of a local structure, or of one within."""
        root = name.partition(".")[0]
        key = next((key for key, local in self.locals.items() if local == root), "")
        found = {f"{root}{path}": node for path, node in self.members.get(key, {}).items()}
        found = {local: node for local, node in found.items() if local.startswith(f"{name}.")}
        for local, node in found.items():
            if UNKNOWN in local:
                fail(loc, f"a whole structure, and at {node.loc} an element of it by number")
        return found

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
                mark = self.builder.temporary(self.builder.variables[place.local])
                self.marks.add(mark.name)
                self.builder.emit(Assign(mark.name, self.cell_of_local(place, loc), loc))
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
        self.kept_out(place, loc)
        if place.outside or place.counter or place.fixed:
            if not isinstance(place.outside, Inside):
                _stays_inside(value, loc)
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
            if place.type.target == VOID and isinstance(value.expr.type, Pointer):
                self._refuse(place, replace(value, expr=None, outside=UNTYPED), loc)
            expr = self.fit(value.expr, variable.type, loc)
            if place.width is not None:
                assert isinstance(variable.type, Int)
                expr = _cut(expr, place.width, variable.type)
            if place.local in self.single and self._invariant(expr):
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

    def kept_out(self, place: Place, loc: Location) -> None:
        """Check that a store that is left out changes nothing of the model's."""
        if place.inside:
            fail(loc, f"a store to the model through what it cannot follow: {place.outside}")

    def _invariant(self, expr: Expr) -> bool:
        """Whether a value is the same wherever the function goes on."""
        if self.merged.scope.options.get("preemptions"):
            return False  # the thread may go on on another CPU
        while isinstance(expr, Cast):
            expr = expr.operand
        if isinstance(expr, IndexAddress) and isinstance(expr.base, GlobalAddress):
            return isinstance(expr.index, ThisCpu)
        return isinstance(expr, ThisCpu)

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

    def copy(self, to: Place, source: Place, loc: Location) -> None:
        """A structure assigned as a whole: its fields one by one."""
        self.kept_out(to, loc)
        if to.outside:
            return
        if source.outside:
            self._refuse(to, Value(None, to.type, source.outside), loc)
        name = self.merged.struct_name(to.type.name)
        if name is None:
            fail(loc, f"an assignment of a whole {to.type.text} is not supported", LEFT_OUT)
        self.merged.copied.add(name)
        for place in (to, source):
            if place.local:
                self._need_fields(place.local, loc)
        self._copy_cells(to, source, Struct(name), loc)

    def _need_fields(self, name: str, loc: Location) -> None:
        """What is named of a local structure are fields of the model's: a copy has
        them all."""
        for node in self._named(name, loc).values():
            if node.kind != "MEMBER_REF_EXPR":
                continue
            base = node.children[0].type
            special = self.merged.member(base.target or base, node)[3]
            if special is not None or node.value is not None:
                what = "a bit field" if node.value is not None else "left out of the model"
                fail(loc, f"a whole structure with its field {node.name}, which is {what}")

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

    # --- trying out ----------------------------------------------------------------

    def probed(self, lower: Callable[[], object]) -> list[object]:
        """The effects that lowering something would have."""
        probe = Probe(self.builder, self.merged.api.looks)
        real, self.builder = self.builder, probe
        kept = dict(self.locals), dict(self.fixed), dict(self.spans), set(self.marks)
        try:
            lower()
        finally:
            self.builder = real
            self.locals, self.fixed, self.spans, self.marks = kept
        return [*probe.effects, *probe.left()]


def spanned(base: Expr, array: Array, index: Expr, ctype: CType) -> Value:
    """A pointer to an element of an array."""
    address = IndexAddress(base, index, array.length, Pointer(array.element))
    return Value(address, ctype, span=Span(base, array, index))


def _stays_inside(value: Value, loc: Location) -> None:
    """Check that what is not stored is no address by which a cell could be changed: a store
    through what is left out is left out as well.  (Of structures that is an error.)"""
    kind = None if value.expr is None or isinstance(value.expr, Const) else value.expr.type
    is_cell = isinstance(kind, Pointer) and not isinstance(kind.target, Struct)
    was_cell = isinstance(value.outside, Inside) and not isinstance(value.outside, InsideStructure)
    if is_cell or was_cell or value.local is not None:
        fail(
            loc,
            "the address of what the model has is kept where the model does not follow it",
            f"do not leave the place out; {LEFT_OUT}",
        )


def _cut(expr: Expr, width: int, kind: Int) -> Expr:
    """What a bit field of ``width`` bits keeps of ``expr``, as a ``kind``."""
    whole = Int(kind.bits)
    bits = arithmetic("and", coerce(expr, whole), Const((1 << width) - 1, whole), whole)
    if kind.signed:
        sign = Const(1 << (width - 1), whole)
        bits = arithmetic("sub", arithmetic("xor", bits, sign, whole), sign, whole)
    return coerce(bits, kind)


def _integer(kind: Scalar) -> CType:
    """The C type of a structure's only cell."""
    if isinstance(kind, Int):
        return CType("int", str(kind), kind.bits, kind.signed)
    return CType("pointer", str(kind), target=VOID)


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
