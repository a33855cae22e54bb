"""What the worker is told, and what it answers; runtime/main.c is the other side."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pmaplab.errors import ModelError
from pmaplab.search.projection import Projection, RestMarks

WORD = (1 << 64) - 1
# So long an interrupted worker may take to write a checkpoint.
LAST_CHECKPOINT_SECONDS = 120


@dataclass(frozen=True)
class RestQuestion:
    """What is asked of the states at rest: ``cells`` with masks.  The way to a state
    with the values ``wanted`` is asked for, or what values there are."""

    cells: Sequence[tuple[int, int]]
    wanted: Sequence[int] | None = None

    def text(self) -> str:
        pairs = [number for pair in self.cells for number in pair]
        wanted = [0] if self.wanted is None else [1, *self.wanted]
        return f"rest {_numbers((len(self.cells), *pairs, *wanted))}"


NOTHING_AT_REST = RestQuestion(())


@dataclass(frozen=True)
class Question:
    """One search; 0 stands for no limit.

    A lane has ``bits`` bits.  ``agents`` has for each its first cell,
    its CPU, and whether it has work of its own.  ``marks`` say who is at rest.
    ``reduction`` are the numbers of a partial-order reduction (reduced), or a 0,
    ``ownership`` those of rules (search/ownership), ``symmetry`` those of a group of
    permutations (symmetry).  What the states hold in the cells of
    ``projection`` is counted, where the search is complete.  Every ``checkpoint_seconds`` the
    search is kept in a file of the worker's folder, under the name ``checkpoint``,
    unless that is empty.
    """

    threads: int
    states: int
    seconds: float
    memory: int
    stop_at_first: bool
    fingerprints: bool
    bits: int
    memory_cells: int
    start: Sequence[int]
    components: Sequence[Sequence[int]]
    agents: Sequence[tuple[int, int, bool]]
    marks: RestMarks
    reduction: Sequence[int] = (0,)
    ownership: Sequence[int] = (0,)
    symmetry: Sequence[int] = (0,)
    projection: Projection | None = None
    checkpoint: str = ""
    checkpoint_seconds: float = 60.0
    rest: RestQuestion = NOTHING_AT_REST

    def text(self) -> str:
        """The input of the worker."""
        limits = (
            self.threads,
            self.states,
            max(1, round(self.seconds * 1000)) if self.seconds else 0,
            self.memory,
            int(self.stop_at_first),
            int(self.fingerprints),
            self.bits,
        )
        lines = [f"limits {_numbers(limits)}"]
        lines.append(f"checkpoint {self.checkpoint or '-'} {round(self.checkpoint_seconds * 1000)}")
        cells = [int(value) & WORD for value in self.start]
        lines.append(f"start {self.memory_cells} {len(cells)} {_numbers(cells)}")
        lines.append(f"components {len(self.components)}")
        lines += [f"{len(cells)} {_numbers(cells)}" for cells in self.components]
        lines.append(f"agents {len(self.agents)}")
        lines += [f"{base} {cpu} {int(works)}" for base, cpu, works in self.agents]
        marks = self.marks
        lines.append(f"marks {_numbers((marks.first, marks.must, marks.must_not))}")
        lines.append(f"reduction {_numbers(self.reduction)}")
        lines.append(f"ownership {_numbers(self.ownership)}")
        lines.append(f"symmetry {_numbers(self.symmetry)}")
        lines += _projection(self.projection)
        return "\n".join([*lines, self.rest.text(), "go", ""])


def _projection(wanted: Projection | None) -> list[str]:
    if wanted is None:
        return ["projection 0"]
    return [f"projection {len(wanted.cells)}", *map(_numbers, wanted.cells)]


def _numbers(values: Sequence[int]) -> str:
    return " ".join(map(str, values))


class WorkerDied(ModelError):
    """The worker ended without a result: there is no verdict."""


def ask(
    worker: Path,
    question: Question,
    progress: Callable[[int, int, int], None] | None,
    folder: Path | None = None,
) -> dict[str, Any]:
    """Run the worker, in ``folder`` if it keeps checkpoints; its result.

    Raises WorkerDied when it ends in any other way than with a result.
    """
    with subprocess.Popen(
        [str(worker.absolute())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        try:
            try:
                process.stdin.write(question.text())
                process.stdin.close()
            except BrokenPipeError:
                raise _died(process) from None
            for line in process.stdout:
                answer = _parsed(line)
                if answer is None:
                    raise _died(process)
                if "progress" not in answer:
                    if process.wait():
                        raise _died(process)
                    return answer
                if progress is not None:
                    progress(*answer["progress"])
            raise _died(process)
        finally:
            if folder is not None and process.poll() is None:
                _end(process)
            process.kill()


def _end(process: subprocess.Popen[str]) -> None:
    """Let a worker write its checkpoint."""
    process.terminate()
    # It is closed, and communicate() would flush it.
    process.stdin = None
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.communicate(timeout=LAST_CHECKPOINT_SECONDS)


def _parsed(line: str) -> dict[str, Any] | None:
    try:
        answer = json.loads(line)
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None


def _died(process: subprocess.Popen[str]) -> WorkerDied:
    assert process.stderr is not None
    status = process.wait()
    said = process.stderr.read().strip()
    how = f"signal {-status}" if status < 0 else f"status {status}"
    why = f": {said}" if said else ", perhaps for want of memory"
    return WorkerDied(
        f"the native worker has died ({how}){why}",
        advice="lower the bounds, set --memory-limit, or try --engine python",
    )
