"""The store buffer of a CPU, as IR: its cells, and what can be done with it.

x86-TSO (Sewell, Sarkar, Owens, Zappa Nardelli, Myreen: x86-TSO, CACM 53(7),
2010; Intel SDM volume 3A, 8.2.2 and 8.2.3): a CPU's stores wait in a first-in
first-out queue, its own loads look there first, and a locked operation or a
fence waits until the queue is empty.

Every function here is atomic and works on the buffer of the CPU that runs it.
"""

from __future__ import annotations

from dataclasses import dataclass

from pmaplab.errors import Location
from pmaplab.ir.nodes import (
    Assign,
    Assume,
    Binary,
    Block,
    Branch,
    Call,
    Cast,
    CmpXchg,
    Const,
    Enter,
    Expr,
    FieldAddress,
    Function,
    GlobalAddress,
    GlobalDecl,
    IndexAddress,
    InRegion,
    Instruction,
    Jump,
    Load,
    Local,
    Return,
    Rmw,
    Select,
    Step,
    Store,
    StructDecl,
    ThisCpu,
)
from pmaplab.ir.types import BOOL, U8, U64, Array, Int, Pointer, Scalar, Struct, Type

BUFFERS = "store_buffers"
BUFFER = "store_buffer"
ENTRY = "store_buffer_entry"
AGENT = "store_buffer_agent"
WAIT_EMPTY = "store_buffer_wait_empty"
TO_MEMORY = "store_buffer_to_memory"
BEFORE_MARKS = "before_marks"
LOC = Location("store buffer", 1)

# The address of an entry, whatever the type of the cell there.
ADDRESS = Pointer(U8)
NOWHERE = Const(0, ADDRESS)


def cell_kind(kind: Scalar) -> Scalar:
    """The type under which a cell of type ``kind`` is accessed: all pointers
    are alike, and declared ranges are checked before a value gets here."""
    return ADDRESS if isinstance(kind, Pointer) else kind.whole


def tag(kind: Scalar) -> str:
    """``kind`` as part of a function's name."""
    if isinstance(kind, Pointer):
        return "pointer"
    text = "bool" if kind.whole == BOOL else f"{'i' if kind.signed else 'u'}{kind.bits}"
    if kind.ranged:
        text += f"_{kind.minimum}_{kind.maximum}".replace("-", "m")
    return text


