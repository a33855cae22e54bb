"""Random systems in which some steps are an agent's own business and others are not:
per-CPU words, words of the object that a CPU works on, waits, interrupts, exemptions;
and what is said of whose a word is, which may be right or wrong."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st

from pmaplab.ir.cut import cut
from pmaplab.ir.parser import parse_program
from pmaplab.ir.verify import verify
from pmaplab.machine.interrupts import suspend_threads
from pmaplab.machine.tso import tso
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
global @lock: u32
global @other: u32
global @red: item
global @green: item
global @cpus: [2 x registers] {
  "[0].enabled" = 1:bool
  "[1].enabled" = 1:bool
}
global @pcpu: [2 x pcpu] {
  "[0].item" = @red:*item
  "[1].item" = @green:*item
}
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
e:
  %x = load field(index(@pcpu:*[2 x pcpu], %cpu), own):*u32
  branch eq(%x, 3:u32), three, out
three:
  LABEL
  %x = load @b:*u32
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
_ITEM = "field(index(@pcpu:*[2 x pcpu], cpu), item):**item"
_REGISTERS = "field(index(@cpus:*[2 x registers], {}), {}):*bool"
_WORDS = (
    "@a:*u32",
    "@b:*u32",
    "field(index(@pcpu:*[2 x pcpu], cpu), own):*u32",
    "field(index(@pcpu:*[2 x pcpu], cpu), own):*u32",
    "field(index(@pcpu:*[2 x pcpu], cpu), seen):*u32",
    "field(index(@pcpu:*[2 x pcpu], 0:u32), seen):*u32",
    "field(%p, word):*u32",
    "field(%p, word):*u32",
)


@dataclass
class _Writer:
    draw: st.DrawFn
    name: str
    lines: list[str]
    simple: bool
    # What lies under the lock, and is not touched otherwise.
    locked: str | None = None
    blocks: int = 0

    def pick(self, *values: str) -> str:
        return self.draw(st.sampled_from(values))

    def block(self) -> str:
        self.blocks += 1
        return f"k{self.blocks}"

    def word(self) -> str:
        words = _WORDS[:5] if self.simple else _WORDS
        word = self.pick(*(each for each in words if each != self.locked))
        if "%p" in word:
            self.lines.append(f"%p = load {_ITEM}")
        return word

    def body(self, least: int, most: int, depth: int) -> None:
        for _ in range(self.draw(st.integers(least, most))):
            self.statement(depth)

    def statement(self, depth: int) -> None:
        emit = self.lines.append
        ways = ["load", "store", "store", "add", "assign", "region", "label"]
        ways += ["take"] if self.draw(st.integers(0, 3)) == 0 else []
        ways += ["if", "assert", "wait", "choose", "interrupt", "mask", "lock"] if depth else []
        if self.simple:
            ways = ["load", "load", "store", "store", "store", "region" if depth else "store"]
        match self.pick(*ways):
            case "load":
                emit(f"%{self.pick('x', 'y')} = load {self.word()}")
                if depth:
                    self.tell()
            case "store":
                values = ("%x", "%y", "0:u32", "1:u32", "2:u32", "3:u32")
                emit(f"store {self.word()}, {self.pick(*values)}")
            case "take":
                emit(f"store {_ITEM}, {self.pick('@red', '@green')}:*item")
            case "add":
                op, bits = self.pick("or", "and", "xor"), self.pick("1", "2")
                emit(f"rmw {op} {self.word()}, {bits}:u32")
            case "assign":
                emit(f"%x = and(add(%x, {self.pick('%y', '1:u32', 'cpu')}), 3:u32)")
            case "region":
                region = self.pick("inside", "other")
                emit(f"enter {region}")
                self.body(1, 3, 0)
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
            case "choose":
                emit("%x = choose 0:u32, 1:u32")
            case "interrupt":
                place = _REGISTERS.format("and(add(cpu, 1:u32), 1:u32)", "pending")
                emit(f"store {place}, 1:bool")
            case "mask" if self.name != "handler":
                place = _REGISTERS.format("cpu", "enabled")
                emit(f"store {place}, 0:bool")
                self.body(1, 3, 0)
                emit(f"store {place}, 1:bool")
            case "lock" if self.name != "handler":
                emit("%y = cmpxchg @lock:*u32, 0:u32, add(cpu, 1:u32)\nassume eq(%y, 0:u32)")
                self.body(1, 3, 0)
                emit("store @lock:*u32, 0:u32")

    def disciplined(self, count: int) -> None:
        """Statements that touch nothing that somebody owns."""
        own = _WORDS[2]
        for _ in range(count):
            self.lines.append(
                self.pick("%x = load " + own, f"store {own}, %x", "%x = and(add(%x, 1:u32), 3:u32)")
            )

    def section(self) -> None:
        """Work on what lies under the lock, or on the item that the CPU takes."""
        emit = self.lines.append
        if self.draw(st.integers(0, 2)):
            word, taken, last = self.locked, "", "store @lock:*u32, 0:u32"
            emit("%y = cmpxchg @lock:*u32, 0:u32, add(cpu, 1:u32)\nassume eq(%y, 0:u32)")
        else:
            word, last = "field(%p, word):*u32", "store @other:*u32, 0:u32"
            taken = f"\nstore {_ITEM}, null:*item"
            emit("%y = cmpxchg @other:*u32, 0:u32, add(cpu, 1:u32)\nassume eq(%y, 0:u32)")
            emit(f"store {_ITEM}, @red:*item\n%p = load {_ITEM}")
        for _ in range(self.draw(st.integers(1, 4))):
            way = self.pick(f"%x = load {word}", f"store {word}, %x", f"store {word}, 2:u32")
            emit(self.pick(way, way, way, f"store {_WORDS[2]}, 1:u32"))
        emit(last.join(("", taken)) if self.draw(st.integers(0, 5)) == 0 else f"{taken}\n{last}")
        if self.draw(st.integers(0, 4)) == 0:
            emit(f"%x = load {word}" if taken == "" else f"store {_WORDS[2]}, 2:u32")

    def tell(self) -> None:
        """A label for what was read: who sees what shows which ways there are."""
        number = len(self.lines)
        for local in ("%x", "%y"):
            for value in range(4):
                then, end = self.block(), self.block()
                label = f'sometimes "{self.name} {number}: {local} is {value}"'
                self.lines.append(f"branch eq({local}, {value}:u32), {then}, {end}")
                self.lines.append(f"{then}:\n{label}\njump {end}\n{end}:")

    def function(self, first: str, last: str) -> str:
        lines = "\n".join(self.lines)
        return (
            f"function @{self.name}() {{\nvar %x: u32\nvar %y: u32\nvar %p: *item\ne:\n{first}\n"
            f"%x = cpu\n%y = 0:u32\n{lines}\n{last}\n}}\n"
        )


# What is said, by CPU.
_SAID = (
    ('"a" cpu CPU', 'cell @a ""', 'when @lock "" is MINE'),
    ('"b" cpu CPU', 'cell @b ""', 'when @lock "" is MINE'),
    ('"b read" cpu CPU shared', 'cell @b ""', 'when @lock "" is MINE'),
    ('"red" cpu CPU', 'cell @red ".word"', 'when @pcpu "[CPU].item" is @red ""'),
    ('"red" cpu CPU', 'cell @red ".word"', 'when @other "" is MINE'),
    ('"red read" cpu CPU shared', 'cell @red ".word"', 'when @pcpu "[CPU].item" is @red ""'),
    ('"green" cpu CPU', 'cell @green ".word"', 'when @pcpu "[CPU].item" is @green ""'),
    ('"red" cpu CPU', 'cell @red ".word"', 'when @pcpu "[CPU].item" not 0', "outside other"),
    ('"own" cpu CPU', 'cell @pcpu "[CPU].own"'),
    ('"seen" cpu CPU shared', 'cell @pcpu "[CPU].seen"', 'when @a "" has 1'),
    ('"marked" cpu CPU', 'cell @a ""', 'cell @b ""', 'when @pcpu "[CPU].own" is 2'),
    ('"kept" nobody shared', 'cell @a ""', 'when @a "" not 0'),
    ('"inside" cpu CPU', 'cell @red ".word"', "outside inside"),
)


def _said(draw: st.DrawFn, likely: bool) -> str:
    result, said = "", draw(st.lists(st.sampled_from(_SAID), max_size=4, unique=True))
    if likely:
        said = [*draw(st.permutations(_SAID[:6]))[:4], *said[:1]]
    for line in dict.fromkeys(said):
        for cpu in (0, 1) if likely else draw(st.sampled_from([(0,), (1,), (0, 1)])):
            parts = (part.replace("CPU", str(cpu)).replace("MINE", str(cpu + 1)) for part in line)
            head, *lines = parts
            text = "\n".join(lines)
            result += f"owned {head} {{\n{text}\n}}\n"
    return result


@st.composite
def reducible_systems(draw: st.DrawFn, owned: bool = False, buffered: bool = False) -> System:
    """Two CPUs, some with interrupts; ``owned`` says something of whose a word is, and
    ``buffered`` CPUs have store buffers."""
    # Few words and no asserts: who sees what is all that differs.
    simple = draw(st.booleans())
    limit = draw(st.integers(4, 6) if simple else st.integers(2, 6))
    text = _HEAD.replace("LIMIT", str(limit))
    text = text.replace("LABEL", draw(st.sampled_from(["", 'sometimes "three"'])))
    for name in ("ENABLED", "PENDING"):
        text = text.replace(name, _REGISTERS.format("cpu", name.lower()))
    text = text.replace("FLAG", _REGISTERS.format("cpu", "in_interrupt"))
    locked = draw(st.sampled_from(_WORDS[:2])) if owned and draw(st.integers(0, 2)) else None
    if locked is not None:
        # Nobody has one to begin with.
        text = text.replace("@red:*item\n", "null:*item\n").replace(
            "@green:*item\n", "null:*item\n"
        )
    for cpu, name in enumerate(("first", "second")):
        writer = _Writer(draw, name, [], simple, locked)
        if locked is None:
            writer.body(*((2, 4) if simple else (4, 9)), 1)
        else:
            for _ in range(draw(st.integers(1, 3))):
                writer.disciplined(draw(st.integers(0, 2)))
                writer.section()
        writer.tell()
        text += writer.function("", "return")
        text += f"agent cpu{cpu} cpu {cpu} context thread entry @{name}\n"
    if draw(st.booleans()):
        writer = _Writer(draw, "handler", [], simple, locked)
        writer.body(1, 3, 0)
        text += writer.function("call @take()", "call @iret()\njump e")
        for cpu in draw(st.sampled_from([(0,), (0, 1)])):
            text += f"agent i{cpu} cpu {cpu} context interrupt entry @handler\n"
    program = parse_program(text + (_said(draw, locked is not None) if owned else ""))
    verify(program)
    lowered = program
    if buffered:
        lowered = tso(program, bound=draw(st.integers(1, 2)), outside=("registers",))
        verify(lowered)
    result = suspend_threads(cut(lowered, program))
    verify(result)
    return System(result, None, {}, {}, {}, frozenset())
