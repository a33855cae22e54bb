"""The checker can fail: kernels with one mistake each.

Every file of tests/kernels is a change to a kernel that holds everywhere, and
says in its first lines which properties fail in which modes, with which
message, and in which modes all hold.
"""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

import pytest

from pmaplab.frontends.kernel_python.source import PACKAGE_ROOT, read_source
from pmaplab.machine.modes import MODES, Mode, find_mode
from pmaplab.reviews.registry import proposal_files
from pmaplab.search.bfs import search
from pmaplab.search.result import Result
from pmaplab.system import PROPERTY_MODULES, Bounds, System, build_system

KERNELS = sorted(Path(__file__).with_name("kernels").glob("*.py"))
# The change of the review that holds in every mode.
SOUND = "repaired"
HEADER = re.compile(
    r"# violated: (?P<properties>[\w, ]+) \((?P<message>.+)\) in (?P<modes>.+)\n"
    r"# holds: ?(?P<holds>.*)\n"
    r"# run: (?P<scenario>\w+) ?(?P<operations>\d*)\n"
)


def header(path: Path) -> re.Match[str]:
    found = HEADER.match(path.read_text(encoding="utf-8"))
    assert found is not None, f"{path.name} does not say what it violates"
    return found


def split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def built(path: Path, mode: Mode) -> System:
    said = header(path)
    changes = (*proposal_files(SOUND), read_source(path, path.name))
    bounds = Bounds(operations=int(said["operations"] or 1))
    return build_system(said["scenario"], changes, mode, bounds)


VIOLATED = [(path, mode) for path in KERNELS for mode in split(header(path)["modes"])]
HELD = [(path, mode) for path in KERNELS for mode in split(header(path)["holds"])]


def name(value: object) -> str:
    return value.stem if isinstance(value, Path) else str(value)


@pytest.mark.parametrize(("path", "mode"), VIOLATED, ids=name)
def test_the_mistake_is_found(path: Path, mode: str) -> None:
    result = search(built(path, find_mode(mode)))
    assert sorted(result.violations) == sorted(split(header(path)["properties"]))
    violation = result.violations[split(header(path)["properties"])[0]]
    assert violation.failure is not None
    assert header(path)["message"] in violation.failure.message


@pytest.mark.parametrize(("path", "mode"), HELD, ids=name)
def test_the_mistake_does_not_matter_everywhere(path: Path, mode: str) -> None:
    result = search(built(path, find_mode(mode)))
    assert result.complete and result.violations == {}


@functools.cache
def sound(scenario: str, mode: Mode) -> Result:
    return search(build_system(scenario, proposal_files(SOUND), mode, Bounds(operations=1)))


@pytest.mark.parametrize("scenario", ["boot", "switch"])
@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
def test_the_kernel_without_a_mistake(scenario: str, mode: Mode) -> None:
    result = sound(scenario, mode)
    assert result.complete and result.violations == {}


def test_every_invariant_can_fail() -> None:
    """Each KASSERT of each invariant is the first to fail in some kernel."""
    files = [
        PACKAGE_ROOT.parent / f"{module.replace('.', '/')}.py"
        for module in PROPERTY_MODULES
        if ".properties." in module
    ]
    messages = [
        node.args[1].value
        for path in files
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "KASSERT"
        and isinstance(node.args[1], ast.Constant)
    ]
    said = [header(path)["message"] for path in KERNELS]

    def covered(message: object) -> bool:
        pattern = re.sub(r"%#?\w", ".*", re.escape(str(message)).replace(r"\#", "#"))
        return any(
            re.search(_loose(text), str(message)) or re.search(pattern, text) for text in said
        )

    # Two pmaps beside vmspace0, and the kernel's PCID handed out to one of
    # them: the kernel's own KASSERT in the activation is there first.
    known = {"a pmap owns the kernel's PCID on CPU %d"}
    assert {str(m) for m in messages if not covered(m)} == known


def _loose(text: str) -> str:
    """A message with its numbers open, as a pattern for the format."""
    return re.sub(r"0x[0-9a-f]+|\b\d+\b", "%#?\\\\w", re.escape(text))
