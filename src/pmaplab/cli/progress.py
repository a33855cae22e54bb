"""Progress on standard error, for people: nothing is shown in a pipe."""

from __future__ import annotations

import sys
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Column

# What the other columns take.
FIXED_WIDTH = 52


class ProgressBar:
    """How many of the jobs are done, and how far each running one is.

    Refreshed by its caller: a thread of its own would not survive a fork.
    """

    def __init__(self, total: int, what: str) -> None:
        stream = sys.stderr
        shown = stream is not None and stream.isatty()
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[detail]}", table_column=Column(no_wrap=True)),
            console=Console(file=stream, highlight=False) if shown else Console(quiet=True),
            transient=True,
            auto_refresh=False,
            disable=not shown,
        )
        self._task: TaskID = self._progress.add_task(what, total=total, detail="")
        self._running: dict[int, str] = {}

    def __enter__(self) -> ProgressBar:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def running(self, job: int, detail: str) -> None:
        """Show how far a job is."""
        self._running[job] = detail
        self._update()

    def done(self, job: int) -> None:
        """Count a job as done."""
        self._running.pop(job, None)
        self._progress.advance(self._task)
        self._update()

    def _update(self) -> None:
        detail = "  ".join(text for _, text in sorted(self._running.items()))
        detail = detail[: max(0, self._progress.console.width - FIXED_WIDTH)]
        self._progress.update(self._task, detail=detail)
        self._progress.refresh()
