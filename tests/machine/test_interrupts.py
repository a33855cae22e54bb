"""Interrupts: when they are taken, and what stands still meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import pmaplab
from pmaplab.errors import IRError
from pmaplab.frontends.kernel_python.source import SourceFile, parse_source
from pmaplab.ir.nodes import Function, Program
from pmaplab.ir.walk import calling
from pmaplab.machine.interrupts import suspend_threads
from pmaplab.machine.modes import MODES
from pmaplab.search.bfs import search
from pmaplab.search.result import Result
from pmaplab.system import Bounds, System, build_system

SCENARIO = Path(__file__).parent / "programs/interrupts.py"


def built(*changes: SourceFile, store_buffer: int | None = None) -> System:
    return build_system(str(SCENARIO), changes, MODES[0], Bounds(store_buffer=store_buffer))


def changed(old: str, new: str, module: str = "machine/local_apic.py") -> Result:
    """A search with the one function changed in which ``old`` stands."""
    text = (Path(pmaplab.__file__).parent / module).read_text(encoding="utf-8")
    assert old in text
    head, _, rest = text.partition(old)
    start = head.rindex("@atomic\n")
    end = rest.find("\n\n\n")
    function = head[start:] + new + (rest if end < 0 else rest[:end])
    imports = head[: head.index("# Vectors")]
    return search(built(parse_source(imports + "\n\n" + function + "\n", "changed.py")))


def told(result: Result) -> str:
    failure = result.violations["assertions"].failure
    assert failure is not None
    return failure.message


@pytest.mark.parametrize("store_buffer", [None, 1])
def test_they_are_taken_where_they_may(store_buffer: int | None) -> None:
    result = search(built(store_buffer=store_buffer))
    assert result.verdict() == "holds"
    assert result.reached >= {"taken before the thread works", "taken after the thread has begun"}


def test_a_machine_that_ignores_the_flag_is_told() -> None:
    result = changed("    assume(CPU.rflags_if and LAPIC.irr != 0)", "    assume(LAPIC.irr != 0)")
    assert told(result) == "taken with interrupts disabled"


def test_a_gate_that_leaves_interrupts_enabled_is_told() -> None:
    result = changed("    CPU.rflags_if = False\n", "")
    assert told(result) == "an interrupt gate leaves interrupts enabled"


def test_a_thread_that_goes_on_is_told() -> None:
    """Without the pass, the thread runs in the midst of the handler."""
    result = changed("    CPU.in_interrupt = True\n", "")
    assert result.states > search(built()).states


def test_an_ipi_that_is_lost_is_told() -> None:
    result = changed("    lapics[cpu].irr |= u64(1) << vector", "    pass")
    assert "progress" in result.violations


def test_functions_of_both_contexts_are_there_twice() -> None:
    functions = built().program.functions
    assert {"shared", "shared_in_interrupt"} <= set(functions)
    assert "cpu_main_in_interrupt" not in functions
    copies = [name for name in functions if name.endswith("_in_interrupt")]
    assert copies == sorted(copies), "the text of a program must not differ from run to run"


def test_no_interrupts_no_pass() -> None:
    program = build_system("switch", (), MODES[0], Bounds(operations=1)).program
    assert suspend_threads(program) is program


def calling_shared(program: Program) -> Function:
    """The interrupt context as it was before the pass."""
    return calling(program.functions["cpu_interrupt"], {"shared_in_interrupt": "shared"})


@pytest.mark.parametrize(
    ("damaged", "message"),
    [
        (
            lambda p: replace(p, globals={k: v for k, v in p.globals.items() if k != "cpus"}),
            "there are interrupts, but no array 'cpus' of registers",
        ),
        (
            lambda p: replace(
                p,
                structs={
                    **p.structs,
                    "cpu_registers": replace(p.structs["cpu_registers"], fields=()),
                },
            ),
            "there are interrupts, but cpu_registers has no bool 'in_interrupt'",
        ),
        (
            lambda p: replace(p, functions={**p.functions, "cpu_interrupt": calling_shared(p)}),
            "the interrupt context needs the name 'shared_in_interrupt' for itself",
        ),
    ],
)
def test_a_program_that_it_cannot_work_on(
    damaged: Callable[[Program], Program], message: str
) -> None:
    program = damaged(built().program)
    with pytest.raises(IRError) as error:
        suspend_threads(program)
    assert error.value.message == message
