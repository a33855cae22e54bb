"""C types and names on those of the reference kernel.

A structure of the tree and the reference's of the same name are one: its fields
are the reference's and those others of the C that the lowered code touches.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NoReturn

from pmaplab.errors import Location
from pmaplab.frontends.kernel_c.api import Api
from pmaplab.frontends.kernel_c.nodes import CType, CVariable, Node
from pmaplab.frontends.kernel_c.values import Place, fail
from pmaplab.frontends.kernel_python.scope import Scope
from pmaplab.ir.nodes import Const, GlobalAddress, GlobalDecl, IndexAddress, StructDecl, ThisCpu
from pmaplab.ir.types import BOOL, U64, Array, Int, Pointer, Scalar, Struct, Type

LEFT_OUT = "[[outside]] with a reason leaves it out, [[name]] gives it the model's name"


@dataclass
class Merged:
    """The types and objects of a program of C and kernel Python.

    ``fields`` are the C's own fields by structure, ``objects`` the C's own
    objects; both grow while functions are lowered.
    """

    scope: Scope
    api: Api
    variables: dict[str, CVariable]
    fields: dict[str, dict[str, tuple[Type, Location]]] = field(default_factory=dict)
    objects: dict[str, GlobalDecl] = field(default_factory=dict)
    outside_used: dict[str, str] = field(default_factory=dict)
    given_used: dict[str, str] = field(default_factory=dict)
    # The member of each union that is used.
    unions: dict[str, str] = field(default_factory=dict)
    # Structures that are assigned as a whole.
    copied: set[str] = field(default_factory=set)

    # --- types -------------------------------------------------------------------

    def struct_name(self, tag: str) -> str | None:
        """The model's structure for a tag, None for one that it does not have."""
        name = self.api.names.get(f"struct {tag}", tag)
        if self.scope.find(name, "struct") is not None or name in self.fields:
            return name
        return None

    def outside_struct(self, ctype: CType) -> str | None:
        """Why a structure is left out, None if it is not."""
        return self.note(f"struct {ctype.name}") if ctype.kind == "struct" else None

    def note(self, name: str) -> str | None:
        """Why ``name`` is left out of the model; noted as used."""
        reason = self.api.outside.get(name)
        if reason is not None:
            self.outside_used[name] = reason
        return reason

    def type(self, ctype: CType, loc: Location) -> Type:
        match ctype.kind:
            case "int":
                if ctype.bits > 64:
                    fail(loc, f"{ctype.text} is wider than a cell")
                return Int(ctype.bits, ctype.signed) if ctype.bits > 1 else BOOL
            case "pointer":
                assert ctype.target is not None
                target = ctype.target
                known = target.kind == "int" or target.kind == "pointer"
                if known or (target.kind == "struct" and self.struct_name(target.name)):
                    return Pointer(self.type(target, loc))
                return U64  # nothing of the model: a number
            case "array":
                assert ctype.target is not None
                if ctype.length < 1:
                    fail(loc, f"an array without a length: {ctype.text}")
                return Array(self.type(ctype.target, loc), ctype.length)
            case "struct":
                name = self.struct_name(ctype.name)
                if name is not None:
                    return Struct(name)
                self.no_struct(ctype, loc)
        fail(loc, f"the type {ctype.text} is not supported")

    def no_struct(self, ctype: CType, loc: Location) -> NoReturn:
        fail(
            loc,
            f"{ctype.text} is no structure of the model",
            f"name it 'struct {ctype.name}' in a table: {LEFT_OUT}",
        )

    def only_cell(self, ctype: CType) -> tuple[str, Scalar] | None:
        """The path and the type of a structure's cell, if it has no more than
        one: such a structure, as a set of CPUs of one word is, goes by value."""
        name = self.struct_name(ctype.name) if ctype.kind == "struct" else None
        if name is None:
            return None
        path = ""
        found: Type = Struct(name)
        while not isinstance(found, Int | Pointer):
            match found:
                case Struct(name=inner):
                    fields = self.all_fields(inner)
                    if len(fields) != 1:
                        return None
                    # Further fields of the C, found later, make it an error.
                    self.copied.add(inner)
                    path, found = f"{path}.{fields[0][0]}", fields[0][1]
                case Array(element=element, length=length):
                    if length != 1:
                        return None
                    path, found = f"{path}.0", element
        return path, found

    def scalar(self, ctype: CType, loc: Location) -> Scalar:
        """The type of a value of ``ctype``."""
        if ctype.kind == "struct":
            cell = self.only_cell(ctype)
            if cell is not None:
                return cell[1]
        kind = self.type(ctype, loc)
        if not isinstance(kind, Int | Pointer):
            fail(loc, f"a value of the type {ctype.text} is not supported")
        return kind

    def _agrees(self, kind: Type, ctype: CType, loc: Location) -> bool:
        """Whether cells of the model's ``kind`` can hold the C's type."""
        match kind:
            case Int(bits=bits):
                return (ctype.kind == "int" and ctype.bits == bits) or (
                    ctype.kind == "pointer" and bits == 64
                )
            case Pointer(target=target):
                if ctype.kind != "pointer" or ctype.target is None:
                    return False
                if ctype.target.kind == "void":
                    return True
                return self._agrees(target, ctype.target, loc)
            case Array(element=element, length=length):
                return (
                    ctype.kind == "array"
                    and ctype.target is not None
                    and ctype.length in (0, length)  # extern x[]
                    and self._agrees(element, ctype.target, loc)
                )
            case Struct(name=name):
                return ctype.kind == "struct" and self.struct_name(ctype.name) == name

    def _addresses(self, kind: Type, ctype: CType, loc: Location) -> bool:
        """Whether the C has an array of pointers where the model has the array of
        what they point to."""
        return (
            isinstance(kind, Array)
            and isinstance(kind.element, Struct)
            and ctype.kind == "array"
            and ctype.target is not None
            and ctype.target.kind == "pointer"
            and ctype.target.target is not None
            and self._agrees(kind.element, ctype.target.target, loc)
        )

    def _first(self, kind: Type, ctype: CType, loc: Location) -> bool:
        """Whether the C has a pointer to the first element of the model's array."""
        return (
            isinstance(kind, Array)
            and ctype.kind == "pointer"
            and ctype.target is not None
            and self._agrees(kind.element, ctype.target, loc)
        )

    # --- fields -------------------------------------------------------------------

    def member(self, base: CType, node: Node) -> tuple[str, str, Type, Place | None]:
        """The model's structure and field for a member, with its type; or a
        place that is no memory."""
        tag, loc = base.name, node.loc
        c = f"{tag}.{node.name}"
        prefix = self.api.prefixes.get(f"struct {tag}", "")
        name = self.api.names.get(c, node.name.removeprefix(prefix))
        if c in self.api.counters:
            return "", "", U64, Place(node.type, counter=name)
        reason = self.note(c)
        if reason is not None:
            return "", "", U64, Place(node.type, outside=reason)
        struct = self.struct_name(tag)
        if struct is None:
            self.no_struct(base, loc)
        found = self.field(struct, name)
        kind: Type
        if found is None:
            if c in self.api.names:
                fail(loc, f"the model's structure {struct} has no field {name}")
            kind = self.type(node.type, loc)
            self.fields.setdefault(struct, {})[name] = (kind, loc)
        else:
            kind = found
        if found is not None and not self._agrees(kind, node.type, loc):
            fail(
                loc,
                f"{c} is {node.type.text} in the tree, but {struct}.{name} of the model is {kind}",
                LEFT_OUT,
            )
        return struct, name, kind, None

    def field(self, struct: str, name: str) -> Type | None:
        if self.scope.find(struct, "struct") is not None:
            found = self.scope.struct(struct).field_type(name)
            if found is not None:
                return found
        own = self.fields.get(struct, {}).get(name)
        return own[0] if own else None

    def all_fields(self, struct: str) -> list[tuple[str, Type]]:
        """The fields of a structure, as far as they are known by now."""
        known = list(self.scope.struct(struct).fields)
        return known + [(name, kind) for name, (kind, _) in self.fields.get(struct, {}).items()]

    def structs(self) -> dict[str, StructDecl]:
        """The reference's structures with the C's fields."""
        result = dict(self.scope.structs)
        for name, fields in self.fields.items():
            decl = result[name]
            more = tuple((field_name, kind) for field_name, (kind, _) in fields.items())
            result[name] = StructDecl(name, decl.fields + more, decl.loc)
        return result

    # --- objects -------------------------------------------------------------------

    def object(self, node: Node) -> Place:
        """The place of a global that the C names."""
        c, loc = node.name, node.loc
        reason = self.note(c)
        if reason is None and node.type.kind == "struct":
            reason = self.outside_struct(node.type)
        if reason is not None:
            return Place(node.type, outside=reason)
        name = self.api.names.get(c, c)
        constant = self.scope.constant(name)
        if c in self.api.given:
            self.given_used[c] = self.api.given[c]
        if c in self.api.this_cpu and node.type.kind == "pointer":
            return self._own_pcpu(node)
        if constant is not None:
            return self.constant(constant.value, node)
        decl = self.scope.globals.get(name) or self.objects.get(name)
        if decl is None:
            decl = self._own(node)
        elif self._addresses(decl.type, node.type, loc):
            address = GlobalAddress(decl.name, Pointer(decl.type))
            return Place(node.type, decl.type, address, addresses=True)
        elif c in self.api.given and self._first(decl.type, node.type, loc):
            address = GlobalAddress(decl.name, Pointer(decl.type))
            return Place(node.type, decl.type, address, fixed=True)
        elif not self._agrees(decl.type, node.type, loc):
            fail(
                loc,
                f"{c} is {node.type.text} in the tree, but {name} of the model is {decl.type}",
                LEFT_OUT,
            )
        address = GlobalAddress(decl.name, Pointer(decl.type))
        own = c in self.api.this_cpu
        return Place(node.type, decl.type, address, this_cpu=own)

    def constant(self, value: int, node: Node) -> Place:
        """An object that is a constant of the model."""
        kind = self.scalar(node.type, node.loc)
        whole = kind if isinstance(kind, Int) else U64
        return Place(node.type, whole, constant=Const(whole.wrapped(value), whole))

    def _own_pcpu(self, node: Node) -> Place:
        """A pointer to the data of the CPU that runs."""
        decl = self.scope.globals.get("__pcpu")
        if decl is None or not isinstance(decl.type, Array):
            fail(node.loc, "the model has no per-CPU data called __pcpu")
        self.given_used[node.name] = self.api.this_cpu[node.name]
        address = GlobalAddress("__pcpu", Pointer(decl.type))
        element = Pointer(decl.type.element)
        own = IndexAddress(address, ThisCpu(), decl.type.length, element)
        return Place(node.type, pointer=own)

    def _own(self, node: Node) -> GlobalDecl:
        """A global that only the C has: a number that it defines itself."""
        variable = self.variables.get(node.name)
        kind = self.type(node.type, node.loc) if node.type.kind == "int" else None
        if kind is None or variable is None or not variable.defined:
            fail(
                node.loc,
                f"the model does not have {node.name} ({node.type.text})",
                f"name it in a table: {LEFT_OUT}",
            )
        assert isinstance(kind, Int)
        value = 0
        if variable.initial is not None:
            number = _number(variable.initial)
            if number is None:
                fail(variable.loc, f"the initial value of {node.name} is no plain number")
            value = _converted(number, node.type)
        initial = {"": Const(value, kind)} if value else {}
        decl = GlobalDecl(node.name, kind, initial, variable.loc)
        self.objects[node.name] = decl
        return decl


def _number(node: Node) -> int | None:
    """The value of a literal, below casts and parentheses."""
    number = node.value
    if number is None and len(node.children) == 1:
        if node.kind == "UNARY_OPERATOR" and node.name == "-":
            inner = _number(node.children[0])
            number = None if inner is None else -inner
        elif node.kind in ("UNEXPOSED_EXPR", "PAREN_EXPR", "CSTYLE_CAST_EXPR"):
            number = _number(node.children[0])
    return None if number is None else _converted(number, node.type)


def _converted(number: int, ctype: CType) -> int:
    """``number`` as an integer type of the C holds it."""
    if ctype.kind != "int":
        return number
    if ctype.bits == 1:
        return int(number != 0)
    return Int(ctype.bits, ctype.signed).wrapped(number)
