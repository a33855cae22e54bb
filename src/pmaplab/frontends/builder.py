"""Building the blocks of one function, for every front end."""

from __future__ import annotations

from dataclasses import replace

from pmaplab.errors import Location
from pmaplab.ir.nodes import (
    Assign,
    Binary,
    Block,
    Branch,
    Cast,
    Const,
    Expr,
    Function,
    Instruction,
    Jump,
    Load,
    Local,
    Return,
    Select,
    Terminator,
    Unary,
)
from pmaplab.ir.types import BOOL, Int, Scalar
from pmaplab.ir.walk import reads, subexpressions, successors, writes


class Builder:
    """Collects blocks; instructions go to the current one.

    Between a terminator and the next :meth:`start` nothing is reachable, and
    what is emitted there is dropped.
    """

    def __init__(self, name: str, parameters: dict[str, Scalar], result: Scalar | None) -> None:
        self.name = name
        self.parameters = tuple(parameters)
        self.variables: dict[str, Scalar] = dict(parameters)
        self.result = result
        self._blocks: dict[str, Block] = {}
        self._label: str | None = "entry"
        self._instructions: list[Instruction] = []
        self._counter = 0
        self.loads = 0  # how many of the instructions so far were Loads
        self.others = 0  # ... and neither Loads nor Assigns

    @property
    def reachable(self) -> bool:
        return self._label is not None

    def label(self, stem: str) -> str:
        self._counter += 1
        return f"{stem}{self._counter}"

    def temporary(self, kind: Scalar) -> Local:
        """A fresh local that no source name can clash with."""
        self._counter += 1
        whole = kind.whole if isinstance(kind, Int) else kind
        name = f".{self._counter}"
        self.variables[name] = whole
        return Local(name, whole)

    def emit(self, instruction: Instruction) -> None:
        if isinstance(instruction, Load):
            self.loads += 1
        elif not isinstance(instruction, Assign):
            self.others += 1
        if self._label is not None:
            self._instructions.append(instruction)

    def terminate(self, terminator: Terminator) -> None:
        if self._label is not None:
            self._blocks[self._label] = Block(self._label, tuple(self._instructions), terminator)
        self._label = None
        self._instructions = []

    def start(self, label: str) -> None:
        assert self._label is None
        self._label = label

    def branch(self, condition: Expr, then: str, otherwise: str, loc: Location) -> None:
        if isinstance(condition, Const):
            self.terminate(Jump(then if condition.value else otherwise, loc))
        else:
            self.terminate(Branch(condition, then, otherwise, loc))

    def forget(self, targets: set[str]) -> None:
        """Drop the assignments to these locals, which nothing reads."""
        for label, block in self._blocks.items():
            kept = tuple(i for i in block.instructions if writes(i) not in targets)
            self._blocks[label] = replace(block, instructions=kept)

    def finish(self, *, atomic: bool, loc: Location) -> Function:
        """The function, without unreachable blocks and unused locals."""
        assert self._label is None
        blocks = _thread_jumps(self._blocks)
        used = set(self.parameters)
        for block in blocks:
            for item in (*block.instructions, block.terminator):
                used |= reads(item)
                if (target := writes(item)) is not None:
                    used.add(target)
        variables = {name: kind for name, kind in self.variables.items() if name in used}
        return Function(self.name, self.parameters, variables, self.result, blocks, atomic, loc)


def _thread_jumps(blocks: dict[str, Block]) -> tuple[Block, ...]:
    """Drop unreachable and empty blocks; merge a block into its only source."""

    def final(label: str) -> str:
        seen = {label}
        while True:
            block = blocks[label]
            if block.instructions or not isinstance(block.terminator, Jump):
                return label
            label = block.terminator.block
            if label in seen:
                return label
            seen.add(label)

    def retarget(item: Terminator) -> Terminator:
        match item:
            case Jump(block=target):
                return replace(item, block=final(target))
            case Branch(then=then, otherwise=otherwise):
                then, otherwise = final(then), final(otherwise)
                if then == otherwise and not _can_fail(item.condition):
                    return Jump(then, item.loc)
                return replace(item, then=then, otherwise=otherwise)
            case Return():
                return item

    blocks = {label: replace(b, terminator=retarget(b.terminator)) for label, b in blocks.items()}
    order: list[str] = []
    work = ["entry"]
    while work:
        label = work.pop()
        if label not in order:
            order.append(label)
            work += reversed(successors(blocks[label].terminator))
    sources: dict[str, int] = dict.fromkeys(order, 0)
    sources["entry"] = 2
    for label in order:
        for target in successors(blocks[label].terminator):
            sources[target] += 1
    merged: dict[str, Block] = {}
    gone: set[str] = set()
    for label in order:
        if label in gone:
            continue
        block = blocks[label]
        while isinstance(block.terminator, Jump) and sources[block.terminator.block] == 1:
            follower = blocks[block.terminator.block]
            gone.add(follower.label)
            merged.pop(follower.label, None)
            block = Block(label, (*block.instructions, *follower.instructions), follower.terminator)
        merged[label] = block
    return tuple(merged.values())


