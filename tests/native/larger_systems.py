"""Random systems of some 1,000 to 100,000 states: counters, objects that CPUs point to,
interrupt contexts, and invariants that read the one where the other says so."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from pmaplab.system import System
from search.writer import Writer, system_of

ITEMS = 3
_FIELDS = ("own", "seen", "mode")
_SHARED = ("@a:*u32", "@b:*u32", "@c:*u32")
_HEAD = """
cpus CPUS
region inside
region other
exempt_when other @when
struct registers {
  in_interrupt: bool
  enabled: bool
  pending: bool
}
struct item {
  word: u32
  next: *item
}
struct pcpu {
  item: *item
  own: u32
  seen: u32
  mode: u32
}
global @a: u32
global @b: u32
global @c: u32
global @lock: u32
global @none: item
global @table: [4 x u32]
global @items: [3 x item]
atomic function @when(%cpu: u32) -> bool {
  var %x: u32
e:
  %x = load field(index(@pcpu:*[CPUS x pcpu], %cpu), mode):*u32
  branch lt(%x, 2:u32), yes, more
yes:
  return 1:bool
more:
  %x = load @c:*u32
  return lt(%x, 1:u32)
}
atomic function @take() {
  var %x: bool
e:
  %x = load REGISTERS enabled):*bool
  assume %x
  %x = load REGISTERS pending):*bool
  assume %x
  store REGISTERS pending):*bool, 0:bool
  store REGISTERS enabled):*bool, 0:bool
  store REGISTERS in_interrupt):*bool, 1:bool
  return
}
atomic function @iret() {
e:
  store REGISTERS in_interrupt):*bool, 0:bool
  store REGISTERS enabled):*bool, 1:bool
  return
}
"""
_REGISTERS = "field(index(@cpus:*[CPUS x registers], cpu),"
_LOCALS = "".join(f"var %{name}: u32\n" for name in "xyzn") + "var %p: *item\nvar %q: *item\n"


@dataclass
class _Writer(Writer):
    random: Random
    cpus: int
    locked: bool = False

    def pick(self, *values: str) -> str:
        return self.random.choice(values)

    def of_cpu(self, what: str, cpu: str) -> str:
        return f"field(index(@pcpu:*[{self.cpus} x pcpu], {cpu}), {what}):*"

    def cell(self, cpu: str) -> str:
        """Where a word is, mostly one of a CPU, or of what it points to."""
        way = self.random.random()
        if way < 0.25:
            return self.pick(*_SHARED)
        if way < 0.3:
            return "index(@table:*[4 x u32], and(%x, 3:u32))"
        if self.random.random() < 0.2:
            cpu = f"{self.random.randrange(self.cpus)}:u32"
        if way < 0.65:
            return self.of_cpu(self.pick(*_FIELDS), cpu) + "u32"
        self.emit(f"%p = load {self.of_cpu('item', cpu)}*item")
        if self.random.random() < 0.3:
            self.emit("%q = load field(%p, next):**item")
            with self.only_if("ne(%q, null:*item)"):
                self.emit("%p = %q")
        return "field(%p, word):*u32"

    def body(self, count: int, depth: int) -> None:
        for _ in range(count):
            self.statement(depth)

    def statement(self, depth: int) -> None:
        ways = ["count", "count", "load", "store", "store", "point", "choose", "ring"]
        ways += ["if", "if", "region", "loop", "lock", "wait", "ways", "mask"] if depth else []
        number = self.random.randrange(4)
        match self.pick(*ways):
            case "count":
                cell, most = self.cell("cpu"), self.pick("1", "3", "7", "7")
                self.emit(f"%x = load {cell}", f"store {cell}, and(add(%x, 1:u32), {most}:u32)")
            case "load":
                self.emit(f"%{self.pick('x', 'y')} = load {self.cell('cpu')}")
            case "store":
                self.emit(f"store {self.cell('cpu')}, {self.pick('%x', '%y', f'{number}:u32')}")
            case "point":
                to = self.pick(f"{self.of_cpu('item', 'cpu')}*item", "field(%p, next):**item")
                self.emit(f"%n = choose 0:u32, {number % ITEMS}:u32")
                self.emit(f"%q = index(@items:*[3 x item], %n)\nstore {to}, %q")
            case "choose":
                self.emit(f"%x = choose 0:u32, {1 + number % 2}:u32")
            case "ways":
                self.emit("%y = choose 0:u32, 2:u32", "%x = choose 0:u32, 1:u32")
                with self.only_if("eq(add(%x, %y), 3:u32)"):
                    self.emit(self.label())
                self.emit(f"%z = load {self.cell('cpu')}")
                self.emit(f'assert ne(add(%z, add(%x, %y)), {7 + number}:u32), MPASS, "way"')
            case "if":
                with self.only_if(f"eq(%x, {number}:u32)"):
                    self.emit(self.label())
                    self.body(2, depth - 1)
            case "region":
                region = self.pick("inside", "other")
                with self.between(f"enter {region}", f"leave {region}"):
                    self.body(2, 0)
            case "loop":
                head, inside, end = self.block(), self.block(), self.block()
                self.emit(f"%z = 0:u32\njump {head}\n{head}:")
                self.emit(f"branch lt(%z, 2:u32), {inside}, {end}\n{inside}:")
                self.body(2, 0)
                self.emit(f"%z = add(%z, 1:u32)\njump {head}\n{end}:")
            case "lock" if self.name != "handler" and not self.locked:
                self.locked = True
                lock = "%n = cmpxchg @lock:*u32, 0:u32, 1:u32\nassume eq(%n, 0:u32)"
                with self.between(lock, "store @lock:*u32, 0:u32"):
                    self.body(2, 0)
                self.locked = False
            case "wait" if self.name != "handler" and number == 0:
                self.emit(f"%n = load {self.cell('cpu')}\nassume ne(%n, 2:u32)")
            case "mask" if self.name != "handler":
                enabled = "store REGISTERS enabled):*bool"
                with self.between(f"{enabled}, 0:bool", f"{enabled}, 1:bool"):
                    self.body(1, 0)
            case "ring":
                other = f"{number % self.cpus}:u32"
                self.emit(f"store {_REGISTERS} pending):*bool, 1:bool".replace("cpu)", f"{other})"))

    def tree(self, depth: int) -> None:
        """What is read next in an invariant depends on what was read."""
        local = "xy"[depth % 2]
        self.emit(f"%{local} = load {self.cell('%cpu')}")
        number = self.random.randrange(4)
        if self.random.random() < 0.3:
            with self.only_if(f"eq(%{local}, {number}:u32)"):
                self.emit(self.label())
        if depth == 0:
            asked = self.pick(f"lt(add(%x, %y), {4 + 2 * number}:u32)", f"ne(%x, {number + 2}:u32)")
            self.emit(f'assert {asked}, KASSERT, "seen %d", %x')
            return
        then, other, end = self.block(), self.block(), self.block()
        compare = self.pick("eq", "ne", "lt")
        self.emit(f"branch {compare}(%{local}, {number}:u32), {then}, {other}\n{then}:")
        self.tree(depth - 1)
        self.emit(f"jump {end}\n{other}:")
        if self.random.random() < 0.5:
            self.tree(depth - 1)
        self.emit(f"jump {end}\n{end}:")

    def function(self, first: str, last: str, head: str = "()") -> str:
        start = "%x = 0:u32\n%y = 0:u32\n%z = 0:u32\n%n = 0:u32\n%p = @none:*item\n%q = %p"
        return self.text(_LOCALS, f"{first}\n{start}", last, head)


def larger_system(seed: int) -> System:
    """The same one for a seed, whatever is drawn besides."""
    random = Random(seed)
    cpus = random.choice((2, 2, 3))
    text = _HEAD
    for name, fields in (
        ("pcpu", '"[{}].item" = @none:*item'),
        ("cpus", '"[{}].enabled" = 1:bool'),
    ):
        kind = {"pcpu": "pcpu", "cpus": "registers"}[name]
        first = "\n".join(fields.format(cpu) for cpu in range(cpus))
        text += f"global @{name}: [{cpus} x {kind}] {{\n{first}\n}}\n"
    # With more than 64 of them, asked for each CPU, some share a bit.
    for number in range(random.choice((1, 2, 3, 4, 33))):
        exempt = random.choice(("", "", " exempt inside", " exempt inside, other"))
        text += f'invariant "i{number}" @i{number}{exempt}\n'
        writer = _Writer(f"i{number}", random, cpus)
        writer.tree(random.choice((0, 1, 2, 2)))
        text += "atomic " + writer.function("", "return", "(%cpu: u32)")
    last = random.choice(("return", "return", "return", "jump e"))
    for cpu in range(cpus):
        writer = _Writer(f"main{cpu}", random, cpus)
        writer.body(random.randint(4, 7) if cpus == 2 else 3, 2)
        text += writer.function("", last)
        text += f"agent cpu{cpu} cpu {cpu} context thread entry @main{cpu}\n"
    if random.random() < 0.4:
        writer = _Writer("handler", random, cpus)
        writer.body(2, 0)
        text += writer.function("call @take()", "call @iret()\njump e")
        text += "agent i0 cpu 0 context interrupt entry @handler\n"
    return system_of(text.replace("REGISTERS", _REGISTERS).replace("CPUS", str(cpus)))
