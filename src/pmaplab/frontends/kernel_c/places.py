"""C's places in memory, and what the model has in them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace

from pmaplab.frontends.builder import arithmetic, compared
from pmaplab.frontends.kernel_c.cells import Cells, spanned
from pmaplab.frontends.kernel_c.nodes import VOID, Node, called, unwrapped, walk
from pmaplab.frontends.kernel_c.types import LEFT_OUT
from pmaplab.frontends.kernel_c.values import Inside, Place, Value, coerce, fail
from pmaplab.ir.nodes import (
    Assert,
    Cast,
    Const,
    Expr,
    FieldAddress,
    GlobalAddress,
    IndexAddress,
    ThisCpu,
)
from pmaplab.ir.types import U64, Array, Int, Pointer, Struct

PCPU = "__pmaplab_pcpu"
PCPU_ADD = "__pmaplab_pcpu_add"


class Places(Cells, ABC):
    """Finds the places that C's expressions mean."""

    @abstractmethod
    def value(self, node: Node) -> Value:
        """The value of ``node``."""

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
        ctype = pointer.type.target or VOID
        if pointer.expr is None:
            struct = self.merged.struct_name(ctype.name) if ctype.kind == "struct" else None
            if struct is not None and not pointer.within:
                fail(
                    node.loc,
                    f"a structure {struct} is used through a pointer that is left out of the "
                    f"model: {pointer.outside}",
                    "do not leave that pointer out",
                )
            inside = isinstance(pointer.outside, Inside)
            return Place(node.type, outside=pointer.outside, inside=inside)
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
            return replace(base, type=node.type)
        self._only_member(base, node)
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

    def _only_member(self, base: Place, node: Node) -> None:
        """The members of a union share their memory, which they do not in the model:
        one of them is all that is used."""
        variable = base.local.partition(".")[0]
        members = self.unions if variable else self.merged.unions
        for each in node.key.split():
            union, _, member = each.partition("=")
            if members.setdefault(f"{variable}@{union}", member) != member:
                fail(node.loc, f"{node.name}, and elsewhere another member of the same union")

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
            return replace(base, type=node.type)
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

    def _harmless(self, node: Node) -> Value:
        """Check that what is not evaluated would have no effect; what it would be."""
        found: list[Value] = []
        effects = self.probed(lambda: found.append(self.value(node)))
        if effects:
            fail(
                node.loc,
                "this is left out of the model, but evaluating it has an effect",
                "take the effect into a statement of its own, or do not leave this out",
            )
        return found[0]

    def _moved(self, pointer: Value, op: str, by: Value, node: Node) -> Value:
        """A pointer into an array, some elements further; using it checks the bounds."""
        span = pointer.span
        assert span is not None
        if by.expr is None or not isinstance(by.expr.type, Int):
            fail(node.loc, f"a pointer is moved by what is left out: {by.outside}", LEFT_OUT)
        index = arithmetic(op, span.index, coerce(by.expr, U64), U64)
        return spanned(span.base, span.array, index, pointer.type)


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
