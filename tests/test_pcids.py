"""PCIDs that count no more are forgotten; a kernel that looks at one is noticed."""

from __future__ import annotations

import ast
import json
from dataclasses import replace
from pathlib import Path
from textwrap import indent
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pmaplab.cli.main import main
from pmaplab.errors import TraceError
from pmaplab.frontends.kernel_python.source import PACKAGE_ROOT
from pmaplab.ir.nodes import Assert, Instruction, Sometimes
from pmaplab.ir.parser import parse_program
from pmaplab.ir.verify import verify
from pmaplab.ir.walk import instructions
from pmaplab.jsondata import Node
from pmaplab.native.choose import DEFAULT_ENGINE, Engine
from pmaplab.native.engine import search_natively
from pmaplab.pcids import watched
from pmaplab.report.verdict import Verdict, check
from pmaplab.search.reductions import parse_reductions
from pmaplab.search.result import Limits
from pmaplab.spec import RunSpec
from pmaplab.system import Bounds

ONE_CPU = Bounds(cpus=1, maxcpu=1, processes=2, operations=None)
TWO_CPUS = Bounds(processes=1, operations=None)


def spec_of(bounds: Bounds, mode: str = "pcid", kernel: Path | None = None) -> RunSpec:
    own = None if kernel is None else str(kernel)
    spec = RunSpec("switch", mode, bounds, proposal="repaired", kernel=own, canonical_pcids=True)
    return spec.pinned()


def both(spec: RunSpec, engine: Engine = DEFAULT_ENGINE) -> tuple[Verdict, Verdict]:
    """With PCIDs forgotten, and without."""
    less = check(spec, engine=engine)
    all_of_them = check(replace(spec, canonical_pcids=False), engine=engine)
    assert outcome(less) == outcome(all_of_them)
    return less, all_of_them


def outcome(verdict: Verdict) -> tuple[Any, ...]:
    """What must not depend on how a system was searched."""
    steps = [(j.name, j.verdict, j.trace and len(j.trace.steps)) for j in verdict.properties]
    return verdict.verdict, steps, verdict.exemptions, verdict.unreached


@pytest.mark.parametrize(
    ("mode", "bounds", "reductions"),
    [
        ("pcid", ONE_CPU, "auto"),
        ("pcid+invpcid+pti", ONE_CPU, "all"),
        ("pcid", TWO_CPUS, "all"),
        pytest.param("pcid+pti", TWO_CPUS, "auto", marks=pytest.mark.slow),
        pytest.param("pcid+invpcid", TWO_CPUS, "symmetry", marks=pytest.mark.slow),
    ],
)
def test_nothing_depends_on_what_is_forgotten(mode: str, bounds: Bounds, reductions: str) -> None:
    engine = Engine(reductions=parse_reductions(reductions).search)
    less, whole = both(spec_of(bounds, mode), engine)
    assert less.verdict == "holds" and less.looked_at is None
    assert less.states < whole.states
    assert "pcids" in less.reductions and "pcids" not in whole.reductions


def test_the_interpreter_finds_as_many_states() -> None:
    spec = spec_of(ONE_CPU)
    python, native = check(spec, engine=Engine("python")), check(spec, engine=Engine("native"))
    assert outcome(python) == outcome(native) and python.verdict == "holds"
    assert (python.states, python.transitions) == (native.states, native.transitions)


HEAD_OF_ALLOC = '''
"""PCIDs are handed out otherwise."""
from __future__ import annotations
from pmaplab.kernel_python import KASSERT, sometimes, u32, u64
from pmaplab.kernels.freebsd.amd64.pcpu import PCPU
from pmaplab.kernels.freebsd.amd64.pmap import (
    CR3_PCID_SAVE,
    PMAP_PCID_KERN,
    PMAP_PCID_NONE,
    PMAP_PCID_OVERMAX,
    PMAP_PCID_OVERMAX_KERN,
    kernel_pmap,
    pmap,
    pmap_pcid_next_gen,
    pti,
)
from pmaplab.kernels.freebsd.sys.proc import vmspace0

'''
ASKED = "    if pm.pm_pcids[cpuid].pm_gen == gen:\n        return CR3_PCID_SAVE\n"


def kernel_of(folder: Path, kept: str) -> Path:
    """The reference kernel, in which ``kept`` says when a pmap keeps its PCID."""
    source = PACKAGE_ROOT / "kernels/freebsd/amd64/pmap.py"
    text = source.read_text(encoding="utf-8")
    (alloc,) = (
        ast.get_source_segment(text, node) or ""
        for node in ast.parse(text).body
        if isinstance(node, ast.FunctionDef) and node.name == "pmap_pcid_alloc"
    )
    assert ASKED in alloc
    path = folder / "kernel.py"
    changed = alloc.replace(ASKED, indent(f"{kept}\n", "    "))
    path.write_text(f"{HEAD_OF_ALLOC}{changed}\n", encoding="utf-8")
    return path


