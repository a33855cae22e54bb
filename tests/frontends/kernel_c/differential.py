"""C programs in the interpreter, and as what the machine's C compiler makes of them.

A program is some functions behind ``PRELUDE``, of which ``entry`` is called.  What
counts are the values of all globals at the end.
"""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
import tempfile
from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from frontends.kernel_c.support import SMALL
from pmaplab.errors import TreeError
from pmaplab.frontends.kernel_c import clang
from pmaplab.frontends.kernel_c.api import Api, Meaning, read_api
from pmaplab.frontends.kernel_c.headers import ARGUMENTS
from pmaplab.frontends.kernel_c.nodes import Parsed
from pmaplab.frontends.kernel_c.program import CProgram
from pmaplab.frontends.kernel_c.source import SourceTree, find_tree
from pmaplab.frontends.kernel_python.compile import compile_files
from pmaplab.frontends.kernel_python.source import SourceFile, parse_source
from pmaplab.ir.callgraph import reachable_functions
from pmaplab.ir.cut import cut
from pmaplab.ir.nodes import Program
from pmaplab.ir.verify import verify
from pmaplab.search.interpreter import Interpreter

COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
_SANITIZE = ("-fsanitize=undefined,bounds", "-fno-sanitize-recover=all")
_FLAGS = ("-std=gnu99", "-O0", "-w", "-fno-builtin", "-DCOMPILED", *_SANITIZE)

# What of the objects the model must know beforehand: structures and arrays.
_PYTHON = '''\
"""Structures and arrays of the C."""

from __future__ import annotations

from typing import Annotated

from pmaplab.kernel_python import ptr, static, thread_context, u8, u32, u64


class inner:
    x: u32


class pair:
    a: u32
    in_: inner


class one:
    w: u64


class pcpu:
    rsp0: u32


gs: pair = static()
gp: Annotated[list[pair], 3] = static()
ga: Annotated[list[u32], 4] = static()
gl: Annotated[list[u64], 2] = static()
go: one = static()
__pcpu: Annotated[list[pcpu], 2] = static()


def take(x: u8) -> None:
    go.w = x


def entry() -> None:
    """The C takes its place."""


@thread_context
def main() -> None:
    entry()
'''

# The scalars, with their initial values.
SCALARS = {
    "gc": ("signed char", -7),
    "guc": ("u_char", 250),
    "gsh": ("short", -300),
    "gus": ("u_short", 65500),
    "gi": ("int", -5),
    "gu": ("u_int", 0xFFFFFFF0),
    "gn": ("long", -9),
    "gul": ("u_long", 0x123456789ABCDEF0),
    "gb": ("bool", 1),
    "o0": ("u_long", 0),
    "o1": ("u_long", 0),
    "o2": ("u_long", 0),
}
_PAIR = ("a", "in_.x", "in_.y", "c", "e[0]", "e[1]", "b", "z")
PATHS = (
    *SCALARS,
    *(f"gs.{field}" for field in _PAIR),
    *(f"gp[{n}].{field}" for n in range(3) for field in _PAIR),
    *(f"ga[{n}]" for n in range(4)),
    *(f"gl[{n}]" for n in range(2)),
    "go.w",
    *(f"__pcpu[{n}].rsp0" for n in range(2)),
)
_WIDTHS = (("int", "u_int"), ("long", "u_long"))
_ATOMICS = (
    ("void", "add", "*p += v;"),
    ("void", "subtract", "*p -= v;"),
    ("void", "set", "*p |= v;"),
    ("void", "clear", "*p &= ~v;"),
    ("", "fetchadd", "{t} old = *p; *p += v; return (old);"),
    ("", "swap", "{t} old = *p; *p = v; return (old);"),
    ("void", "store_rel", "*p = v;"),
)


