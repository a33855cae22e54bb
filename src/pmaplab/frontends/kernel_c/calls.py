"""What a call means: the table's word, the tree's function, or kernel Python."""

from __future__ import annotations

import re

from pmaplab.errors import Location
from pmaplab.frontends.builder import compared
from pmaplab.frontends.kernel_c.expressions import TRANSPARENT, Expressions, is_expect
from pmaplab.frontends.kernel_c.mutate import PLAIN
from pmaplab.frontends.kernel_c.nodes import INT, VOID, CFunction, CType, Node
from pmaplab.frontends.kernel_c.places import PCPU, PCPU_ADD
from pmaplab.frontends.kernel_c.types import LEFT_OUT
from pmaplab.frontends.kernel_c.values import Inside, Place, Value, coerce, fail
from pmaplab.ir.nodes import (
    Assert,
    Assign,
    Binary,
    Call,
    CmpXchg,
    Const,
    Count,
    Expr,
    Fence,
    GlobalAddress,
    IndexAddress,
    Jump,
    Load,
    Local,
    Return,
    Rmw,
    Store,
    ThisCpu,
    Unary,
)
from pmaplab.ir.types import BOOL, U32, U64, Array, Int, Pointer

_CONVERSION = re.compile(r"%(?:%|#?0?-?\d*(?:ll|l|j|z|h)?[duxXpsc])")
_U64 = CType("int", "uint64_t", 64)
_NOTHING = Value(None, VOID, "nothing")
# name: (Rmw operation, whether the old value is the result)
_RMW = {
    "add": ("add", False),
    "sub": ("sub", False),
    "or": ("or", False),
    "and-not": ("and", False),
    "xchg": ("xchg", True),
    "fetchadd": ("add", True),
    "fetch-clear": ("xchg", True),
}
ADVICE = (
    "say what it does in a table: [[model]] names a kernel Python function, "
    "[[drop]] leaves it out with a reason"
)


