"""Every mistake that the front end finds, with the exact message.

The stored messages are accepted with ``python -m pytest tests/frontends --accept``.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from types import FrameType
from typing import NoReturn

import pytest

import pmaplab.frontends.kernel_python
from frontends.kernel_python.support import compiled
from golden import Golden
from pmaplab.errors import InputError, KernelPythonError, PmaplabError
from pmaplab.frontends.kernel_python.source import SourceFile, load_modules, read_source
from pmaplab.ir.verify import verify

ERRORS = Path(__file__).with_name("errors")
CASES = sorted(path for path in ERRORS.glob("*.py") if not path.stem.endswith(".base"))
FRONT_END = Path(pmaplab.frontends.kernel_python.__file__).parent


def message(path: Path) -> str:
    """What the front end says to the file, with its base if it replaces one."""
    base = path.with_name(f"{path.stem}.base.py")
    text = path.read_text(encoding="utf-8")
    with pytest.raises(PmaplabError) as caught:
        lowered = compiled(
            text, base.read_text(encoding="utf-8") if base.is_file() else None, path.name
        )
        verify(lowered.program)
    return f"{caught.value}\n"


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_message(path: Path, golden: Golden) -> None:
    golden.check(message(path), path.with_suffix(".expected"))


def test_no_message_is_left_over() -> None:
    expected = {path.stem for path in ERRORS.glob("*.expected")}
    assert expected == {path.stem for path in CASES}


def fail_sites() -> set[tuple[str, int, int]]:
    """File and lines of every call in the front end that raises an error."""
    sites: set[tuple[str, int, int]] = set()
    for path in FRONT_END.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in ("fail", "_fail_at", "unknown", "located")
            ):
                sites.add((path.name, node.lineno, node.end_lineno or node.lineno))
    return sites


def test_every_fail_site_is_covered(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: set[tuple[str, int]] = set()

    def note() -> None:
        frame: FrameType | None = sys._getframe(2)
        while frame is not None:
            path = Path(frame.f_code.co_filename)
            if path.parent == FRONT_END:
                lines.add((path.name, frame.f_lineno))
            frame = frame.f_back

    fail, init = SourceFile.fail, KernelPythonError.__init__

    def noted_fail(
        self: SourceFile, node: ast.AST, message: str, advice: str | None = None
    ) -> NoReturn:
        note()
        fail(self, node, message, advice)

    def noted_init(self: KernelPythonError, *args: object, **rest: object) -> None:
        note()
        init(self, *args, **rest)  # type: ignore[arg-type]

    monkeypatch.setattr(SourceFile, "fail", noted_fail)
    monkeypatch.setattr(KernelPythonError, "__init__", noted_init)
    for path in CASES:
        message(path)
    missed = [
        f"{name}:{first}"
        for name, first, last in sorted(fail_sites())
        if not any((name, line) in lines for line in range(first, last + 1))
    ]
    assert missed == []


# --- files that are not what they should be ----------------------------------


def test_a_file_that_is_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "latin.py"
    path.write_bytes(b"# caf\xe9\n")
    with pytest.raises(InputError) as caught:
        read_source(path, "latin.py")
    assert str(caught.value) == (
        "latin.py: not UTF-8 text (byte 5)\n    advice: kernel Python files are UTF-8"
    )


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^gone\.py: no such file$"):
        read_source(tmp_path / "gone.py", "gone.py")


def test_a_directory(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^here: is a directory, not a kernel Python file$"):
        read_source(tmp_path, "here")


def test_a_file_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"^x: Not a directory$"):
        read_source(tmp_path / "file" / "x.py", "x")


def test_a_module_that_does_not_exist() -> None:
    with pytest.raises(InputError, match=r"^pmaplab\.scenarios\.gone: no such kernel Python"):
        load_modules(["pmaplab.scenarios.gone"])


def test_an_empty_file() -> None:
    with pytest.raises(InputError, match="no file declares what the CPUs run"):
        compiled("")


def test_zero_bytes() -> None:
    with pytest.raises(KernelPythonError, match="null bytes"):
        compiled("x: u32 = 0\0\n")


@pytest.mark.parametrize("opening", ["-" * 30_000, "(" * 300, "not " * 30_000])
def test_an_expression_too_deep_for_the_parser(opening: str) -> None:
    with pytest.raises(KernelPythonError):
        compiled(f"def f() -> u32:\n    return {opening}1\n")


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_line_ends_and_byte_order_mark(tmp_path: Path, end: bytes, mark: bytes) -> None:
    path = tmp_path / "ends.py"
    path.write_bytes(mark + end.join([b'"""A file."""', b"", b"", b"x: u32 = nothing", b""]))
    source = read_source(path, "ends.py")
    with pytest.raises(KernelPythonError) as caught:
        compiled(source.text, name="ends.py")
    location = caught.value.location
    assert location is not None
    assert (location.line, location.column, location.end_column) == (4, 10, 17)
    assert caught.value.source == "x: u32 = nothing"


def test_a_warning_of_python_is_no_error() -> None:
    compiled('"""A \\d docstring."""\n\n\n@thread_context\ndef f() -> None:\n    pass\n')
