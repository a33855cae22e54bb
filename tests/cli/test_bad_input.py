"""Bad input to ``pmaplab check``: a clear message with the place, status 2."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.command import fails, run

HEAD = """\
from __future__ import annotations

from typing import Annotated

from pmaplab.kernel_python import Range, u32
from pmaplab.kernels.freebsd.amd64.pcpu import PCPU
from pmaplab.kernels.freebsd.amd64.pmap import pmap

small: Annotated[u32, Range(0, 3)] = 0


"""


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("--proposal", "befor"), ("there is no proposal 'befor'", "did you mean before?")),
        (("--mode", "pcid+invpcidd"), ("there is no mode", "did you mean pcid+invpcid?")),
        (("--mode", "xyz"), ("there is no mode 'xyz'", "nopcid+pti")),
        (("--scenario", "swich"), ("there is no scenario 'swich'", "did you mean switch?")),
        (("--scenario", "nowhere.py"), ("nowhere.py: no such file",)),
        (("--kernel", "nowhere.py"), ("nowhere.py: no such file",)),
        (("--kernel", "/"), ("/: is a directory",)),
        (("--kernel", "/dev/null"), ("/dev/null: not a regular file",)),
        (("--exemptions", "nowhere.toml"), ("nowhere.toml: no such file",)),
        (("--property", "curmap"), ("there is no property 'curmap'", "did you mean curpmap?")),
        (("--cpus", "0"), ("a machine with 0 CPUs cannot boot",)),
        (("--cpus", "3", "--maxcpu", "2"), ("3 CPUs are more than MAXCPU, which is 2",)),
        (("--cpus", "-1"), ("--cpus", "at least 0, not -1")),
        (("--cpus", "two"), ("--cpus", "'two' is not a whole number")),
        (("--cpus", "1.5"), ("--cpus", "'1.5' is not a whole number")),
        (("--cpus", "9" * 30), ("--cpus", "is not a whole number")),
        (("--pcids", "0"), ("--pcids must be from 1 to 2046, not 0",)),
        (("--operations", "0"), ("--operations must be from 1",)),
        (("--memory", "foo"), ("--memory", "'foo'", "tso")),
        (
            ("--memory", "tso", "--store-buffer", "0"),
            ("--store-buffer must be from 1 to 255, not 0",),
        ),
        (("--memory", "tso", "--store-buffer", "256"), ("from 1 to 255, not 256",)),
        (("--memory", "tso", "--store-buffer", "x"), ("--store-buffer", "'x' is not a whole")),
        (("--memory", "tso", "--store-buffer", "-1"), ("--store-buffer", "at least 0, not -1")),
        (("--memory", "sc", "--store-buffer", "3"), ("no store buffers under --memory sc",)),
        (("--store-buffer", "0"), ("no store buffers under --memory sc", "add --memory tso")),
        (("--processes", "5000"), ("--processes must be from 1 to 1024",)),
        (("--max-states", "0"), ("--max-states", "at least 1, not 0")),
        (("--time-limit", "-3"), ("--time-limit", "more than 0 seconds")),
        (("--time-limit", "nan"), ("--time-limit", "not a number of seconds")),
        (("--format", "xml"), ("--format", "'xml'")),
        (("--proposal", "before", "--kernel", "k.py"), ("not allowed with",)),
        (("--prop", "before"), ("unrecognized arguments: --prop",)),
    ],
)
def test_options(arguments: tuple[str, ...], parts: tuple[str, ...], tmp_path: Path) -> None:
    small = ("--scenario", "switch", "--operations", "1")
    result = run("check", *small, *arguments, cwd=tmp_path)
    fails(result, *parts)
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("body", "place", "message"),
    [
        ("def pmap_pinit0(pm: pmap) -> None\n    pass\n", "12:34", "syntax error: expected ':'"),
        (
            "def pmap_pinit0(pm: pmap) -> None:\n    with pm:\n        pass\n",
            "13:5",
            "is not part of kernel Python",
        ),
        (
            "def pmap_pinit0(pm: pmap) -> None:\n    pmap_pinit0(pm)\n",
            "12:1",
            "recursion: pmap_pinit0 -> pmap_pinit0",
        ),
        ("def pmap_pinit0(pm: pmap) -> None:\n    PCPU.curpmap = 7\n", "13:20", "pointer to pmap"),
        (
            "def pmap_pinit0(pm: pmap) -> None:\n"
            "    global small\n"
            "    for i in range(6):\n"
            "        small = i\n",
            "15:9",
            "the value 4 does not fit into 0..3",
        ),
    ],
    ids=["syntax error", "unsupported", "recursion", "wrong type", "range"],
)
def test_kernel_python(body: str, place: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(HEAD + body)
    result = run("check", "--kernel", "mine.py", "--operations", "1", cwd=tmp_path)
    line = (HEAD + body).splitlines()[int(place.split(":")[0]) - 1]
    # The place comes first, as editors expect it; the line and a caret follow.
    fails(result, f"mine.py:{place}: ", message, f"    {line}\n", "^")
    assert result.stderr.startswith(f"mine.py:{place}: ")


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_bytes(b"\xff\xfe")
    fails(run("check", "--kernel", "mine.py", cwd=tmp_path), "mine.py: not UTF-8 text")


def test_a_scenario_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "empty.py").write_text("")
    result = run("check", "--scenario", "empty.py", cwd=tmp_path)
    fails(result, "no file declares what the CPUs run", "@thread_context")


def test_a_damaged_exemption_file(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("[[exemption]\n")
    fails(run("check", "--exemptions", "mine.toml", cwd=tmp_path), "mine.toml:1:12: ", "TOML")
    (tmp_path / "mine.toml").write_text('[[exemption]]\nfunction = "cpu_switch"\n')
    fails(run("check", "--exemptions", "mine.toml", cwd=tmp_path), "mine.toml: [[exemption]] 1")
