"""The runtime's parts alone: a C program that checks them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pmaplab.native.build import RUNTIME, find_compiler

PARTS = ("memory", "store", "lanes", "components", "memo", "kept", "history")


@pytest.mark.skipif(find_compiler() is None, reason="there is no C compiler")
@pytest.mark.parametrize(
    ("name", "parts", "level"),
    # The latter has all of the runtime in itself, which takes long at -O1.
    [("unit", PARTS, "-O1"), ("symmetry", (), "-O0")],
    ids=["parts", "symmetry"],
)
def test_the_parts_of_the_runtime(
    name: str, parts: tuple[str, ...], level: str, tmp_path: Path
) -> None:
    program = tmp_path / name
    sources = [Path(__file__).with_name(f"{name}.c")]
    sources += [RUNTIME / f"{part}.c" for part in parts]
    options = ["-std=gnu11", level, "-g", "-Wall", "-Wextra", "-Wno-parentheses", "-Werror"]
    compiler = find_compiler()
    assert compiler is not None
    command = [compiler, *options, f"-I{RUNTIME}", *map(str, sources), "-o", str(program)]
    subprocess.run([*command, "-pthread", "-lm", "-fsanitize=address,undefined"], check=True)
    found = subprocess.run([str(program)], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout, found.stderr) == (0, "all is well\n", "")
