"""The functions that the language itself gives a meaning."""

from __future__ import annotations

import ast
import re

from pmaplab.frontends.builder import nothing
from pmaplab.frontends.kernel_python.declarations import string
from pmaplab.frontends.kernel_python.expressions import Expressions, Intrinsics, is_pure
from pmaplab.frontends.kernel_python.scope import INTEGERS, spelled
from pmaplab.frontends.kernel_python.values import Value
from pmaplab.ir.nodes import (
    Assert,
    Assume,
    Binary,
    Call,
    Choose,
    CmpXchg,
    Const,
    Expr,
    Fence,
    InRegion,
    Load,
    Print,
    Return,
    Rmw,
    Sometimes,
    Store,
    ThisCpu,
    Unary,
)
from pmaplab.ir.types import BOOL, U32, U64, Int, Pointer, Scalar

# The conversions of a C format that an integer or a pointer can take.
_CONVERSION = re.compile(r"%(?:%|#?0?\d*(?:ll|l|j|z|h)?[duxXp])")

# name: (Rmw operation, whether the old value is the result)
_RMW = {
    "atomic_set_int": ("or", False),
    "atomic_set_long": ("or", False),
    "atomic_clear_int": ("and", False),
    "atomic_clear_long": ("and", False),
    "atomic_add_int": ("add", False),
    "atomic_subtract_int": ("sub", False),
    "atomic_fetchadd_int": ("add", True),
    "atomic_swap_int": ("xchg", True),
    "atomic_swap_ptr": ("xchg", True),
}
_CMPSET = ("atomic_cmpset_int", "atomic_cmpset_ptr")
_LOAD = ("atomic_load_acq_int",)
_STORE = ("atomic_store_rel_int", "atomic_store_rel_ptr")
# name: (fewest, most) arguments
_ARITY = {
    "KASSERT": (2, 99),
    "MPASS": (1, 1),
    "panic": (1, 99),
    "printf": (1, 99),
    "assume": (1, 1),
    "choose": (1, 1),
    "sometimes": (1, 1),
    "within": (2, 2),
    "this_cpu": (0, 0),
    "popcount": (1, 1),
    "ffs": (1, 1),
    "ia32_pause": (0, 0),
    "run_sysinits": (0, 0),
    "atomic_thread_fence_seq_cst": (0, 0),
    **dict.fromkeys(_RMW, (2, 2)),
    **dict.fromkeys(_CMPSET, (3, 3)),
    **dict.fromkeys(_LOAD, (1, 1)),
    **dict.fromkeys(_STORE, (2, 2)),
}


# Names that mean something to the language wherever they stand.
RESERVED = frozenset(INTEGERS) | frozenset(_ARITY) | {"NULL", "ptr", "counter", "int"}


