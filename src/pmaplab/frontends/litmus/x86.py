"""What x86 instructions do to registers, flags and memory, as IR.

A register is a 64-bit local: a write of 32 bits clears the upper half, one of
8 or 16 bits leaves the rest (Intel SDM volume 1, 3.4.1.1).  Flags are locals
too, and cost nothing where nobody looks at them.
"""

from __future__ import annotations

from collections.abc import Callable

from pmaplab.errors import Location
from pmaplab.frontends.builder import Builder, arithmetic, negated
from pmaplab.frontends.litmus.model import Immediate, Instruction, Memory, Operand, Register
from pmaplab.ir.nodes import (
    Assign,
    Binary,
    Cast,
    CmpXchg,
    Const,
    Expr,
    Fence,
    GlobalAddress,
    Load,
    Local,
    Rmw,
    Select,
    Store,
)
from pmaplab.ir.types import BOOL, U64, Int

# Carry, zero, sign and overflow.
FLAGS = ("cf", "zf", "sf", "of")
CF, ZF, SF, OF = (Local(name, BOOL) for name in FLAGS)
ACCUMULATOR = "rax"

# The IR's operation; neg subtracts from 0, not flips every bit.
_ALU = {
    "add": "add",
    "inc": "add",
    "sub": "sub",
    "dec": "sub",
    "neg": "sub",
    "and": "and",
    "or": "or",
    "xor": "xor",
    "not": "xor",
}


def condition(jump: str) -> Expr:
    """When a conditional jump is taken."""
    less = Binary("ne", SF, OF, BOOL)
    conditions: dict[str, Expr] = {
        "je": ZF,
        "js": SF,
        "jo": OF,
        "jb": CF,
        "jbe": Binary("lor", CF, ZF, BOOL),
        "jl": less,
        "jle": Binary("lor", ZF, less, BOOL),
    }
    opposites = {"jne": "je", "jns": "js", "jno": "jo", "jae": "jb", "ja": "jbe"}
    opposites |= {"jge": "jl", "jg": "jle"}
    if jump in opposites:
        return negated(conditions[opposites[jump]])
    return conditions[jump]