class CallLowering:
    """The calls of one function; notes what the verdict has to name."""

    def __init__(
        self,
        owner: Expressions,
        dropped: dict[str, str],
        modelled: dict[str, str],
        reached: set[str],
    ) -> None:
        self.e = owner
        self.api = owner.merged.api
        self.dropped = dropped
        self.modelled = modelled
        self.reached = reached
        self.open: set[str] = set()  # functions that are being taken apart

    def call(self, node: Node) -> Value:
        callee = node.children[0]
        while callee.kind in TRANSPARENT and callee.children:
            callee = callee.children[0]
        arguments = node.children[1:]
        if callee.ref != "function":
            return self._through(node, callee)
        name = callee.name
        if name == "__builtin_constant_p":
            return Value(Const(0, U32), node.type)  # which it may always say
        if is_expect(node):
            self._unread(arguments[1], "the second argument of __builtin_expect")
            return self.e.value(arguments[0])
        if name == PCPU:
            return Value(self._own_pcpu(node.loc), node.type)
        if name == PCPU_ADD:
            return self._pcpu_add(node, arguments)
        operation = self.api.operation(name)
        if operation is not None:
            return self._operation(node, name, operation, arguments)
        if name in self.api.drop:
            return self._drop(node, name, self.api.drop[name], arguments)
        if name in self.api.model:
            return self._model(node, name, arguments)
        name = self.e.names.ifuncs.get(name, name)
        if name in self.e.names.inline and name in self.e.names.from_tree:
            return self._inline(self.e.names.inline[name], arguments)
        if name in self.e.names.from_tree:
            return self._plain(node, name, tuple(arguments))
        fail(
            callee.loc if callee.loc.line else node.loc,
            f"a call of {name}, which neither the files of the tree nor the table define",
            ADVICE,
        )

    def _inline(self, function: CFunction, arguments: tuple[Node, ...]) -> Value:
        """The value of a function that only computes it."""
        if function.name in self.open:
            fail(function.loc, f"{function.name} calls itself")
        self.modelled[function.name] = "of the tree, as a part of its callers"
        values = [self.e.value(argument) for argument in arguments]
        for parameter, value in zip(function.parameters, values, strict=True):
            self.e.declare(parameter.name, parameter.key, parameter.type, function.loc)
            place = Place(parameter.type, local=self.e.locals[parameter.key])
            self.e.write(place, value, function.loc)
        self.open.add(function.name)
        result = self.e.value(function.body.children[0].children[0])
        self.open.remove(function.name)
        return result

    def _through(self, node: Node, callee: Node) -> Value:
        """A call through a function pointer."""
        path = _path(callee)
        if path in self.api.drop:
            return self._drop(node, path, self.api.drop[path], node.children[1:])
        kind = callee.type.target if callee.type.kind == "pointer" else callee.type
        found = {
            taken.number: name
            for name, taken in self.e.names.taken.items()
            if kind is not None and taken.type.text == kind.text
        }
        if callee.ref != "local" or not found:
            fail(
                node.loc,
                f"a call through a function pointer, {path or 'which is no plain name'}",
                f"[[drop]] can leave out calls through {path!r}" if path else None,
            )
        return self._dispatch(node, self.e.scalar(callee), found)

    def _dispatch(self, node: Node, pointer: Expr, found: dict[int, str]) -> Value:
        """A call of whichever function the pointer is the number of."""
        builder, loc = self.e.builder, node.loc
        used = [(self.e.value(a), a) for a in node.children[1:]]
        result: Local | None = None
        if node.type.kind == "int":
            result = builder.temporary(self.e.merged.scalar(node.type, loc))
        elif node.type.kind != "void":
            fail(loc, f"a call through a function pointer with the result {node.type.text}")
        end = builder.label("end")
        for number, name in found.items():
            here, following = builder.label("call"), builder.label("next")
            builder.branch(compared("eq", pointer, Const(number, U64)), here, following, loc)
            builder.start(here)
            value = self._emit(node, self.e.names.ifuncs.get(name, name), used)
            if result is not None:
                assert value.expr is not None
                builder.emit(Assign(result.name, value.expr, loc))
            builder.terminate(Jump(end, loc))
            builder.start(following)
        message = "a call through a pointer to no function of its type"
        builder.emit(Assert(Const(0, BOOL), "panic", message, (), loc))
        builder.terminate(Return(_nothing(self.e), loc))
        builder.start(end)
        return _NOTHING if result is None else Value(result, node.type)

    def _own_pcpu(self, loc: Location) -> Expr:
        decl = self.e.merged.scope.globals.get("__pcpu")
        if decl is None or not isinstance(decl.type, Array):
            fail(loc, "the model has no per-CPU data called __pcpu")
        address = GlobalAddress("__pcpu", Pointer(decl.type))
        return IndexAddress(address, ThisCpu(), decl.type.length, Pointer(decl.type.element))

    # --- dropped -------------------------------------------------------------------

    def _drop(self, node: Node, name: str, reason: str, arguments: tuple[Node, ...]) -> Value:
        self.dropped[name] = reason
        for argument in arguments:
            self._unread(argument, name)
        return Value(None, node.type, f"the result of {name}: {reason}")

    def _unread(self, node: Node, name: str) -> None:
        """An argument that nobody reads must do nothing either."""
        if self.e.probed(lambda: self.e.value(node)):
            fail(
                node.loc,
                f"{name} is left out, but evaluating this argument has an effect",
                "take the effect into a statement of its own, or give the call a meaning",
            )

    # --- kernel Python and the tree ---------------------------------------------------

    def _model(self, node: Node, name: str, arguments: tuple[Node, ...]) -> Value:
        meaning = self.api.model[name]
        self.modelled[name] = meaning.reason
        if meaning.function not in self.e.names.signatures:
            fail(node.loc, f"the table takes {name} for {meaning.function}, which is not there")
        if meaning.arguments is None:
            value = self._plain(node, meaning.function, arguments)
        else:
            used = [self._argument(node, text, arguments) for text in meaning.arguments]
            taken = {text.split(".")[0] for text in meaning.arguments}
            for number, argument in enumerate(arguments):
                if str(number) not in taken:
                    self._unread(argument, name)
            value = self._emit(node, meaning.function, used)
        if meaning.ends:
            self.e.builder.terminate(Return(_nothing(self.e), node.loc))
            self.e.builder.start(self.e.builder.label("dead"))
        return value

    def _argument(self, node: Node, text: str, arguments: tuple[Node, ...]) -> tuple[Value, Node]:
        number, _, field = text.partition(".")
        if not number.isdigit() or int(number) >= len(arguments):
            fail(node.loc, f"the table asks for argument {text!r}, which the call does not have")
        argument = arguments[int(number)]
        if not field:
            return self.e.value(argument), argument
        pointer = self.e.value(argument)
        if pointer.local is not None:
            place = Place(INT, local=f"{pointer.local.local}.{field}")
            if place.local not in self.e.builder.variables:
                fail(argument.loc, f"nothing is stored to the field {field} before")
            return Value(self.e.cell_of_local(place, argument.loc), INT), argument
        if pointer.expr is None:
            return pointer, argument
        fail(argument.loc, f"the table asks for the field {field} of what is no local variable")

    def _plain(self, node: Node, name: str, arguments: tuple[Node, ...]) -> Value:
        return self._emit(node, name, [(self.e.value(a), a) for a in arguments])

    def _emit(self, node: Node, name: str, used: list[tuple[Value, Node]]) -> Value:
        signature = self.e.names.signatures[name]
        self.reached.add(name)
        if len(used) != len(signature.parameters):
            fail(
                node.loc,
                f"{name} takes {len(signature.parameters)} arguments in the model, not {len(used)}",
                "[[model]] arguments = [...] says which ones",
            )
        if self.e.atomic and not signature.atomic:
            fail(
                node.loc,
                f"{self.e.builder.name} is one step, but {name} is not",
                "[[at_once]] makes it one, with a reason",
            )
        expressions: list[Expr] = []
        for (value, argument), (_, kind) in zip(used, signature.parameters, strict=True):
            if value.expr is None:
                what = value.outside or "the address of a local variable"
                fail(
                    argument.loc,
                    f"{name} would get what is left out of the model: {what}",
                    LEFT_OUT,
                )
            narrower = (
                isinstance(kind, Int)
                and isinstance(value.expr.type, Int)
                and not _fits(value.expr, kind)
                and 1 < kind.bits < value.expr.type.bits
                and name not in self.e.names.from_tree
            )
            if narrower:
                fail(argument.loc, f"{value.expr.type} does not always fit into {kind} of {name}")
            expressions.append(self.e.fit(value.expr, kind, argument.loc))
        if signature.result is None:
            self.e.builder.emit(Call(None, name, tuple(expressions), node.loc))
            return _NOTHING
        result = self.e.builder.temporary(signature.result)
        self.e.builder.emit(Call(result.name, name, tuple(expressions), node.loc))
        expr: Expr = result
        if node.type.kind == "int":
            expr = coerce(result, self.e.merged.scalar(node.type, node.loc))
        return Value(expr, node.type)

    # --- operations -------------------------------------------------------------------

    def _operation(
        self, node: Node, name: str, operation: str, arguments: tuple[Node, ...]
    ) -> Value:
        loc, builder = node.loc, self.e.builder
        match operation:
            case "fence":
                builder.emit(Fence(loc))
                return _NOTHING
            case "nothing" | "pause":
                return _NOTHING
            case "panic":
                self.panic(node, Const(0, BOOL), "panic")
                builder.terminate(Return(_nothing(self.e), loc))
                builder.start(builder.label("dead"))
                return _NOTHING
            case "zero":
                return self._zero(node, name, arguments)
            case "copy":
                return self._copy(node, name, arguments)
            case "count":
                return self._count(node, name, arguments)
            case "ffs":
                value = self.e.scalar(arguments[0])
                assert isinstance(value.type, Int)
                bits = coerce(value, Int(value.type.bits))
                return self._result(node, Unary("ffs", bits, U32))
        pointer = self.e.value(arguments[0])
        if pointer.expr is None:
            if pointer.local is not None:
                fail(loc, f"{name} on a local variable")
            if operation != "load":
                self._kept_out(pointer, name, loc)
            for argument in arguments[1:]:
                self._unread(argument, name)
            return Value(None, node.type, pointer.outside)
        if not isinstance(pointer.expr.type, Pointer) or not isinstance(
            pointer.expr.type.target, Int | Pointer
        ):
            fail(loc, f"{name} works on what is no cell of the model")
        kind = pointer.expr.type.target
        self._check_width(name, kind, loc)
        if operation == "load":
            loaded = builder.temporary(kind)
            builder.emit(Load(loaded.name, pointer.expr, loc))
            return self._result(node, loaded)
        if operation == "fetch-clear":
            operand: Expr = Const(0, kind)
        else:
            operand = self.e.fit(self.e.scalar(arguments[1]), kind, loc)
        match operation:
            case "store":
                builder.emit(Store(pointer.expr, operand, loc))
                return _NOTHING
            case "cmpset":
                desired = self.e.fit(self.e.scalar(arguments[2]), kind, loc)
                old = builder.temporary(kind)
                builder.emit(CmpXchg(old.name, pointer.expr, operand, desired, loc))
                return Value(Binary("eq", old, operand, BOOL), node.type)
            case "and-not":
                assert isinstance(kind, Int)
                operand = Unary("inv", operand, kind.whole)
        if operation not in _RMW:
            fail(loc, f"{name}: the operation {operation} is not supported yet", ADVICE)
        op, has_result = _RMW[operation]
        if node.name == PLAIN:
            return self._unlocked(node, op, pointer.expr, operand)
        if not has_result:
            builder.emit(Rmw(None, op, pointer.expr, operand, loc))
            return _NOTHING
        old = builder.temporary(kind)
        builder.emit(Rmw(old.name, op, pointer.expr, operand, loc))
        return self._result(node, old)

    def _unlocked(self, node: Node, op: str, address: Expr, operand: Expr) -> Value:
        """The operation of a mutation: others come between its accesses."""
        assert isinstance(address.type, Pointer)
        kind = address.type.target
        assert isinstance(kind, Int | Pointer)
        builder, loc = self.e.builder, node.loc
        old = builder.temporary(kind)
        builder.emit(Load(old.name, address, loc))
        new = operand
        if op != "xchg":
            assert isinstance(kind, Int)
            new = Binary(op, old, operand, kind.whole)
        builder.emit(Store(address, new, loc))
        return self._result(node, old)

    def _result(self, node: Node, expr: Expr) -> Value:
        if node.type.kind == "int":
            expr = coerce(expr, self.e.merged.scalar(node.type, node.loc))
        return Value(expr, node.type)

    def _check_width(self, name: str, kind: Int | Pointer, loc: Location) -> None:
        width = {"int": 32, "32": 32, "long": 64, "64": 64, "ptr": 64, "char": 8, "short": 16}
        wanted = width.get(name.rsplit("_", 1)[-1])
        found = kind.bits if isinstance(kind, Int) else 64
        if wanted is not None and wanted != found:
            fail(loc, f"{name} works on {wanted} bits, but the model's cell is {kind}")

    def _zero(self, node: Node, name: str, arguments: tuple[Node, ...]) -> Value:
        """bzero and memset: of a local structure, or of what is left out."""
        target = self.e.value(arguments[0])
        if target.local is not None:
            return self._zero_local(node, name, target.local, arguments)
        if target.expr is not None:
            fail(node.loc, f"{name} of what the model has is not supported", LEFT_OUT)
        self._kept_out(target, name, node.loc)
        for argument in arguments[1:]:
            self._unread(argument, name)
        return Value(None, node.type, target.outside)

    def _copy(self, node: Node, name: str, arguments: tuple[Node, ...]) -> Value:
        """memcpy to what is left out."""
        target = self.e.value(arguments[0])
        if target.expr is not None or target.local is not None:
            fail(node.loc, f"{name} to what the model has is not supported", LEFT_OUT)
        self._kept_out(target, name, node.loc)
        for argument in arguments[1:]:
            self._unread(argument, name)
        return Value(None, node.type, target.outside)

    def _kept_out(self, pointer: Value, name: str, loc: Location) -> None:
        """Check that an operation that is left out changes nothing of the model's."""
        if isinstance(pointer.outside, Inside):
            fail(loc, f"{name} of what the model has, through {pointer.outside}", LEFT_OUT)

    def _count(self, node: Node, name: str, arguments: tuple[Node, ...]) -> Value:
        """counter_u64_add of one of the table's counters."""
        counter, one = (_bare(argument) for argument in arguments)
        if counter.ref != "global" or counter.name not in self.api.counters or one.value != 1:
            fail(node.loc, f"{name} of what is no [[counter]], or by more than 1")
        self.e.builder.emit(Count(self.api.names.get(counter.name, counter.name), node.loc))
        return _NOTHING

    def _zero_local(
        self, node: Node, name: str, place: Place, arguments: tuple[Node, ...]
    ) -> Value:
        """A local structure as a whole: the fields that anything looks at."""
        size = arguments[-1]
        while size.kind in TRANSPARENT and size.value is None and size.children:
            size = size.children[0]
        zero = len(arguments) == 2 or _zero_literal(arguments[1])
        whole = place.type.kind == "struct" and size.value == place.type.bits // 8 > 0
        if not whole or not zero:
            fail(node.loc, f"{name} of a local variable is not supported in this form")
        parts = self.e.parts(place.local, node.loc)
        named = {part.local for part in parts}
        # The function need not name what the table asks for.
        asked = {f"{place.local}.{field}" for field in self.api.asked}
        parts += [Place(_U64, local=name) for name in sorted(asked - named)]
        for part in parts:
            self.e.write(part, Value(Const(0, U64), part.type), node.loc)
        return _NOTHING

    def _pcpu_add(self, node: Node, arguments: tuple[Node, ...]) -> Value:
        """PCPU_INC and PCPU_ADD: one instruction, which no interrupt divides."""
        place = self._counted(arguments[0])
        if place is not None:
            self._unread(arguments[1], "PCPU_ADD of a statistics counter")
            self.e.builder.emit(Count(place.counter, node.loc))
            return _NOTHING
        pointer = self.e.value(arguments[0])
        if pointer.expr is None:
            self._unread(arguments[1], "PCPU_ADD")
            return _NOTHING
        assert isinstance(pointer.expr.type, Pointer)
        kind = pointer.expr.type.target
        if not isinstance(kind, Int):
            fail(node.loc, "PCPU_ADD of what is no number")
        operand = coerce(self.e.scalar(arguments[1]), kind)
        self.e.builder.emit(Rmw(None, "add", pointer.expr, operand, node.loc))
        return _NOTHING

    def _counted(self, node: Node) -> Place | None:
        while node.kind in TRANSPARENT and node.children:
            node = node.children[0]
        if node.kind != "UNARY_OPERATOR" or node.name != "&":
            return None
        place = self.e.place(node.children[0])
        return place if place.counter else None

    # --- assertions -------------------------------------------------------------------

    def is_panic(self, node: Node) -> bool:
        """Whether a statement is a call that panics, and nothing else."""
        if node.kind == "COMPOUND_STMT" and len(node.children) == 1:
            node = node.children[0]
        if node.kind != "CALL_EXPR":
            return False
        callee = node.children[0]
        while callee.kind in TRANSPARENT and callee.children:
            callee = callee.children[0]
        return callee.ref == "function" and self.api.operation(callee.name) == "panic"

    def panic(self, node: Node, condition: Expr, kind: str) -> None:
        """Assert ``condition``; the call is evaluated only when it fails."""
        while node.kind == "COMPOUND_STMT":
            node = node.children[0]
        arguments = node.children[1:]
        text = _text(arguments[0]) if arguments else ""
        if text is None:
            fail(node.loc, "the format of a panic is no string")
        message, values = self._message(node, text, arguments[1:])
        self.e.builder.emit(Assert(condition, kind, message, values, node.loc))

    def _message(
        self, node: Node, text: str, arguments: tuple[Node, ...]
    ) -> tuple[str, tuple[Expr, ...]]:
        """The format with its strings filled in, and the numbers for the rest."""
        left, values, parts, position = list(arguments), [], [], 0
        for found in _CONVERSION.finditer(text):
            parts.append(text[position : found.start()])
            position = found.end()
            conversion = found[0]
            if conversion == "%%":
                parts.append("%%")
                continue
            if not left:
                fail(node.loc, "the format of a panic has more conversions than arguments")
            argument = left.pop(0)
            string = _text(argument)
            if string is not None:
                parts.append(string.replace("%", "%%"))
                continue
            value = self._shown(argument)
            if value is None or conversion[-1] in "sc":
                parts.append("?")
            else:
                parts.append(conversion.replace("-", ""))
                values.append(value)
        parts.append(text[position:])
        return "".join(parts), tuple(values)

    def _shown(self, node: Node) -> Expr | None:
        value = self.e.value(node)
        return value.expr


def _nothing(owner: Expressions) -> Const | None:
    result = owner.builder.result
    return None if result is None else Const(0, result)


def _fits(expr: Expr, kind: Int) -> bool:
    """Whether a value is known to be one of ``kind``."""
    return isinstance(expr, Const) and kind.minimum <= expr.value <= kind.maximum


def _bare(node: Node) -> Node:
    """``node`` without conversions."""
    while node.kind in TRANSPARENT and node.value is None and node.children:
        node = node.children[0]
    return node


def _zero_literal(node: Node) -> bool:
    return _bare(node).value == 0


def _text(node: Node) -> str | None:
    while node.kind in TRANSPARENT and node.children:
        node = node.children[0]
    return node.name if node.kind == "STRING_LITERAL" else None


def _path(node: Node) -> str:
    """``cpu_ops.cpu_init`` for a call through a field."""
    while node.kind in TRANSPARENT and node.children:
        node = node.children[0]
    if node.kind == "MEMBER_REF_EXPR" and node.children:
        base = node.children[0].type
        tag = base.target.name if base.target is not None else base.name
        return f"{tag}.{node.name}"
    return node.name if node.kind == "DECL_REF_EXPR" else ""