class KernelIntrinsics(Intrinsics):
    """``sysinits`` are the functions that run_sysinits() calls, in order."""

    names = frozenset(_ARITY)

    def __init__(self, sysinits: list[str]) -> None:
        self.sysinits = sysinits

    def lower(
        self, owner: Expressions, name: str, node: ast.Call, expected: Scalar | None
    ) -> Value | None:
        fewest, most = _ARITY[name]
        if not fewest <= len(node.args) <= most:
            count = str(fewest) if fewest == most else f"at least {fewest}"
            owner.fail(node, f"{name} takes {count} arguments, not {len(node.args)}")
        if name in _RMW:
            return self._rmw(owner, name, node)
        if name in _CMPSET:
            return self._cmpset(owner, name, node)
        loc, builder, args = owner.at(node), owner.builder, node.args
        match name:
            case "KASSERT" | "MPASS" | "panic":
                self._assert(owner, name, node)
            case "printf":
                text = string(owner.source, args[0])
                builder.emit(Print(text, self._arguments(owner, node, text, args[1:]), loc))
            case "assume":
                if not owner.atomic:
                    owner.fail(
                        node,
                        "assume is for atomic functions",
                        "write `while CONDITION: ia32_pause()`",
                    )
                builder.emit(Assume(owner.condition(args[0]), loc))
            case "choose":
                return self._choose(owner, node)
            case "sometimes":
                builder.emit(Sometimes(string(owner.source, args[0]), loc))
            case "within":
                region = string(owner.source, args[1])
                return Value(InRegion(owner.value(args[0], U32), region), BOOL)
            case "this_cpu":
                return Value(ThisCpu(), U32)
            case "popcount" | "ffs":
                value = owner.value(args[0])
                if not isinstance(value.type, Int):
                    owner.fail(args[0], "an integer is expected")
                return Value(Unary(name, value, U32), U32)
            case "run_sysinits":
                if owner.atomic:
                    owner.fail(node, "an atomic function cannot run the SYSINITs")
                for function in self.sysinits:
                    builder.emit(Call(None, function, (), loc))
            case "atomic_thread_fence_seq_cst":
                builder.emit(Fence(loc))
            case "atomic_load_acq_int":
                place, kind = self._cell(owner, args[0], name)
                loaded = builder.temporary(kind)
                builder.emit(Load(loaded.name, place, loc))
                return Value(loaded, kind)
            case "atomic_store_rel_int" | "atomic_store_rel_ptr":
                place, kind = self._cell(owner, args[0], name)
                builder.emit(Store(place, owner.value(args[1], kind), loc))
            case "ia32_pause":
                # Outside of `while ...: ia32_pause()` a pause means nothing.
                pass
        return None

    def _cell(self, owner: Expressions, node: ast.expr, name: str) -> tuple[Expr, Scalar]:
        """The place that ``name`` works on; its width is part of the name."""
        place = owner.place(node)
        kind = place.kind
        match name.rsplit("_", 1)[1], kind:
            case ("ptr", Pointer()) | ("int", Int(bits=32)) | ("long", Int(bits=64)):
                assert isinstance(kind, Int | Pointer)
                return place.expr, kind
        owner.fail(
            node,
            f"{name} does not work on {spelled(kind)}",
            "..._int takes 32 bits, ..._long 64 bits, ..._ptr a pointer",
        )

    def _rmw(self, owner: Expressions, name: str, node: ast.Call) -> Value | None:
        op, has_result = _RMW[name]
        place, kind = self._cell(owner, node.args[0], name)
        operand = owner.value(node.args[1], kind)
        if op == "and":
            assert isinstance(kind, Int)
            operand = Unary("inv", operand, kind.whole)
        if not has_result:
            owner.builder.emit(Rmw(None, op, place, operand, owner.at(node)))
            return None
        old = owner.builder.temporary(kind)
        owner.builder.emit(Rmw(old.name, op, place, operand, owner.at(node)))
        return Value(old, old.type)

    def _cmpset(self, owner: Expressions, name: str, node: ast.Call) -> Value:
        place, kind = self._cell(owner, node.args[0], name)
        expected = owner.value(node.args[1], kind)
        desired = owner.value(node.args[2], kind)
        old = owner.builder.temporary(kind)
        owner.builder.emit(CmpXchg(old.name, place, expected, desired, owner.at(node)))
        return Value(Binary("eq", old, expected, BOOL), BOOL)

    def _choose(self, owner: Expressions, node: ast.Call) -> Value:
        count = owner.value(node.args[0], U32)
        if isinstance(count, Const) and count.value < 1:
            owner.fail(node.args[0], "there is nothing to choose from")
        last: Expr
        if isinstance(count, Const):
            last = Const(count.value - 1, U32)
        else:
            last = Binary("sub", count, Const(1, U32), U32)
            some = Binary("ne", count, Const(0, U32), BOOL)
            message = "there is nothing to choose from"
            owner.builder.emit(Assert(some, "choose", message, (), owner.at(node)))
        chosen = owner.builder.temporary(U32)
        owner.builder.emit(Choose(chosen.name, Const(0, U32), last, owner.at(node)))
        return Value(chosen, U32)

    def _assert(self, owner: Expressions, name: str, node: ast.Call) -> None:
        """A KASSERT evaluates its message only when it fails."""
        builder, args, loc = owner.builder, node.args, owner.at(node)
        condition: Expr = Const(0, BOOL)
        if name == "panic":
            message, rest = string(owner.source, args[0]), args[1:]
        elif name == "MPASS":
            condition = owner.condition(args[0])
            message, rest = f"Assertion {ast.unparse(args[0])} failed", []
        else:
            condition = owner.condition(args[0])
            message, rest = string(owner.source, args[1]), args[2:]
        if isinstance(condition, Const) or all(is_pure(owner, argument) for argument in rest):
            arguments = self._arguments(owner, node, message, rest)
            if not (isinstance(condition, Const) and condition.value):
                builder.emit(Assert(condition, name, message, arguments, loc))
            return
        holds, fails = builder.label("holds"), builder.label("fails")
        builder.branch(condition, holds, fails, loc)
        builder.start(fails)
        arguments = self._arguments(owner, node, message, rest)
        builder.emit(Assert(Const(0, BOOL), name, message, arguments, loc))
        builder.terminate(Return(nothing(builder.result), loc))
        builder.start(holds)

    def _arguments(
        self, owner: Expressions, node: ast.Call, text: str, nodes: list[ast.expr]
    ) -> tuple[Expr, ...]:
        if "%" in _CONVERSION.sub("", text):
            owner.fail(
                node,
                "the format has a conversion that is not part of kernel Python",
                "there are %d %u %x %X %p, with #, 0, a width, and l, ll, j, z, h; and %%",
            )
        wanted = text.replace("%%", "").count("%")
        if wanted != len(nodes):
            owner.fail(node, f"the format has {wanted} conversions for {len(nodes)} arguments")
        return tuple(self._argument(owner, argument) for argument in nodes)

    def _argument(self, owner: Expressions, node: ast.expr) -> Expr:
        value = owner.value(node)
        # NULL points to nothing that has a type.
        unknown = isinstance(value.type, Pointer) and not str(value.type.target)
        return Const(0, U64) if unknown else value