def _prelude() -> str:
    lines = [
        "typedef unsigned char u_char; typedef unsigned short u_short;",
        "typedef unsigned int u_int; typedef unsigned long u_long;",
        "typedef unsigned long uint64_t; typedef _Bool bool;",
        "#define NULL ((void *)0)",
        "enum colour { RED, GREEN = 4, BLUE, DARK = -3 };",
        "struct inner { u_int x; short y; };",
        "struct pair { u_int a; struct inner in_; long c; signed char e[2]; bool b; u_short z; };",
        "struct one { u_long w; };",
        "struct bits { u_int lo : 3; int mid : 5; u_char top : 2; bool on : 1; };",
        "struct plain { int i; u_char uc; short sh[2]; struct inner in_; };",
        "#define MAX(a, b) ({ __typeof(a) _a = (a); __typeof(b) _b = (b); _a > _b ? _a : _b; })",
        "#define MIN(a, b) ((a) < (b) ? (a) : (b))",
        "#define LIMIT 12",
        "#define SWAP(t, a, b) do { t _s = (a); (a) = (b); (b) = _s; } while (0)",
        "extern struct pair gs, gp[3]; extern u_int ga[4]; extern u_long gl[2];",
        "extern struct one go;",
        "struct pcpu { u_int pc_rsp0; }; extern struct pcpu __pcpu[2];",
        "struct pcpu *__pmaplab_pcpu(void); void take(int); void *memset(void *, int, u_long);",
    ]
    for name, (kind, value) in SCALARS.items():
        lines.append(f"{kind} {name} = {value};")
    prototypes, bodies = [], []
    for width, kind in _WIDTHS:
        for result, name, body in _ATOMICS:
            head = f"{result or kind} atomic_{name}_{width}(volatile {kind} *p, {kind} v)"
            prototypes.append(f"{head};")
            bodies.append(f"{head} {{ {body.format(t=kind)} }}")
        head = f"int atomic_cmpset_{width}(volatile {kind} *p, {kind} o, {kind} n)"
        prototypes.append(f"{head};")
        bodies.append(f"{head} {{ if (*p != o) return (0); *p = n; return (1); }}")
        for name, body in (
            ("load_acq", "return (*p);"),
            ("readandclear", f"{kind} o = *p; *p = 0; return (o);"),
        ):
            head = f"{kind} atomic_{name}_{width}(volatile {kind} *p)"
            prototypes.append(f"{head};")
            bodies.append(f"{head} {{ {body} }}")
    lines += [*prototypes, "int ffs(int); int ffsl(long);"]
    lines += ["#ifdef COMPILED", *bodies]
    lines += ["struct pair gs, gp[3]; u_int ga[4]; u_long gl[2]; struct one go;"]
    lines += ["struct pcpu __pcpu[2]; void take(int x) { go.w = x; }"]
    lines += ["struct pcpu *__pmaplab_pcpu(void) { return (&__pcpu[0]); }"]
    lines += ["int ffs(int v) { return (__builtin_ffs(v)); }"]
    lines += ["int ffsl(long v) { return (__builtin_ffsl(v)); }", "#endif"]
    return "\n".join(lines) + "\n"


PRELUDE = _prelude()


@dataclass(frozen=True)
class CText:
    """A program: ``text`` behind the prelude; its names end in ``_N``, where only
    ``entry_N`` is called."""

    text: str
    number: int = 0

    @property
    def entry(self) -> str:
        return f"entry_{self.number}"


@dataclass(frozen=True)
class Refused:
    """What the front end does not take."""

    message: str


@dataclass(frozen=True)
class Failed:
    """An assertion that failed, or undefined behaviour that was met."""

    message: str


class NotCompiled(Exception):
    """What the compiler says."""


Ended = dict[str, int] | Refused | Failed


@functools.cache
def _tables() -> tuple[Api, SourceTree]:
    return read_api(), find_tree(str(SMALL))


@functools.cache
def _declarations(entry: str) -> SourceFile:
    return parse_source(_PYTHON.replace("entry", entry), "declarations.py")


