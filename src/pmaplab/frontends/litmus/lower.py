"""From a litmus test to a system that the search explores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NoReturn

from pmaplab.errors import LitmusError, Location
from pmaplab.frontends.builder import Builder
from pmaplab.frontends.litmus.conditions import Place, atoms
from pmaplab.frontends.litmus.model import Instruction, LitmusTest, Memory, Register, Thread
from pmaplab.frontends.litmus.x86 import ACCUMULATOR, FLAGS, Effects, condition
from pmaplab.ir.nodes import (
    THREAD,
    Agent,
    Assign,
    Const,
    FieldAddress,
    Function,
    GlobalAddress,
    GlobalDecl,
    IndexAddress,
    Jump,
    Local,
    Program,
    Return,
    Step,
    Store,
    StructDecl,
    ThisCpu,
)
from pmaplab.ir.types import BOOL, U64, Array, Int, Pointer, Struct

# The registers that the final states show; no name of a test has a dot.
REGISTERS = "cpu.registers"
_DEFAULT_BITS = 32


@dataclass(frozen=True)
class Lowered:
    """A test's program, without store buffers and without its steps placed.

    ``places`` are what the final states show, in order: the cell of each as a
    global with a path, and its width in bits, and whether it is signed.
    ``stores`` is the largest number of stores that a thread makes, and
    ``repeats`` tells that some thread makes them in a loop.
    """

    program: Program
    cells: Mapping[Place, tuple[str, str]]
    bits: Mapping[Place, int]
    signed: Mapping[Place, bool]
    stores: int
    repeats: bool


def lower(test: LitmusTest) -> Lowered:
    """Raises LitmusError, with the place, for what cannot be modelled."""
    return _Lowering(test).run()


class _Lowering:
    def __init__(self, test: LitmusTest) -> None:
        self.test = test
        self.bits = {name: v.bits for name, v in test.variables.items()}
        self.places = sorted(self._places(), key=lambda p: (p.thread < 0, p))
        self.shown = sorted({place.name for place in self.places if place.thread >= 0})

    def fail(self, loc: Location, message: str, advice: str | None = None) -> NoReturn:
        text = self.test.lines[loc.line - 1]
        raise LitmusError(message, location=loc, source=text, advice=advice)

    def _places(self) -> set[Place]:
        test = self.test
        found = {atom.place for atom in atoms(test.condition.formula)}
        if test.filter is not None:
            found |= {atom.place for atom in atoms(test.filter)}
        return found | set(test.locations)

    def run(self) -> Lowered:
        test = self.test
        for thread in test.threads:
            for instruction in thread.code:
                self._check(thread, instruction)
        functions = [self._thread(thread) for thread in test.threads]
        program = Program(
            structs=self._structs(),
            globals=self._globals(),
            functions={function.name: function for function in functions},
            agents=tuple(
                Agent(f"P{number}", number, THREAD, function.name)
                for number, function in enumerate(functions)
            ),
            cpus=len(functions),
        )
        return Lowered(
            program,
            {place: self._cell(place) for place in self.places},
            {p: p.bits if p.thread >= 0 else self._width(p.name) for p in self.places},
            {place: self._is_signed(place) for place in self.places},
            max(sum(map(stores, thread.code)) for thread in test.threads),
            any(stores_in_loop(thread) for thread in test.threads),
        )

    # --- checks ------------------------------------------------------------

    def _address(self, thread: int, operand: Memory) -> str:
        """The location that a memory operand names."""
        if operand.name is not None:
            return operand.name
        initial = self.test.registers.get((thread, operand.base or ""))
        if initial is None or initial.address is None:
            self.fail(
                operand.loc,
                f"{operand.base} holds no address",
                f"give it one: {thread}:{operand.base}=x",
            )
        return initial.address

    def _check(self, thread: Thread, instruction: Instruction) -> None:
        """Fix the widths of locations; addresses stay what they are."""
        names = {o.name: o.loc for o in instruction.operands if isinstance(o, Register)}
        if instruction.op == "cmpxchg":
            names.setdefault(ACCUMULATOR, instruction.loc)
        for name, loc in names.items():
            initial = self.test.registers.get((thread.number, name))
            if initial is not None and initial.address is not None:
                self.fail(
                    loc,
                    f"{name} holds the address of {initial.address}: it can only be used as one",
                )
        for operand in instruction.operands:
            if isinstance(operand, Memory):
                name = self._address(thread.number, operand)
                bits = self.bits.get(name)
                if bits is not None and bits != instruction.bits:
                    self.fail(
                        operand.loc,
                        f"an access of {instruction.bits} bits to {name}, which has {bits}",
                        "accesses of mixed size are not supported",
                    )
                self.bits[name] = instruction.bits

    # --- memory ------------------------------------------------------------

    def _width(self, name: str) -> int:
        return self.bits[name] or _DEFAULT_BITS

    def _cell(self, place: Place) -> tuple[str, str]:
        if place.thread < 0:
            return place.name, ""
        return REGISTERS, f"[{place.thread}].{place.name}"

    def _is_signed(self, place: Place) -> bool:
        if place.thread < 0:
            return self.test.variables[place.name].signed
        initial = self.test.registers.get((place.thread, place.name))
        return initial is None or initial.signed

    def _structs(self) -> dict[str, StructDecl]:
        if not self.shown:
            return {}
        fields = tuple((name, U64) for name in self.shown)
        return {REGISTERS: StructDecl(REGISTERS, fields, self.test.loc)}

    def _globals(self) -> dict[str, GlobalDecl]:
        result: dict[str, GlobalDecl] = {}
        for name, variable in self.test.variables.items():
            bits = self._width(name)
            kind = Int(bits)
            if not -(1 << bits - 1) <= variable.initial < 1 << bits:
                self.fail(variable.loc, f"{variable.initial} does not fit into {bits} bits")
            value = Const(variable.initial & kind.maximum, kind)
            result[name] = GlobalDecl(name, kind, {"": value}, variable.loc)
        if self.shown:
            kind_of_all = Array(Struct(REGISTERS), len(self.test.threads))
            result[REGISTERS] = GlobalDecl(REGISTERS, kind_of_all, {}, self.test.loc)
        return result

    # --- code --------------------------------------------------------------

    def _thread(self, thread: Thread) -> Function:
        builder = Builder(f"thread_P{thread.number}", {}, None)
        end = self.test.loc

        def locate(operand: Memory) -> GlobalAddress:
            name = self._address(thread.number, operand)
            return GlobalAddress(name, Pointer(Int(self._width(name))))

        effects = Effects(builder, locate)
        shown = {p.name for p in self.places if p.thread == thread.number}
        for name in sorted(_registers(thread) | shown):
            initial = self.test.registers.get((thread.number, name))
            value = 0 if initial is None else initial.value
            builder.variables[name] = U64
            builder.emit(Assign(name, Const(value, U64), end))
        for name in FLAGS:
            builder.variables[name] = BOOL
            builder.emit(Assign(name, Const(0, BOOL), end))
        labels: dict[int, list[str]] = {}
        for label, number in thread.labels.items():
            labels.setdefault(number, []).append(f"at.{label}")
        loops = {thread.labels[jump.target] for _, jump in backward_jumps(thread) if jump.target}
        for number, instruction in enumerate(thread.code):
            self._arrive(builder, labels.get(number, []), instruction.loc)
            if number in loops:
                # A loop is no endless step, even if it touches no shared cell.
                builder.emit(Step(instruction.loc))
            target = f"at.{instruction.target}"
            if instruction.op == "jmp":
                builder.terminate(Jump(target, instruction.loc))
            elif instruction.target is not None:
                onward = builder.label("next")
                taken = condition(instruction.op)
                builder.branch(taken, target, onward, instruction.loc)
                builder.start(onward)
            else:
                effects.emit(instruction)
        self._arrive(builder, labels.get(len(thread.code), []), end)
        for name in sorted(shown):
            builder.emit(Store(self._register_cell(name), Local(name, U64), end))
        builder.terminate(Return(None, end))
        return builder.finish(atomic=False, loc=end)

    def _arrive(self, builder: Builder, labels: list[str], loc: Location) -> None:
        """The blocks of labels that stand here."""
        for label in labels:
            builder.terminate(Jump(label, loc))
            builder.start(label)

    def _register_cell(self, name: str) -> FieldAddress:
        array = Array(Struct(REGISTERS), len(self.test.threads))
        every = GlobalAddress(REGISTERS, Pointer(array))
        own = IndexAddress(every, ThisCpu(), array.length, Pointer(Struct(REGISTERS)))
        return FieldAddress(own, REGISTERS, name, Pointer(U64))


def _registers(thread: Thread) -> set[str]:
    """The registers that hold values of the thread."""
    names = {o.name for i in thread.code for o in i.operands if isinstance(o, Register)}
    if any(instruction.op == "cmpxchg" for instruction in thread.code):
        names.add(ACCUMULATOR)
    return names


def stores(instruction: Instruction) -> bool:
    """Whether the instruction makes a store that can wait in a buffer."""
    if instruction.op == "xchg" or instruction.locked or not instruction.operands:
        return False
    reads_only = instruction.op in ("cmp", "test")
    return not reads_only and isinstance(instruction.operands[-1], Memory)


def backward_jumps(thread: Thread) -> Iterator[tuple[int, Instruction]]:
    """The jumps to where the thread has been, each with its number."""
    for number, jump in enumerate(thread.code):
        if jump.target is not None and thread.labels[jump.target] <= number:
            yield number, jump


def stores_in_loop(thread: Thread) -> bool:
    """Whether some store lies between a jump backwards and its target."""
    return any(
        any(map(stores, thread.code[thread.labels[jump.target or ""] : number]))
        for number, jump in backward_jumps(thread)
    )
