"""Compiling kernel Python in tests."""

from __future__ import annotations

from collections.abc import Mapping

from pmaplab.frontends.kernel_python.compile import Lowered, compile_files
from pmaplab.frontends.kernel_python.source import imports, parse_source

OPTIONS: Mapping[str, int] = {"MAXCPU": 2, "mp_ncpus": 2, "pti": 1}


def compiled(text: str, base: str | None = None, name: str = "test.py", cpus: int = 2) -> Lowered:
    """``text`` as a program of its own, or as a replacement for ``base``."""
    first = parse_source(text if base is None else base, name if base is None else "base.py")
    imports(first)
    replacements = [] if base is None else [parse_source(text, name)]
    return compile_files([first], replacements, OPTIONS, cpus=cpus)