# What a pmap once had is taken for its own again: two pmaps own one PCID.
KEPT_FOR_EVER = """\
if pm.pm_pcids[cpuid].pm_pcid != PMAP_PCID_NONE:
    pm.pm_pcids[cpuid].pm_gen = gen
    return CR3_PCID_SAVE"""
# It asks for the generation, but behind the PCID.
ASKED_TOO_LATE = """\
pcid = pm.pm_pcids[cpuid].pm_pcid
if pcid < PMAP_PCID_OVERMAX and pm.pm_pcids[cpuid].pm_gen == gen:
    return CR3_PCID_SAVE"""


def test_a_kernel_that_keeps_what_it_had_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = spec_of(ONE_CPU, kernel=kernel_of(tmp_path, KEPT_FOR_EVER))
    less, whole = both(spec)
    assert less.verdict == "violated" and "pcids" not in less.reductions
    assert less.looked_at is not None and "pmap_pcid_alloc at" in less.looked_at
    # If nobody watched, the shortest way would not be found.
    monkeypatch.setattr("pmaplab.system.watched", lambda program: program)
    (found,) = search_natively(spec.build()).violations.values()
    assert whole.trace is not None and found.steps > len(whole.trace.steps)


def test_a_kernel_that_asks_for_the_generation_too_late(tmp_path: Path) -> None:
    less, whole = both(spec_of(ONE_CPU, kernel=kernel_of(tmp_path, ASKED_TOO_LATE)))
    assert less.verdict == "holds" and less.states == whole.states
    assert less.looked_at is not None and "pmap_pcid_alloc at" in less.looked_at


def _conditions() -> st.SearchStrategy[str]:
    pmaps = st.sampled_from(["pm", "pm", "vmspace0.vm_pmap", "kernel_pmap"])
    looks = st.sampled_from(
        [
            "{0}.pm_pcid == PMAP_PCID_NONE",
            "{0}.pm_pcid == PMAP_PCID_KERN",
            "{0}.pm_pcid != PMAP_PCID_KERN",
            "{0}.pm_pcid == 1",
            "{0}.pm_pcid < PMAP_PCID_OVERMAX",
            "{0}.pm_gen == gen",
            "{0}.pm_gen == gen and {0}.pm_pcid == 1",
            "{0}.pm_pcid == 2 and {0}.pm_gen != gen",
        ]
    )
    return st.builds(lambda pm, look: look.format(f"{pm}.pm_pcids[cpuid]"), pmaps, looks)


def _actions() -> st.SearchStrategy[str]:
    return st.sampled_from(
        [
            "return CR3_PCID_SAVE",
            "return 0",
            "pm.pm_pcids[cpuid].pm_gen = gen",
            "pm.pm_pcids[cpuid].pm_gen = 0",
            "pm.pm_pcids[cpuid].pm_pcid = PMAP_PCID_NONE",
            "pm.pm_pcids[cpuid].pm_pcid = pm.pm_pcids[cpuid].pm_pcid",
        ]
    )


@pytest.mark.slow
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    looks=st.lists(st.tuples(_conditions(), _actions()), max_size=3),
    asks=st.booleans(),
    mode=st.sampled_from(["pcid", "pcid+pti", "pcid+invpcid+pti"]),
)
def test_random_kernels(
    tmp_path: Path, looks: list[tuple[str, str]], asks: bool, mode: str
) -> None:
    kept = [f"if {condition}:\n    {action}" for condition, action in looks]
    if asks or not kept:
        kept.append("if pm.pm_pcids[cpuid].pm_gen == gen:\n    return CR3_PCID_SAVE")
    both(spec_of(ONE_CPU, mode, kernel=kernel_of(tmp_path, "\n".join(kept))))


def test_it_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = kernel_of(tmp_path, ASKED_TOO_LATE)
    asked = ["check", "--scenario", "switch", "--kernel", str(path)]
    asked += ["--cpus", "1", "--processes", "2", "--operations", "unbounded", "--mode", "pcid"]
    assert main(asked) == 0
    found = capsys.readouterr().out
    text = "searched again without pcids: pm_pcid is looked at where pm_gen is not the CPU's own"
    assert f"pcid: {text}: pmap_pcid_alloc at {path}:" in found
    assert "reduced by: pcids" not in found
    assert main([*asked, "--format", "json"]) == 0
    (result,) = json.loads(capsys.readouterr().out)["results"]
    assert f": {result['looked_at']}\n" in found and "pcids" not in result["reductions"]