@dataclass(frozen=True)
class StoreBuffers:
    """The buffers of ``cpus`` CPUs with ``bound`` entries each (1 to 255).

    ``kinds`` are the types of the cells that are stored to (of
    :func:`cell_kind`); an entry remembers which, for its way to memory.
    ``marks`` are the regions of which it matters when all that was stored
    before them has reached memory.
    """

    cpus: int
    bound: int
    kinds: tuple[Scalar, ...]
    marks: tuple[str, ...] = ()

    # --- cells -------------------------------------------------------------

    @property
    def _count(self) -> Int:
        return Int(8, lo=0, hi=self.bound)

    @property
    def _kind(self) -> Int:
        return Int(8, lo=0, hi=max(len(self.kinds) - 1, 0))

    @property
    def structs(self) -> dict[str, StructDecl]:
        """Unused entries are all zero, so that states do not differ in them."""
        entry = (("address", ADDRESS), ("value", U64), ("kind", self._kind))
        buffer: tuple[tuple[str, Type], ...] = (
            ("count", self._count),
            ("entries", Array(Struct(ENTRY), self.bound)),
        )
        if self.marks:
            # Ghost: the entries that are still in front of each mark.
            buffer += ((BEFORE_MARKS, self._before),)
        return {ENTRY: StructDecl(ENTRY, entry, LOC), BUFFER: StructDecl(BUFFER, buffer, LOC)}

    @property
    def _before(self) -> Array:
        return Array(self._count, len(self.marks))

    @property
    def globals(self) -> dict[str, GlobalDecl]:
        return {BUFFERS: GlobalDecl(BUFFERS, Array(Struct(BUFFER), self.cpus), {}, LOC)}

    def _own(self, name: str, kind: Type) -> FieldAddress:
        """The field ``name`` of the running CPU's buffer."""
        array = GlobalAddress(BUFFERS, Pointer(Array(Struct(BUFFER), self.cpus)))
        buffer = IndexAddress(array, ThisCpu(), self.cpus, Pointer(Struct(BUFFER)))
        return FieldAddress(buffer, BUFFER, name, Pointer(kind))

    def _entry(self, index: Expr, name: str) -> FieldAddress:
        entries = self._own("entries", Array(Struct(ENTRY), self.bound))
        entry = IndexAddress(entries, index, self.bound, Pointer(Struct(ENTRY)))
        kind = self.structs[ENTRY].field_type(name)
        assert kind is not None
        return FieldAddress(entry, ENTRY, name, Pointer(kind))

    def _load_count(self) -> Load:
        return Load("count", self._own("count", self._count), LOC)

    # --- what a CPU does ---------------------------------------------------

    def load(self, kind: Scalar) -> Function:
        """The newest own store to the address, else what memory holds."""
        address = Local("address", Pointer(kind))
        found = Local("found", kind)
        variables: dict[str, Scalar] = {"address": address.type, "found": kind}
        code: list[Instruction] = [Load("found", address, LOC)]
        for number in range(self.bound):
            where, value = Local(f"address{number}", ADDRESS), Local(f"value{number}", U64)
            variables |= {where.name: ADDRESS, value.name: U64}
            index = Const(number, U8)
            same = Binary("eq", where, Cast(address, ADDRESS), BOOL)
            code += [
                Load(where.name, self._entry(index, "address"), LOC),
                Load(value.name, self._entry(index, "value"), LOC),
                Assign("found", Select(same, Cast(value, kind), found, kind), LOC),
            ]
        return _atomic(load_name(kind), ("address",), variables, kind, code, found)

    def store(self, kind: Scalar) -> Function:
        """The store goes to the end of the queue, once there is room."""
        address, value = Local("address", Pointer(kind)), Local("value", kind)
        count = Local("count", U8)
        code: list[Instruction] = [
            self._load_count(),
            Assume(Binary("lt", count, Const(self.bound, U8), BOOL), LOC),
            Store(self._entry(count, "address"), Cast(address, ADDRESS), LOC),
            Store(self._entry(count, "value"), Cast(value, U64), LOC),
            Store(self._entry(count, "kind"), Const(self.kinds.index(kind), U8), LOC),
            Store(self._own("count", self._count), Binary("add", count, Const(1, U8), U8), LOC),
        ]
        variables = {"address": address.type, "value": kind, "count": U8}
        return _atomic(store_name(kind), ("address", "value"), variables, None, code, None)

    def wait_empty(self) -> Function:
        """MFENCE and serializing instructions."""
        return _atomic(WAIT_EMPTY, (), {"count": U8}, None, self._empty(), None)

    def _empty(self) -> list[Instruction]:
        count = Local("count", U8)
        return [self._load_count(), Assume(Binary("eq", count, Const(0, U8), BOOL), LOC)]

    def locked(self, op: str, kind: Scalar) -> Function:
        """A locked read-modify-write; the result is the old value."""
        address, operand = Local("address", Pointer(kind)), Local("operand", kind)
        code = [*self._empty(), Rmw("old", op, address, operand, LOC)]
        variables = {"address": address.type, "operand": kind, "count": U8, "old": kind}
        names = ("address", "operand")
        return _atomic(locked_name(op, kind), names, variables, kind, code, Local("old", kind))

    def cmpxchg(self, kind: Scalar) -> Function:
        """A locked compare and exchange; the result is the old value."""
        address = Local("address", Pointer(kind))
        expected, desired = Local("expected", kind), Local("desired", kind)
        code = [*self._empty(), CmpXchg("old", address, expected, desired, LOC)]
        names = ("address", "expected", "desired")
        variables = {"address": address.type, "expected": kind, "desired": kind}
        variables |= {"count": U8, "old": kind}
        name = locked_name("cmpxchg", kind)
        return _atomic(name, names, variables, kind, code, Local("old", kind))

    def mark(self, number: int) -> Function:
        """The CPU is about to pass the mark of that number."""
        region, count = self.marks[number], Local("count", U8)
        empty = Binary("eq", count, Const(0, U8), BOOL)
        note = (self._load_count(), Store(self._before_mark(number), count, LOC))
        blocks = (
            # It stays passed, however often the CPU comes by.
            Block("entry", (), Branch(InRegion(ThisCpu(), region), "done", "first", LOC)),
            Block("first", note, Branch(empty, "now", "done", LOC)),
            Block("now", (Enter(in_memory(region), LOC),), Jump("done", LOC)),
            Block("done", (), Return(None, LOC)),
        )
        return Function(f"store_buffer_mark{number}", (), {"count": U8}, None, blocks, True, LOC)

    def _before_mark(self, number: int) -> IndexAddress:
        base = self._own(BEFORE_MARKS, self._before)
        return IndexAddress(base, Const(number, U8), len(self.marks), Pointer(self._count))

    # --- what the buffer does ----------------------------------------------

    def to_memory(self, settle: str | None) -> Function:
        """The oldest store reaches memory; the others move up, and the function
        ``settle`` sees to what follows."""
        count, address = Local("count", U8), Local("address", ADDRESS)
        value, kind = Local("value", U64), Local("kind", U8)
        take: list[Instruction] = [
            self._load_count(),
            Assume(Binary("ne", count, Const(0, U8), BOOL), LOC),
        ]
        variables: dict[str, Scalar] = {"count": U8}
        for local in (address, value, kind):
            variables[local.name] = local.type
            take.append(Load(local.name, self._entry(Const(0, U8), local.name), LOC))
        last = len(self.kinds) - 1

        def arrival(number: int) -> str:
            return f"store{number}" if number == last else f"is{number}"

        blocks = [Block("entry", tuple(take), Jump(arrival(0), LOC))]
        for number, cell in enumerate(self.kinds):
            if number < last:
                is_it = Binary("eq", kind, Const(number, U8), BOOL)
                choice = Branch(is_it, f"store{number}", arrival(number + 1), LOC)
                blocks.append(Block(f"is{number}", (), choice))
            write = Store(Cast(address, Pointer(cell)), Cast(value, cell), LOC)
            blocks.append(Block(f"store{number}", (write,), Jump("advance", LOC)))
        advance = self._advance(variables)
        if settle is not None:
            advance.append(Call(None, settle, (), LOC))
        end = Jump("mark0", LOC) if self.marks else Return(None, LOC)
        blocks.append(Block("advance", tuple(advance), end))
        for number, region in enumerate(self.marks):
            blocks += self._nearer_to_mark(number, region, variables)
        if self.marks:
            blocks.append(Block("done", (), Return(None, LOC)))
        return Function(TO_MEMORY, (), variables, None, tuple(blocks), True, LOC)

    def _nearer_to_mark(
        self, number: int, region: str, variables: dict[str, Scalar]
    ) -> list[Block]:
        """One entry less is in front of the mark, if any was."""
        before, one = Local(f"before{number}", U8), Const(1, U8)
        variables[before.name] = U8
        following = f"mark{number + 1}" if number + 1 < len(self.marks) else "done"
        less = Select(
            Binary("ne", before, Const(0, U8), BOOL), Binary("sub", before, one, U8), before, U8
        )
        count = (
            Load(before.name, self._before_mark(number), LOC),
            Store(self._before_mark(number), less, LOC),
        )
        last = Branch(Binary("eq", before, one, BOOL), f"passed{number}", following, LOC)
        return [
            Block(f"mark{number}", count, last),
            Block(f"passed{number}", (Enter(in_memory(region), LOC),), Jump(following, LOC)),
        ]

    def _advance(self, variables: dict[str, Scalar]) -> list[Instruction]:
        code: list[Instruction] = []
        for number in range(self.bound):
            for name, kind in (("address", ADDRESS), ("value", U64), ("kind", U8)):
                following: Expr = Const(0, kind)
                if number + 1 < self.bound:
                    following = Local(f"next_{name}", kind)
                    variables[following.name] = kind
                    index = Const(number + 1, U8)
                    code.append(Load(following.name, self._entry(index, name), LOC))
                code.append(Store(self._entry(Const(number, U8), name), following, LOC))
        one_less = Binary("sub", Local("count", U8), Const(1, U8), U8)
        return [*code, Store(self._own("count", self._count), one_less, LOC)]

    def agent(self) -> Function:
        """What a store buffer does for ever."""
        code = (Step(LOC), Call(None, TO_MEMORY, (), LOC))
        blocks = (Block("entry", code, Jump("entry", LOC)),)
        return Function(AGENT, (), {}, None, blocks, False, LOC)


def _atomic(
    name: str,
    parameters: tuple[str, ...],
    variables: dict[str, Scalar],
    result: Scalar | None,
    code: list[Instruction],
    value: Expr | None,
) -> Function:
    blocks = (Block("entry", tuple(code), Return(value, LOC)),)
    return Function(name, parameters, variables, result, blocks, True, LOC)


def in_memory(mark: str) -> str:
    """The region of the CPUs whose stores before ``mark`` are in memory."""
    return f"{mark} in memory"


def load_name(kind: Scalar) -> str:
    return f"store_buffer_load_{tag(kind)}"


def store_name(kind: Scalar) -> str:
    return f"store_buffer_store_{tag(kind)}"


def locked_name(op: str, kind: Scalar) -> str:
    return f"store_buffer_locked_{op}_{tag(kind)}"