class Effects:
    """Emits the code of single instructions into ``builder``.

    ``locate`` gives the address of a memory operand; its cell is as wide as
    the instruction's operands.
    """

    def __init__(self, builder: Builder, locate: Callable[[Memory], GlobalAddress]) -> None:
        self.builder = builder
        self.locate = locate

    def emit(self, instruction: Instruction) -> None:
        """Everything except jumps."""
        loc = instruction.loc
        match instruction.op:
            case "mfence":
                self.builder.emit(Fence(loc))
            case "sfence" | "lfence" | "nop" | "pause":
                # Loads and stores of write-back memory are ordered without.
                pass
            case "mov":
                self._write(instruction.operands[1], self._value(instruction, 0), loc)
            case "cmp" | "test":
                left, right = self._value(instruction, 1), self._value(instruction, 0)
                op = "sub" if instruction.op == "cmp" else "and"
                result = self._hold(arithmetic(op, left, right, _kind(instruction)), loc)
                self._flags(op, left, right, result, loc)
            case "xchg":
                self._exchange(instruction)
            case "xadd":
                self._exchange_add(instruction)
            case "cmpxchg":
                self._compare_exchange(instruction)
            case _:
                self._modify(instruction)

    # --- operands ----------------------------------------------------------

    def _hold(self, value: Expr, loc: Location) -> Expr:
        """``value`` as it is now, whatever is written later."""
        if isinstance(value, Const):
            return value
        assert isinstance(value.type, Int)
        held = self.builder.temporary(value.type)
        self.builder.emit(Assign(held.name, value, loc))
        return held

    def _value(self, instruction: Instruction, number: int) -> Expr:
        """The value of an operand, read now."""
        operand, kind = instruction.operands[number], _kind(instruction)
        match operand:
            case Immediate(value=value):
                return Const(value & kind.maximum, kind)
            case Register():
                return self._hold(read(operand), instruction.loc)
            case Memory():
                found = self.builder.temporary(kind)
                self.builder.emit(Load(found.name, self.locate(operand), instruction.loc))
                return found

    def _write(self, operand: Operand, value: Expr, loc: Location) -> None:
        assert not isinstance(operand, Immediate)
        if isinstance(operand, Memory):
            self.builder.emit(Store(self.locate(operand), value, loc))
        else:
            self.builder.emit(Assign(operand.name, written(operand, value), loc))

    def _flags(self, op: str, left: Expr, right: Expr, result: Expr, loc: Location) -> None:
        """The flags after ``left op right``; inc and dec leave the carry."""
        kind = result.type
        assert isinstance(kind, Int)
        sign = Const(1 << kind.bits - 1, kind)

        def negative(value: Expr) -> Expr:
            return Binary("ne", Binary("and", value, sign, kind), Const(0, kind), BOOL)

        def differ(one: Expr, other: Expr) -> Expr:
            return Binary("xor", one, other, kind)

        carry: Expr = Const(0, BOOL)
        overflow: Expr = Const(0, BOOL)
        if op in ("add", "inc"):
            carry = Binary("lt", result, left, BOOL)
            overflow = negative(Binary("and", differ(left, result), differ(right, result), kind))
        elif op in ("sub", "dec"):
            carry = Binary("lt", left, right, BOOL)
            overflow = negative(Binary("and", differ(left, right), differ(left, result), kind))
        flags = {"zf": Binary("eq", result, Const(0, kind), BOOL), "sf": negative(result)}
        flags["of"] = overflow
        if op not in ("inc", "dec"):
            flags["cf"] = carry
        for name, value in flags.items():
            self.builder.emit(Assign(name, value, loc))

    # --- instructions ------------------------------------------------------

    def _modify(self, instruction: Instruction) -> None:
        """``target op= source``; in memory and without lock these are two
        accesses."""
        op, target, kind = instruction.op, instruction.operands[-1], _kind(instruction)
        loc = instruction.loc
        right: Expr = Const(1, kind)
        if len(instruction.operands) == 2:
            right = self._value(instruction, 0)
        elif op == "not":
            right = Const(kind.maximum, kind)
        if instruction.locked:
            assert isinstance(target, Memory)
            old = self.builder.temporary(kind)
            self.builder.emit(Rmw(old.name, _ALU[op], self.locate(target), right, loc))
            left: Expr = old
        else:
            left = self._value(instruction, len(instruction.operands) - 1)
        if op == "neg":
            left, right, op = Const(0, kind), left, "sub"
        result = self._hold(arithmetic(_ALU[op], left, right, kind), loc)
        if op != "not":
            self._flags(op, left, right, result, loc)
        if not instruction.locked:
            self._write(target, result, loc)

    def _exchange(self, instruction: Instruction) -> None:
        """XCHG with memory is locked, with the prefix or without."""
        first, second = instruction.operands
        loc = instruction.loc
        if isinstance(first, Memory):
            first, second = second, first
        if isinstance(second, Memory):
            assert isinstance(first, Register)
            old = self.builder.temporary(_kind(instruction))
            value = self._hold(read(first), loc)
            self.builder.emit(Rmw(old.name, "xchg", self.locate(second), value, loc))
            self._write(first, old, loc)
        else:
            values = self._value(instruction, 0), self._value(instruction, 1)
            self._write(instruction.operands[1], values[0], loc)
            self._write(instruction.operands[0], values[1], loc)

    def _exchange_add(self, instruction: Instruction) -> None:
        source, target = instruction.operands
        kind, loc = _kind(instruction), instruction.loc
        right = self._value(instruction, 0)
        if instruction.locked:
            assert isinstance(target, Memory)
            old: Expr = self.builder.temporary(kind)
            assert isinstance(old, Local)
            self.builder.emit(Rmw(old.name, "add", self.locate(target), right, loc))
        else:
            old = self._value(instruction, 1)
        result = self._hold(arithmetic("add", old, right, kind), loc)
        self._flags("add", old, right, result, loc)
        self._write(source, old, loc)
        if not instruction.locked:
            # The sum is written last: it wins where both are one register.
            self._write(target, result, loc)

    def _compare_exchange(self, instruction: Instruction) -> None:
        """The accumulator is compared with the target, which becomes the source
        if they are equal; else the accumulator becomes the target.  Memory is
        written in both cases."""
        target = instruction.operands[1]
        kind, loc = _kind(instruction), instruction.loc
        accumulator = Register(ACCUMULATOR, kind.bits, 0, ACCUMULATOR, loc)
        expected = self._hold(read(accumulator), loc)
        desired = self._value(instruction, 0)
        if instruction.locked:
            assert isinstance(target, Memory)
            found: Expr = self.builder.temporary(kind)
            assert isinstance(found, Local)
            address = self.locate(target)
            self.builder.emit(CmpXchg(found.name, address, expected, desired, loc))
        else:
            found = self._value(instruction, 1)
        same = Binary("eq", expected, found, BOOL)
        result = self._hold(arithmetic("sub", expected, found, kind), loc)
        self._flags("sub", expected, found, result, loc)
        whole = Local(ACCUMULATOR, U64)
        kept = Select(same, whole, written(accumulator, found), U64)
        self.builder.emit(Assign(ACCUMULATOR, kept, loc))
        if isinstance(target, Register):
            kept = Select(same, written(target, desired), Local(target.name, U64), U64)
            self.builder.emit(Assign(target.name, kept, loc))
        elif not instruction.locked:
            self._write(target, Select(same, desired, found, kind), loc)


def read(register: Register) -> Expr:
    """The register's bits, as wide as it is."""
    whole: Expr = Local(register.name, U64)
    if register.shift:
        whole = Binary("shr", whole, Const(register.shift, U64), U64)
    return whole if register.bits == 64 else Cast(whole, Int(register.bits))


def written(register: Register, value: Expr) -> Expr:
    """What the whole register becomes when ``value`` is written to its part."""
    if register.bits == 64:
        return value
    if register.bits == 32:
        return Cast(value, U64)
    mask = (1 << register.bits) - 1 << register.shift
    rest = Binary("and", Local(register.name, U64), Const(U64.maximum & ~mask, U64), U64)
    wide: Expr = Cast(value, U64)
    if register.shift:
        wide = Binary("shl", wide, Const(register.shift, U64), U64)
    return Binary("or", rest, wide, U64)


def _kind(instruction: Instruction) -> Int:
    return Int(instruction.bits)
