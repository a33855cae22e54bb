"""Random systems in which some steps are an agent's own business and others are not:
per-CPU words, words of the object that a CPU works on, waits, interrupts, exemptions."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st

from pmaplab.ir.cut import cut
from pmaplab.ir.parser import parse_program
from pmaplab.ir.verify import verify
from pmaplab.machine.interrupts import suspend_threads
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
    blocks: int = 0

    def pick(self, *values: str) -> str:
        return self.draw(st.sampled_from(values))

    def block(self) -> str:
        self.blocks += 1
        return f"k{self.blocks}"

    def word(self) -> str:
        word = self.pick(*(_WORDS[:5] if self.simple else _WORDS))
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
                emit("%y = cmpxchg @lock:*u32, 0:u32, 1:u32\nassume eq(%y, 0:u32)")
                self.body(1, 3, 0)
                emit("store @lock:*u32, 0:u32")

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


@st.composite
def reducible_systems(draw: st.DrawFn) -> System:
    """Two CPUs, some with interrupts."""
    # Few words and no asserts: who sees what is all that differs.
    simple = draw(st.booleans())
    limit = draw(st.integers(4, 6) if simple else st.integers(2, 6))
    text = _HEAD.replace("LIMIT", str(limit))
    text = text.replace("LABEL", draw(st.sampled_from(["", 'sometimes "three"'])))
    for name in ("ENABLED", "PENDING"):
        text = text.replace(name, _REGISTERS.format("cpu", name.lower()))
    text = text.replace("FLAG", _REGISTERS.format("cpu", "in_interrupt"))
    for cpu, name in enumerate(("first", "second")):
        writer = _Writer(draw, name, [], simple)
        writer.body(*((2, 4) if simple else (4, 9)), 1)
        writer.tell()
        text += writer.function("", "return")
        text += f"agent cpu{cpu} cpu {cpu} context thread entry @{name}\n"
    if draw(st.booleans()):
        writer = _Writer(draw, "handler", [], simple)
        writer.body(1, 3, 0)
        text += writer.function("call @take()", "call @iret()\njump e")
        for cpu in draw(st.sampled_from([(0,), (0, 1)])):
            text += f"agent i{cpu} cpu {cpu} context interrupt entry @handler\n"
    program = parse_program(text)
    verify(program)
    result = suspend_threads(cut(program))
    verify(result)
    return System(result, None, {}, {}, {}, frozenset())
