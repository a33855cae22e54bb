"""What the machine can do at best: random inserts into a table in memory."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from pmaplab.bench.peers import COMPILER, PeerError

_SOURCE = Path(__file__).parent / "inserts.c"


def cores() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def inserts_per_second(folder: Path) -> float:
    """Random 64-bit inserts a second into 1 GiB, by all cores; PeerError where
    it cannot be measured."""
    program = str(folder / "inserts")
    command = [COMPILER, "-O3", "-march=native", "-pthread", "-o", program, str(_SOURCE)]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
        result = subprocess.run(
            [program, str(cores())], check=True, capture_output=True, text=True, timeout=300
        )
    except FileNotFoundError:
        raise PeerError(f"{COMPILER} is not installed") from None
    except (subprocess.SubprocessError, OSError) as error:
        raise PeerError(f"the machine's limit cannot be measured: {error}") from None
    return float(result.stdout)
