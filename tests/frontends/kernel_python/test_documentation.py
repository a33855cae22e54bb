"""The code on docs/kernel-python.md compiles, and does what the page says."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from frontends.kernel_python.support import compiled
from pmaplab import kernel_python
from pmaplab.frontends.kernel_python.intrinsics import RESERVED, KernelIntrinsics
from pmaplab.frontends.kernel_python.source import parse_source, read_source
from pmaplab.ir.verify import verify
from pmaplab.machine.modes import MODES
from pmaplab.search.bfs import search
from pmaplab.search.result import ASSERTIONS
from pmaplab.system import Bounds, build_system, options

PAGE = Path(__file__).parents[3] / "docs" / "kernel-python.md"
BLOCK = re.compile(r"^```python(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = [(name, text) for name, text in BLOCK.findall(PAGE.read_text(encoding="utf-8"))]
FILES = {name: text for name, text in BLOCKS if name}


def test_the_snippets_compile() -> None:
    text = "\n\n".join(text for name, text in BLOCKS if not name)
    lowered = compiled(text + "\n\n@thread_context\ndef main() -> None:\n    run_sysinits()\n")
    verify(lowered.program)
    assert {"slot_take", "slot_count", "slots_init"} <= set(lowered.program.functions)
    assert len(BLOCKS) > 5


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    paths = {name: tmp_path / name for name in FILES}
    for name, text in FILES.items():
        paths[name].write_text(text, encoding="utf-8")
    return paths


def test_the_scenario(files: dict[str, Path]) -> None:
    result = search(build_system(str(files["twice.py"]), (), MODES[0], Bounds()))
    assert result.complete
    assert result.verdict(ASSERTIONS) == "holds"
    assert result.reached >= {"a CPU is inside"}


def test_the_kernel(files: dict[str, Path]) -> None:
    kernel = read_source(files["careless.py"], "careless.py")
    result = search(build_system(str(files["twice.py"]), (kernel,), MODES[0], Bounds()))
    failure = result.violations[ASSERTIONS].failure
    assert failure is not None and failure.message == "2 CPUs are inside"


def test_the_page_names_all_options() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for name in options(MODES[0], Bounds()):
        assert f"`{name}`" in text


def test_the_page_names_all_functions_of_the_language() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for name in KernelIntrinsics.names:
        stem = name.replace("_int", "").replace("_ptr", "").replace("_long", "")
        parts = {name, stem.replace("atomic_", "_") + "_", f"`{name}"}
        assert any(part in text for part in parts), name


def test_the_stub_declares_what_the_front_end_knows() -> None:
    declared = {name for name, _ in inspect.getmembers(kernel_python)}
    assert RESERVED - {"int", "bool"} <= declared


def test_what_is_declared_for_editors_does_not_run() -> None:
    with pytest.raises(kernel_python.OutsideKernelPython):
        kernel_python.this_cpu()


def test_the_page_lists_no_file_that_does_not_parse() -> None:
    for name, text in FILES.items():
        parse_source(text, name)