def test_a_counterexample_is_replayed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(tmp_path / "traces.json")
    asked = ["check", "--scenario", "switch", "--mode", "pcid", "--processes", "1"]
    assert main([*asked, "--operations", "unbounded", "-o", path]) == 1
    assert "reduced by: pcids" in capsys.readouterr().out
    assert main(["trace", path]) == 0
    assert "pm_active fails on CPU" in capsys.readouterr().out


# --- what is watched ---------------------------------------------------------

HEAD = """
struct pmap_pcids {
  pm_pcid: u32
  pm_gen: u32
}
struct seen {
  value: u32
  place: *u32
}
global @pcids: pmap_pcids
global @seen: seen
cpus 1
agent a cpu 0 context thread entry @main
"""
MAIN = """
function @main() {
  var %x: u32
  var %y: u32
  var %b: bool
  var %p: *u32
entry:
  {line}
  return
}
"""
PCID = "field(@pcids:*pmap_pcids, pm_pcid):*u32"


def added(text: str) -> list[Instruction]:
    program = watched(parse_program(text))
    verify(program)
    return [
        item
        for function in program.functions.values()
        for item in instructions(function)
        if isinstance(item, Sometimes | Assert)
    ]


@pytest.mark.parametrize(
    ("line", "times"),
    [
        (f"%x = load {PCID}\n  store field(@seen:*seen, value):*u32, %x", 1),
        (f"%x = load {PCID}\n  %b = eq(%x, 4294967295:u32)", 1),
        (f"%x = load {PCID}\n  %b = lt(%x, 1:u32)", 1),
        (f"%x = load {PCID}\n  %y = %x\n  %b = eq(%y, 0:u32)", 1),
        (f"%x = 1:u32\n  %x = load {PCID}\n  %b = eq(%x, 0:u32)", 1),
        (f"%x = rmw add {PCID}, 0:u32", 1),
        (f"store field(@seen:*seen, place):**u32, {PCID}", 1),
        (f"%x = load {PCID}\n  %y = load {PCID}\n  %x = add(%x, %y)", 2),
        # Whether it is the kernel's is never forgotten.
        (f"%x = load {PCID}\n  %b = eq(%x, 0:u32)\n  %b = ne(%x, 0:u32)", 0),
        (f"%x = load {PCID}", 0),
        (f"store {PCID}, 4294967295:u32", 0),
        ("%x = load field(@pcids:*pmap_pcids, pm_gen):*u32\n  %y = %x", 0),
    ],
)
def test_what_is_watched(line: str, times: int) -> None:
    found = added(HEAD + MAIN.replace("{line}", line))
    assert len(found) == times and all(isinstance(item, Sometimes) for item in found)


def test_an_address_that_is_returned() -> None:
    text = MAIN.replace("{line}", "%p = call @place()")
    found = added(f"{HEAD}{text}\nfunction @place() -> *u32 {{\nentry:\n  return {PCID}\n}}\n")
    assert [type(item) for item in found] == [Sometimes]


INVARIANT = """
invariant "own" @asked
atomic function @asked(%cpu: u32) {
  var %x: u32
  var %b: bool
entry:
  {line}
  return
}
"""


@pytest.mark.parametrize("called", [False, True])
@pytest.mark.parametrize(
    "line", [f"%x = load {PCID}\n  %x = add(%x, 1:u32)", f"%b = eq({PCID}, null:*u32)"]
)
def test_invariants_fail(line: str, called: bool) -> None:
    """What is part of a step passes a label instead, whoever calls it besides."""
    text = MAIN.replace("{line}", "call @asked(0:u32)" if called else "%x = 1:u32")
    found = added(HEAD + text + INVARIANT.replace("{line}", line))
    assert [type(item) for item in found] == [Sometimes if called else Assert]


def test_a_run_that_says_something_else() -> None:
    data = RunSpec(canonical_pcids=True).to_json()
    assert RunSpec.from_json(Node(data, "run.json")).canonical_pcids
    data["canonical_pcids"] = 1
    with pytest.raises(TraceError, match="canonical_pcids: true or false is expected"):
        RunSpec.from_json(Node(data, "run.json"))


def test_an_interrupted_search_goes_on(tmp_path: Path) -> None:
    """That of all PCIDs has a checkpoint of its own."""
    spec = spec_of(ONE_CPU, kernel=kernel_of(tmp_path, ASKED_TOO_LATE))
    engine = Engine("native", checkpoint=tmp_path / "kept")
    some = check(spec, engine=engine, limits=Limits(states=12_000))
    assert some.verdict == "incomplete" and some.looked_at is not None
    assert (tmp_path / "kept/search").exists() and (tmp_path / "kept/no-pcids/search").exists()
    found, whole = check(spec, engine=engine), check(spec)
    assert outcome(found) == outcome(whole) and found.states == whole.states
    assert found.looked_at == whole.looked_at
    assert not (tmp_path / "kept/no-pcids/search").exists()
