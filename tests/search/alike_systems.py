"""Random systems for both reductions at once: CPUs that run the same code and items that are
chosen, with locks, waits, interrupts and exemptions, so that some steps are an agent's own
business; what is said of whose a word is; and what breaks the symmetry of all that."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hypothesis import strategies as st

from pmaplab.ir.cut import cut
from pmaplab.ir.parser import parse_program
from pmaplab.ir.verify import verify
from pmaplab.machine.interrupts import suspend_threads
from pmaplab.machine.store_buffer import BUFFERS
from pmaplab.machine.tso import tso
from pmaplab.search.symmetry import INDEX, SET, Kind, Values
from pmaplab.system import System

_HEAD = """
cpus 2
region inside
region other
struct registers {
  in_interrupt: bool
  enabled: bool
  pending: bool
}
struct item {
  word: u32
}
struct pcpu {
  item: *item
  own: u32
  seen: u32
}
invariant "small" @small exempt inside, other
invariant "quiet" @quiet exempt inside
global @a: u32
global @b: u32
global @set: u32
global @lock: *pcpu
global @items: [2 x item]
global @cpus: [2 x registers] {
  "[0].enabled" = 1:bool
  "[1].enabled" = 1:bool
}
global @pcpu: [2 x pcpu]
atomic function @small(%cpu: u32) {
  var %x: u32
  var %y: u32
e:
  %x = load field(index(@pcpu:*[2 x pcpu], %cpu), seen):*u32
  branch eq(%x, 0:u32), out, on
on:
  %y = load @a:*u32
  assert lt(add(%x, %y), LIMIT:u32), KASSERT, "seen %d", %x
  jump out
out:
  return
}
atomic function @quiet(%cpu: u32) {
  var %x: u32
  var %p: *item
e:
  %x = load field(index(@pcpu:*[2 x pcpu], %cpu), own):*u32
  branch eq(%x, 3:u32), three, out
three:
  LABEL
  %p = load field(index(@pcpu:*[2 x pcpu], %cpu), item):**item
  branch eq(%p, null:*item), out, on
on:
  %x = load field(%p, word):*u32
  assert ne(%x, 3:u32), KASSERT, "both are %d", %x
  jump out
out:
  return
}
atomic function @take() {
  var %p: bool
  var %e: bool
e:
  %e = load ENABLED
  assume %e
  %p = load PENDING
  assume %p
  store PENDING, 0:bool
  store ENABLED, 0:bool
  store FLAG, 1:bool
  return
}
atomic function @iret() {
e:
  store FLAG, 0:bool
  store ENABLED, 1:bool
  return
}
"""
_MINE, _OTHERS = (
    "index(@pcpu:*[2 x pcpu], cpu)",
    "index(@pcpu:*[2 x pcpu], and(add(cpu, 1:u32), 1:u32))",
)
_OWN, _ITEM = f"field({_MINE}, own):*u32", f"field({_MINE}, item):**item"
_REGISTERS = "field(index(@cpus:*[2 x registers], {}), {}):*bool"
_WORDS = (
    "@a:*u32",
    "@b:*u32",
    _OWN,
    _OWN,
    f"field({_MINE}, seen):*u32",
    f"field({_OTHERS}, seen):*u32",
    "field(%p, word):*u32",
    "field(%p, word):*u32",
)
ITEM_KIND = Kind("items", 2, ("items",), (Values(INDEX, (), ("*.i",)),))
CPU_KIND = Kind("CPUs", 2, ("pcpu", "cpus"), (Values(SET, ("set",)),), cpus=True)


@dataclass
class _Writer:
    draw: st.DrawFn
    name: str
    lines: list[str]
    broken: bool
    # What lies under the lock, and is not touched otherwise.
    locked: str | None = None
    blocks: int = 0

    def pick(self, *values: str) -> str:
        return self.draw(st.sampled_from(values))

    def block(self) -> str:
        self.blocks += 1
        return f"k{self.blocks}"

    def word(self) -> str:
        return self.pick(*(each for each in _WORDS if each != self.locked))

    def body(self, least: int, most: int, depth: int) -> None:
        for _ in range(self.draw(st.integers(least, most))):
            self.statement(depth)

    def statement(self, depth: int) -> None:
        emit = self.lines.append
        ways = ["load", "store", "store", "add", "assign", "own", "own", "region", "label", "item"]
        ways += ["set", "choose"] if self.draw(st.integers(0, 2)) == 0 else []
        ways += ["if", "assert", "wait", "interrupt", "mask", "lock", "lock"] if depth else []
        if self.broken and self.draw(st.integers(0, 3)) == 0:
            return self.breakage(depth)
        match self.pick(*ways):
            case "load":
                emit(f"%{self.pick('x', 'y')} = load {self.word()}")
                if depth:
                    self.tell()
            case "store":
                values = ("%x", "%y", "0:u32", "1:u32", "2:u32", "3:u32")
                emit(f"store {self.word()}, {self.pick(*values)}")
            case "own":
                emit(self.pick(f"store {_OWN}, %x", f"store {_OWN}, 3:u32", f"%x = load {_OWN}"))
            case "add":
                op, bits = self.pick("or", "and", "xor"), self.pick("1", "2")
                emit(f"rmw {op} {self.word()}, {bits}:u32")
            case "assign":
                emit(f"%x = and(add(%x, {self.pick('%y', '1:u32')}), 3:u32)")
            case "item":
                emit(self.pick(f"store {_ITEM}, %p", f"store {_ITEM}, null:*item"))
            case "choose":
                emit("%i = choose 0:u32, 1:u32\n%p = index(@items:*[2 x item], %i)")
            case "set":
                emit("rmw or @set:*u32, shl(1:u32, cpu)")
            case "region":
                region = self.pick("inside", "other")
                emit(f"enter {region}")
                self.body(1, 2, 0)
                emit(f"leave {region}")
            case "label":
                emit(f'sometimes "{self.name} {len(self.lines)}"')
            case "if":
                then, end = self.block(), self.block()
                emit(f"branch eq(%x, {self.pick('%y', '0:u32', '1:u32')}), {then}, {end}\n{then}:")
                self.body(1, 2, 0)
                emit(f"jump {end}\n{end}:")
            case "assert" if self.draw(st.integers(0, 3)) == 0:
                emit(f'assert ne(%x, {self.pick("2", "3")}:u32), MPASS, "{len(self.lines)}"')
            case "wait" if self.draw(st.integers(0, 2)) == 0:
                emit(f"%y = load {self.word()}\nassume ne(%y, {self.pick('0', '1')}:u32)")
            case "interrupt":
                place = _REGISTERS.format("and(add(cpu, 1:u32), 1:u32)", "pending")
                emit(f"store {place}, 1:bool")
            case "mask" if self.name != "handler":
                place = _REGISTERS.format("cpu", "enabled")
                emit(f"store {place}, 0:bool")
                self.body(1, 2, 0)
                emit(f"store {place}, 1:bool")
            case "lock" if self.name != "handler":
                self.section()

    def section(self) -> None:
        """Work under the lock."""
        emit, word = self.lines.append, self.locked or "@a:*u32"
        emit(f"%q = cmpxchg @lock:**pcpu, null:*pcpu, {_MINE}\nassume eq(%q, null:*pcpu)")
        for _ in range(self.draw(st.integers(1, 3))):
            ways = (f"%x = load {word}", f"store {word}, %x", f"store {word}, 2:u32")
            emit(self.pick(*ways, *ways, f"store {_OWN}, 1:u32"))
        emit("store @lock:**pcpu, null:*pcpu")
        if self.draw(st.integers(0, 9)) == 0:
            emit(f"%x = load {word}")

    def tell(self) -> None:
        """A label for what was read: who sees what shows which ways there are."""
        number = len(self.lines)
        for local in ("%x", "%y"):
            for value in range(4):
                then, end = self.block(), self.block()
                label = f'sometimes "{self.name} {number}: {local} is {value}"'
                self.lines.append(f"branch eq({local}, {value}:u32), {then}, {end}")
                self.lines.append(f"{then}:\n{label}\njump {end}\n{end}:")

    def breakage(self, depth: int) -> None:
        emit = self.lines.append
        match self.pick("number", "index", "first", "label", *(["wait"] if depth else [])):
            case "number":
                emit("store @b:*u32, cpu")
            case "index":
                emit("store @b:*u32, %i")
            case "first":
                emit("store field(index(@items:*[2 x item], 0:u32), word):*u32, 1:u32")
            case "label":
                then, end = self.block(), self.block()
                emit(f"branch eq(cpu, 1:u32), {then}, {end}\n{then}:")
                emit(f'sometimes "only {self.name} {then}"\njump {end}\n{end}:')
            case "wait":
                emit("%y = load @b:*u32\nassume or(eq(cpu, 1:u32), ne(%y, 1:u32))")

    def function(self, first: str, last: str) -> str:
        lines = "\n".join(self.lines)
        return (
            f"function @{self.name}() {{\nvar %x: u32\nvar %y: u32\nvar %i: u32\nvar %p: *item\n"
            f"var %q: *pcpu\ne:\n{first}\n%x = 0:u32\n%y = 0:u32\n%i = 0:u32\n"
            f"%i = choose 0:u32, 1:u32\n%p = index(@items:*[2 x item], %i)\n{lines}\n{last}\n}}\n"
        )


# What is said, by CPU and item.
_SAID = (
    ('"a" cpu CPU', 'cell @a ""', 'when @lock "" is @pcpu "[CPU]"'),
    ('"b" cpu CPU', 'cell @b ""', 'when @lock "" is @pcpu "[CPU]"'),
    ('"b read" cpu CPU shared', 'cell @b ""', 'when @lock "" is @pcpu "[CPU]"'),
    ('"item" cpu CPU', 'cell @items "[ITEM].word"', 'when @pcpu "[CPU].item" is @items "[ITEM]"'),
    ('"item read" cpu CPU shared', 'cell @items "[ITEM].word"', 'when @lock "" is @pcpu "[CPU]"'),
    ('"own" cpu CPU', 'cell @pcpu "[CPU].own"'),
    ('"seen" cpu CPU shared', 'cell @pcpu "[CPU].seen"', 'when @set "" has BIT'),
    ('"outside" cpu CPU', 'cell @b ""', 'when @lock "" is @pcpu "[CPU]"', "outside other"),
    ('"kept" nobody shared', 'cell @a ""', 'when @a "" not 0'),
)


def _said(draw: st.DrawFn, broken: bool) -> str:
    """Of all CPUs and items; where ``broken`` perhaps of some."""
    said = draw(st.lists(st.sampled_from(_SAID), max_size=4, unique=True))
    result: dict[str, None] = {}
    for line in dict.fromkeys([*said, _SAID[0]]):
        few = broken and draw(st.integers(0, 3)) == 0
        for cpu in (0,) if few else (0, 1):
            for item in (0, 1):
                parts = (
                    part.replace("CPU", str(cpu))
                    .replace("ITEM", str(item))
                    .replace("BIT", str(1 << cpu))
                    for part in line
                )
                head, *lines = parts
                text = "\n".join(lines)
                result[f"owned {head} {{\n{text}\n}}\n"] = None
    return "".join(result)


@st.composite
def alike_systems(draw: st.DrawFn, *, broken: bool, buffered: bool = False) -> System:
    """Items and CPUs are alike, unless ``broken``; what is said may be right or wrong.
    ``buffered`` CPUs have store buffers, in which pointers to what is alike tell it apart."""
    text = _HEAD.replace("LIMIT", str(draw(st.integers(2, 6))))
    text = text.replace("LABEL", draw(st.sampled_from(["", 'sometimes "three"'])))
    for name in ("ENABLED", "PENDING"):
        text = text.replace(name, _REGISTERS.format("cpu", name.lower()))
    text = text.replace("FLAG", _REGISTERS.format("cpu", "in_interrupt"))
    locked = draw(st.sampled_from([None, *_WORDS[:2]]))
    writer = _Writer(draw, "main", [], broken, locked)
    writer.body(3, 7, 1)
    writer.tell()
    text += writer.function("", "return")
    for cpu in (0, 1):
        text += f"agent cpu{cpu} cpu {cpu} context thread entry @main\n"
    if draw(st.booleans()):
        writer = _Writer(draw, "handler", [], broken, locked)
        writer.body(1, 2, 0)
        text += writer.function("call @take()", "call @iret()\njump e")
        for cpu in (0, 1):
            text += f"agent i{cpu} cpu {cpu} context interrupt entry @handler\n"
    program = parse_program(text + _said(draw, broken))
    verify(program)
    lowered = program
    if buffered:
        lowered = tso(program, bound=draw(st.integers(1, 2)), outside=("registers",))
        verify(lowered)
    made = suspend_threads(cut(lowered, program))
    verify(made)
    kinds = draw(
        st.sampled_from([(ITEM_KIND, CPU_KIND), (CPU_KIND, ITEM_KIND), (CPU_KIND,), (ITEM_KIND,)])
    )
    if broken and draw(st.integers(0, 5)) == 0:
        kinds = tuple(replace(kind, values=()) for kind in kinds)
    if BUFFERS in made.globals:
        kinds = tuple(
            replace(kind, objects=(*kind.objects, BUFFERS)) if kind.cpus else kind for kind in kinds
        )
    return replace(System(made, None, {}, {}, {}, frozenset()), symmetries=kinds)
