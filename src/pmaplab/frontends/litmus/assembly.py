"""x86 instructions as herd7's litmus tests write them.

X86_64 tests are in AT&T syntax, the source operand first.  The older X86 tests
have the destination first, registers without ``%``, and are 32 bits wide.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pmaplab.errors import Location, did_you_mean
from pmaplab.frontends.litmus.model import Immediate, Instruction, Memory, Operand, Register
from pmaplab.frontends.litmus.source import Words, integer

_SUFFIXES = {"b": 8, "w": 16, "l": 32, "q": 64}
# mnemonic: the number of operands
_OPERATIONS = {
    "mov": 2,
    "add": 2,
    "sub": 2,
    "and": 2,
    "or": 2,
    "xor": 2,
    "cmp": 2,
    "test": 2,
    "xchg": 2,
    "xadd": 2,
    "cmpxchg": 2,
    "inc": 1,
    "dec": 1,
    "neg": 1,
    "not": 1,
}
_PLAIN = ("mfence", "sfence", "lfence", "nop", "pause")
# Jumps, each under one name for its condition.
JUMPS = {
    "jmp": "jmp",
    **dict.fromkeys(("je", "jz"), "je"),
    **dict.fromkeys(("jne", "jnz"), "jne"),
    "js": "js",
    "jns": "jns",
    "jo": "jo",
    "jno": "jno",
    **dict.fromkeys(("jb", "jc", "jnae"), "jb"),
    **dict.fromkeys(("jae", "jnb", "jnc"), "jae"),
    **dict.fromkeys(("jbe", "jna"), "jbe"),
    **dict.fromkeys(("ja", "jnbe"), "ja"),
    **dict.fromkeys(("jl", "jlt", "jnge"), "jl"),
    **dict.fromkeys(("jge", "jnl"), "jge"),
    **dict.fromkeys(("jle", "jng"), "jle"),
    **dict.fromkeys(("jg", "jgt", "jnle"), "jg"),
}
_LOCKABLE = frozenset(
    {"add", "sub", "and", "or", "xor", "inc", "dec", "not", "xchg", "xadd", "cmpxchg"}
)


def _registers() -> dict[str, tuple[str, int, int]]:
    """name: (its 64-bit register, bits, from which bit on)"""
    result: dict[str, tuple[str, int, int]] = {}
    for letter in "abcd":
        whole = f"r{letter}x"
        result |= {whole: (whole, 64, 0), f"e{letter}x": (whole, 32, 0)}
        result |= {f"{letter}x": (whole, 16, 0), f"{letter}l": (whole, 8, 0)}
        result[f"{letter}h"] = (whole, 8, 8)
    for name in ("si", "di", "bp", "sp"):
        whole = f"r{name}"
        result |= {whole: (whole, 64, 0), f"e{name}": (whole, 32, 0)}
        result |= {name: (whole, 16, 0), f"{name}l": (whole, 8, 0)}
    for number in range(8, 16):
        whole = f"r{number}"
        result |= {whole: (whole, 64, 0), f"{whole}d": (whole, 32, 0)}
        result |= {f"{whole}w": (whole, 16, 0), f"{whole}b": (whole, 8, 0)}
    return result


REGISTERS: Mapping[str, tuple[str, int, int]] = _registers()


def register(name: str, loc: Location) -> Register | None:
    """The register called ``name``, in either case and with or without ``%``."""
    shown = name.removeprefix("%").lower()
    found = REGISTERS.get(shown)
    return None if found is None else Register(*found, shown, loc)


@dataclass
class Assembler:
    """Reads the instructions of one test; ``intel`` is the manner of X86."""

    intel: bool

    def instruction(self, words: Words) -> Instruction:
        """The words of one cell of the table, without its labels."""
        first = words.loc
        locked = words.peek().lower() == "lock"
        if locked:
            words.next()
        mnemonic = words.want_kind("name", "an instruction")
        name = mnemonic.text.lower()
        if name in _PLAIN:
            result = Instruction(name, 0, (), locked, None, first)
        elif name in JUMPS:
            target = words.want_kind("name", "the label to jump to").text
            result = Instruction(JUMPS[name], 0, (), locked, target, first)
        else:
            result = self._operation(words, name, mnemonic.loc, locked, first)
        if words.more:
            words.fail("more operands than the instruction has")
        self._check_lock(words, result)
        return result

    def _operation(
        self, words: Words, name: str, loc: Location, locked: bool, first: Location
    ) -> Instruction:
        op, bits = name, 0
        if name not in _OPERATIONS and name[:-1] in _OPERATIONS and name[-1] in _SUFFIXES:
            op, bits = name[:-1], _SUFFIXES[name[-1]]
        if op not in _OPERATIONS:
            known = [*_OPERATIONS, *_PLAIN, *JUMPS]
            words.source.fail(
                loc,
                f"the instruction {name} is not supported",
                did_you_mean(name, known) or f"there are {', '.join(known)}",
            )
        operands = [self._operand(words)]
        while words.take(","):
            operands.append(self._operand(words))
        if len(operands) != _OPERATIONS[op]:
            words.source.fail(loc, f"{op} has {_OPERATIONS[op]} operands, not {len(operands)}")
        if self.intel:
            operands.reverse()
        bits = self._width(words, op, bits, operands, loc)
        return Instruction(op, bits, tuple(operands), locked, None, first)

    def _width(
        self, words: Words, op: str, bits: int, operands: list[Operand], loc: Location
    ) -> int:
        for operand in operands:
            if isinstance(operand, Register):
                bits = bits or operand.bits
                if operand.bits != bits:
                    words.source.fail(
                        operand.loc, f"the register has {operand.bits} bits, {op} works on {bits}"
                    )
        if not bits and self.intel:
            bits = 32
        if not bits:
            words.source.fail(
                loc, f"{op} does not say how wide its operands are", f"write {op}l for 32 bits"
            )
        for operand in operands:
            if isinstance(operand, Immediate) and not -(1 << bits - 1) <= operand.value < 1 << bits:
                words.source.fail(operand.loc, f"{operand.value} does not fit into {bits} bits")
        if isinstance(operands[-1], Immediate):
            words.source.fail(operands[-1].loc, f"{op} cannot write a number")
        if sum(isinstance(operand, Memory) for operand in operands) > 1:
            words.source.fail(operands[-1].loc, f"{op} has at most one operand in memory")
        if op in ("xadd", "cmpxchg") and not isinstance(operands[0], Register):
            words.source.fail(operands[0].loc, f"the source of {op} is a register")
        if op == "xchg" and isinstance(operands[0], Immediate):
            words.source.fail(operands[0].loc, "xchg cannot write a number")
        return bits

    def _operand(self, words: Words) -> Operand:
        loc, kind, text = words.loc, words.kind(), words.peek()
        if kind == "immediate":
            return Immediate(integer(words.next().text[1:]), loc)
        if kind == "number" and words.peek(1) not in ("(", "["):
            return Immediate(words.number(), loc)
        if kind == "number":
            if words.number():
                words.source.fail(
                    loc, "addresses with a displacement are not supported", "name the location: (x)"
                )
            return self._bracketed(words)
        if kind == "register" or (kind == "name" and text.lower() in REGISTERS):
            found = register(words.next().text, loc)
            if found is None:
                words.source.fail(loc, f"there is no register {text}")
            return found
        if text in ("(", "["):
            return self._bracketed(words)
        if kind != "name":
            words.fail("an operand is expected here", "$1, %eax, (x), [x] or (%rax)")
        name = words.next().text
        words.want("(", f"behind {name}: a location is written ({name}) or {name}(%rip)")
        if words.peek().lower() not in ("%rip", "rip"):
            words.fail("only %rip can be the base of a location", f"write ({name})")
        words.next()
        words.want(")", "here")
        return Memory(name, None, loc)

    def _bracketed(self, words: Words) -> Memory:
        """``(x)``, ``[x]``, ``(%rax)`` or ``[rax]``."""
        opening = words.next()
        inner, loc = words.next() if words.more else None, words.loc
        if inner is None or inner.kind not in ("name", "register"):
            words.source.fail(inner.loc if inner else loc, "a location or a register is expected")
        closing = ")" if opening.text == "(" else "]"
        words.want(closing, "here: only one location or register makes an address")
        base = register(inner.text, inner.loc)
        if base is None:
            if inner.kind == "register":
                words.source.fail(inner.loc, f"there is no register {inner.text}")
            return Memory(inner.text, None, inner.loc)
        if base.bits != (32 if self.intel else 64):
            words.source.fail(inner.loc, f"an address is not in a register of {base.bits} bits")
        return Memory(None, base.name, inner.loc)

    def _check_lock(self, words: Words, found: Instruction) -> None:
        memory = found.operands and isinstance(found.operands[-1], Memory)
        if found.op == "xchg":
            memory = any(isinstance(operand, Memory) for operand in found.operands)
        if found.locked and not (found.op in _LOCKABLE and memory):
            words.source.fail(
                found.loc,
                f"{found.op} cannot be locked here",
                f"{', '.join(sorted(_LOCKABLE))} can, where they write memory",
            )
