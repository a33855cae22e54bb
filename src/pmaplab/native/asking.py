"""Asking a worker about one search: with components that are fine enough, and from
its checkpoint where there is one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pmaplab.native import checkpoint as checkpoints
from pmaplab.native.build import worker
from pmaplab.native.prepared import Prepared
from pmaplab.native.protocol import Question, ask
from pmaplab.native.symmetry import closed
from pmaplab.search.result import Progress
from pmaplab.search.symmetry import Symmetry


class NotNative(Exception):
    """What this search does is beyond the native engine."""


@dataclass(frozen=True)
class Asking:
    """How a worker is asked: for what is prepared, where it is and whether it
    is kept apart, whom it tells of its progress, and where its checkpoint goes."""

    prepared: Prepared
    executable: Path
    once: bool
    progress: Progress | None
    checkpoint: Path | None

    @classmethod
    def build(
        cls,
        prepared: Prepared,
        *,
        once: bool,
        progress: Progress | None,
        checkpoint: Path | None,
    ) -> Asking:
        """With a worker that is built, or was before.  Raises NoCompiler."""
        return cls(prepared, worker(prepared.model, once=once), once, progress, checkpoint)

    def without_checkpoint(self) -> Asking:
        """The same, but nothing is kept, nor gone on from."""
        return replace(self, checkpoint=None)

    def ask(self, question: Question, group: Symmetry | None = None) -> dict[str, Any]:
        """The answer; ``group`` are the permutations that the question is asked with.

        Raises NotNative, where there are no components with which the states fit into the
        worker's words, and WorkerDied.
        """
        for parts in self._components(group):
            asked = replace(question, components=parts)
            if self.checkpoint is not None:
                name = self._identity(asked)
                checkpoints.prepare(self.checkpoint, name)
                asked = replace(asked, checkpoint=name, checkpoint_seconds=checkpoints.SECONDS)
            answer = self._answer(asked)
            if answer["stopped"] != "wide":
                return answer
            if self.checkpoint is not None:
                raise NotNative("with other components a checkpoint is of no use")
        raise NotNative("the states are too many for its words")

    def resumes(self, question: Question, group: Symmetry | None = None) -> bool:
        """Whether there is a checkpoint of this search."""
        if self.checkpoint is None:
            return False
        asked = replace(question, components=next(self._components(group)))
        return checkpoints.belongs(self.checkpoint, self._identity(asked))

    def _answer(self, question: Question) -> dict[str, Any]:
        try:
            return ask(self.executable, question, self.progress, self.checkpoint)
        except FileNotFoundError:
            # Another process has just removed it to make room for its own.
            again = worker(self.prepared.model, once=self.once)
            return ask(again, question, self.progress, self.checkpoint)

    def _components(self, group: Symmetry | None) -> Iterator[Sequence[Sequence[int]]]:
        parts = iter(self.prepared.components)
        return parts if group is None else closed(group, parts)

    def _identity(self, question: Question) -> str:
        """What the checkpoint of a search is called; limits may differ."""
        fixed = replace(question, threads=0, states=0, seconds=0, memory=0)
        return checkpoints.identity(self.prepared.model, fixed.text())