def _can_fail(expr: Expr) -> bool:
    """Whether C leaves it undefined for some values of its operands."""
    for inner in subexpressions(expr):
        match inner:
            case Binary(op="div" | "mod" | "shl" | "shr"):
                return True
            case Binary(op="add" | "sub" | "mul") | Unary(op="neg"):
                if inner.type.signed:
                    return True
    return False


# --- folding ---------------------------------------------------------------


def nothing(result: Scalar | None) -> Const | None:
    """What a return gives that is never reached."""
    if result is None:
        return None
    return Const(result.minimum if isinstance(result, Int) else 0, result)


def as_condition(value: Expr) -> Expr:
    """``value != 0`` for anything that is not a bool yet."""
    if value.type == BOOL:
        return value
    if isinstance(value, Const):
        return Const(int(value.value != 0), BOOL)
    return Binary("ne", value, Const(0, value.type), BOOL)


def negated(condition: Expr) -> Expr:
    """The opposite of a bool."""
    opposite = {"eq": "ne", "ne": "eq", "lt": "ge", "ge": "lt", "gt": "le", "le": "gt"}
    match condition:
        case Const(value=value):
            return Const(int(not value), BOOL)
        case Unary(op="not", operand=operand):
            return operand
        case Binary(op=op) if op in opposite:
            return replace(condition, op=opposite[op])
    return Unary("not", condition, BOOL)


def joined(op: str, left: Expr, right: Expr) -> Expr:
    """``land`` or ``lor`` of two bools, folded where one is known."""
    absorbing = int(op == "lor")
    if isinstance(left, Const):
        return left if left.value == absorbing else right
    if isinstance(right, Const) and right.value != absorbing:
        return left
    return Binary(op, left, right, BOOL)


def selected(condition: Expr, then: Expr, otherwise: Expr) -> Expr:
    if isinstance(condition, Const):
        return then if condition.value else otherwise
    kind = then.type.whole if isinstance(then.type, Int) else then.type
    return Select(condition, then, otherwise, kind)


def widened(value: Expr, kind: Int) -> Expr:
    """``value`` as a ``kind``; the caller knows that no bit is lost."""
    assert isinstance(value.type, Int)
    if value.type.whole == kind.whole:
        return value
    if isinstance(value, Const):
        return Const(value.value, kind.whole)
    return Cast(value, kind.whole)


def compared(op: str, left: Expr, right: Expr) -> Expr:
    """A comparison, folded for two constants."""
    if isinstance(left, Const) and isinstance(right, Const):
        a, b = left.value, right.value
        truth = {
            "eq": a == b,
            "ne": a != b,
            "lt": a < b,
            "le": a <= b,
            "gt": a > b,
            "ge": a >= b,
        }[op]
        return Const(int(truth), BOOL)
    return Binary(op, left, right, BOOL)


def arithmetic(op: str, left: Expr, right: Expr, kind: Int) -> Expr:
    """Arithmetic in the type ``kind``, folded where it cannot fail."""
    if isinstance(left, Const) and isinstance(right, Const):
        a, b = left.value, right.value
        result: int | None = None
        match op:
            case "add":
                result = a + b
            case "sub":
                result = a - b
            case "mul":
                result = a * b
            case "and":
                result = a & b
            case "or":
                result = a | b
            case "xor":
                result = a ^ b
            case "shl" if 0 <= b < kind.bits:
                result = a << b
            case "shr" if 0 <= b < kind.bits:
                result = a >> b
            case "div" if b > 0 and a >= 0:
                result = a // b
            case "mod" if b > 0 and a >= 0:
                result = a % b
        if result is not None and not kind.signed:
            return Const(result & kind.whole.maximum, kind.whole)
        if result is not None and kind.minimum <= result <= kind.maximum:
            return Const(result, kind.whole)
    return Binary(op, left, right, kind.whole)
