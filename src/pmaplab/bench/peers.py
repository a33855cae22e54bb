"""Running exported files with SPIN and with Rumur."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pmaplab.errors import PmaplabError

HOLDS, VIOLATED, MODEL_ERROR, INCOMPLETE = "holds", "violated", "model error", "incomplete"
SPIN, RUMUR = "spin", "rumur"
COMPILER = "gcc"
# Of a verifier, in seconds.
TIMEOUT = 600.0


class PeerError(PmaplabError):
    """A tool that is missing, fails, or says what is not understood."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a tool found, and what it took.

    ``violated`` are the properties that fail, as far as the tool names them;
    ``reached`` the labels it passed.  ``seconds`` is the search alone,
    ``compile_seconds`` all that comes before it.
    """

    states: int
    transitions: int
    verdict: str
    violated: frozenset[str]
    reached: frozenset[str]
    seconds: float
    compile_seconds: float
    bytes_per_state: float | None


def missing(tool: str) -> str | None:
    """Why ``tool`` cannot be run here, or None."""
    for name in (tool, COMPILER):
        if shutil.which(name) is None:
            return f"{name} is not installed"
    return None


def run_spin(
    text: str,
    folder: Path,
    *,
    optimize: str = "-O2",
    flags: Sequence[str] = (),
    options: Sequence[str] = ("-c0",),
    depth: int = 1_000_000,
    table: int = 24,
    timeout: float = TIMEOUT,
) -> Found:
    """Verify a Promela file of :mod:`pmaplab.exports.promela`.

    ``flags`` go to the compiler, ``options`` to the verifier; ``table`` is the
    binary logarithm of the size of the hash table.  Raises PeerError.
    """
    (folder / "model.pml").write_text(text, encoding="utf-8")
    size = re.search(r"-DVECTORSZ=\d+", text)
    started = time.monotonic()
    _run(["spin", "-a", "model.pml"], folder, timeout)
    compiler = [COMPILER, optimize, "-w", "-DSAFETY", "-DNOREDUCE", _memory(), *flags]
    _run([*compiler, *([size[0]] if size else []), "-o", "pan", "pan.c"], folder, timeout)
    compiled = time.monotonic()
    said = _run(["./pan", f"-m{depth}", f"-w{table}", *options], folder, timeout, any_status=True)
    finished = time.monotonic()
    errors = re.findall(r"^pan:\d+: (.*) \(at depth", said, re.MULTILINE)
    stored = re.search(r"^\s*(\d+) states, stored", said, re.MULTILINE)
    taken = re.search(r"^\s*(\d+) transitions", said, re.MULTILINE)
    if stored is None or taken is None:
        raise PeerError(f"pan says nothing of its states: {said[-400:]}")
    total = re.search(r"errors: (\d+)", said)
    verdict = HOLDS
    if "search not completed" in said.lower() or "max search depth" in said:
        verdict = INCOMPLETE
    if total is None or int(total[1]):
        verdict = VIOLATED
    if any(error.startswith("model error") for error in errors):
        verdict = MODEL_ERROR
    names = (re.match(r"property (.*?) on CPU", error) for error in errors)
    return Found(
        states=int(stored[1]),
        # The first state is stored as well, and no step leads to it.
        transitions=int(taken[1]) - 1,
        verdict=verdict,
        violated=frozenset(match[1] if match else "assertions" for match in names),
        reached=frozenset(re.findall(r"^reached: (.*)$", said, re.MULTILINE)),
        seconds=finished - compiled,
        compile_seconds=compiled - started,
        bytes_per_state=_spin_memory(said, int(stored[1])),
    )


def _memory() -> str:
    """Most of what the machine has; in MiB."""
    return f"-DMEMLIM={os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') * 3 // 2**22}"


def _spin_memory(said: str, states: int) -> float | None:
    used = re.search(r"^\s*([\d.]+)\s+actual memory usage for states", said, re.MULTILINE)
    table = re.search(r"^\s*([\d.]+)\s+memory used for hash table", said, re.MULTILINE)
    if used is None or table is None or not states:
        return None
    return (float(used[1]) + float(table[1])) * 2**20 / states


def run_rumur(
    text: str,
    folder: Path,
    *,
    optimize: str = "-O3",
    threads: int = 1,
    max_errors: int = 1_000_000,
    timeout: float = TIMEOUT,
) -> Found:
    """Verify a Murphi file of :mod:`pmaplab.exports.murphi`; raises PeerError."""
    (folder / "model.m").write_text(text, encoding="utf-8")
    started = time.monotonic()
    reductions = ["--deadlock-detection", "off", "--symmetry-reduction", "off"]
    showing = ["--counterexample-trace", "off", "--max-errors", str(max_errors)]
    many = ["--threads", str(threads)]
    _run(["rumur", *reductions, *showing, *many, "--output", "model.c", "model.m"], folder, timeout)
    compiler = [COMPILER, "-std=c11", optimize, "-w", "-o", "model", "model.c", "-lpthread"]
    _run([*compiler, "-mcx16"], folder, timeout)
    compiled = time.monotonic()
    said = _run(["./model"], folder, timeout, any_status=True)
    finished = time.monotonic()
    counts = re.search(r"(\d+) states, (\d+) rules fired", said)
    if counts is None:
        raise PeerError(f"Rumur's verifier says nothing of its states: {said[-400:]}")
    verdict = HOLDS if "No error found" in said else VIOLATED
    not_hit = re.findall(r'cover "(.*)" not hit', said)
    found = re.search(r"(\d+) error\(s\) found", said)
    if found is not None and int(found[1]) == len(not_hit):
        verdict = HOLDS
    if "model error" in said or "overflow in" in said or "out of range" in said:
        verdict = MODEL_ERROR
    size = re.search(r"rounded up to (\d+) bytes", said)
    names = re.findall(r'invariant "(.*?), CPU \d+" failed', said)
    return Found(
        states=int(counts[1]),
        transitions=int(counts[2]),
        verdict=verdict,
        violated=frozenset(names),
        reached=frozenset(re.findall(r'cover "(.*)" hit', said)),
        seconds=finished - compiled,
        compile_seconds=compiled - started,
        bytes_per_state=float(size[1]) if size else None,
    )


def _run(command: Sequence[str], folder: Path, timeout: float, *, any_status: bool = False) -> str:
    try:
        result = subprocess.run(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )
    except FileNotFoundError:
        raise PeerError(f"{command[0]} is not installed") from None
    except subprocess.TimeoutExpired:
        raise PeerError(f"{command[0]} has taken more than {timeout:g} seconds") from None
    if result.returncode < 0 or (result.returncode and not any_status):
        raise PeerError(
            f"{command[0]} ends with status {result.returncode}: {result.stdout[-400:].strip()}"
        )
    return result.stdout
