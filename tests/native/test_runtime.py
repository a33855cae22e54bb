"""The runtime's parts alone: a C program that checks them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pmaplab.native.build import RUNTIME, find_compiler


@pytest.mark.skipif(find_compiler() is None, reason="there is no C compiler")
def test_the_parts_of_the_runtime(tmp_path: Path) -> None:
    program = tmp_path / "unit"
    sources = [Path(__file__).with_name("unit.c")]
    names = ("memory", "store", "lanes", "components", "memo", "kept", "history")
    sources += [RUNTIME / f"{name}.c" for name in names]
    options = ["-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-Wno-parentheses", "-Werror"]
    compiler = find_compiler()
    assert compiler is not None
    command = [compiler, *options, f"-I{RUNTIME}", *map(str, sources), "-o", str(program)]
    subprocess.run([*command, "-pthread", "-fsanitize=address,undefined"], check=True)
    found = subprocess.run([str(program)], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout, found.stderr) == (0, "all is well\n", "")