def lowered(program: CText, **options: int) -> Program:
    """What the front end makes of it.  Raises a PmaplabError."""
    tables, tree = _tables()
    hand = {"take": Meaning("take", None, ends=False, looks=False, reason="a number")}
    api = replace(tables, sources={"kern/random.c": [program.entry]}, model=hand)
    request = clang.Request(
        Path("/nowhere/random.c"),
        PRELUDE + program.text,
        ARGUMENTS,
        lambda path: Path(path).name,
        [program.entry],
        _Leaves(api),
        {},
    )
    unit = clang.parse(request)
    parsed = Parsed(functions=unit.functions, variables=unit.variables)
    foreign = CProgram(tree, api, parsed)
    files = [_declarations(program.entry)]
    result = compile_files(files, (), options, cpus=1, foreign=foreign).program
    verify(result)
    return result


def modelled(program: CText) -> Ended:
    """What the front end and the interpreter make of it."""
    try:
        made = lowered(program)
    except TreeError as error:
        assert error.location is not None, error
        return Refused(error.message)
    wanted = reachable_functions(made, made.entries)
    functions = {name: f for name, f in made.functions.items() if name in wanted}
    placed = cut(replace(made, functions=functions))
    verify(placed)
    interpreter = Interpreter(placed)
    state = interpreter.initial()
    while not interpreter.done(state, 0):
        ways = list(interpreter.outcomes(state, 0))
        if not ways:
            return Failed("waits for ever")
        (outcome,) = ways
        if outcome.failure is not None:
            return Failed(f"{outcome.failure.loc}: {outcome.failure.message}")
        state = outcome.state
    found = {path: SCALARS[path][1] if path in SCALARS else 0 for path in PATHS}
    found |= {c.name: int(state[c.index]) for c in interpreter.layout.cells}
    return {path: found[path] for path in PATHS}


class _Leaves(Container[str]):
    def __init__(self, api: Api) -> None:
        self.api = api

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.api.leaf(name)


@functools.cache
def why_not_compiled() -> str:
    """Why there is nothing to compare with; "" where there is."""
    if COMPILER is None:
        return "there is no C compiler"
    try:
        overflow = CText("void entry_0(void) { gi = 0x7fffffff; gi++; }\n")
        return "" if isinstance(compiled([overflow])[0], Failed) else "it does not sanitize"
    except NotCompiled:
        return f"{COMPILER} cannot compile with {' '.join(_SANITIZE)}"


def compiled(programs: Sequence[CText]) -> list[Ended]:
    """What the machine's C compiler makes of them, in a process each."""
    assert COMPILER is not None
    lines = [PRELUDE, *(program.text for program in programs)]
    lines += ["int printf(const char *, ...); int atoi(const char *);"]
    lines += ["int main(int argc, char **argv) {", "switch (atoi(argv[1])) {"]
    lines += [f"case {n}: {program.entry}(); break;" for n, program in enumerate(programs)]
    lines += ["}"]
    lines += [_printed(path) for path in PATHS]
    lines += ["return (0); }", ""]
    with tempfile.TemporaryDirectory() as folder:
        source, binary = Path(folder, "all.c"), Path(folder, "all")
        source.write_text("\n".join(lines))
        command = [COMPILER, *_FLAGS, str(source), "-o", str(binary)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise NotCompiled(done.stderr)
        return [_run(binary, number) for number in range(len(programs))]


def _printed(path: str) -> str:
    unsigned = path in ("gul", "o0", "o1", "o2", "go.w") or path.startswith("gl[")
    kind = "u_long" if unsigned else "long"
    field = path.replace(".rsp0", ".pc_rsp0")
    return f'printf("{path} %{"lu" if unsigned else "ld"}\\n", ({kind}){field});'


def _run(binary: Path, number: int) -> Ended:
    done = subprocess.run(
        [str(binary), str(number)], capture_output=True, text=True, timeout=20, check=False
    )
    if done.returncode != 0:
        assert "runtime error" in done.stderr, done
        return Failed(re.sub(r"^.*?runtime error: ", "", done.stderr.splitlines()[0]))
    return {name: int(value) for name, value in (line.split() for line in done.stdout.splitlines())}
