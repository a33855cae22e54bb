"""What a search needs of a system besides its program: enough to ask a worker, and to
read an answer in which nothing fails."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass
from typing import Any

from pmaplab.ir.nodes import THREAD
from pmaplab.native.codegen import generate
from pmaplab.native.groups import components
from pmaplab.search.begun import BegunSearch
from pmaplab.search.interpreter import State
from pmaplab.search.ownership import Rules
from pmaplab.search.projection import rest_marks
from pmaplab.search.run import Move


@dataclass(frozen=True, slots=True)
class Prepared:
    """A system whose bring-up is over.

    ``model`` is the text in C; ``agents`` have each the first cell, the CPU, and
    whether it has work of its own; ``marks`` are the numbers of RestMarks; ``components``
    are those of every try, finer ones first.  ``ownership`` are the numbers of rules, and
    ``broken_facts`` what breaks them in the first state (search/ownership).  ``bring_up``,
    ``start`` and ``exemptions_used`` are what the bring-up came to.
    """

    properties: tuple[str, ...]
    must_reach: tuple[str, ...]
    regions: tuple[str, ...]
    labels: tuple[str, ...]
    model: str
    memory_cells: int
    agents: tuple[tuple[int, int, bool], ...]
    marks: tuple[int, ...]
    components: tuple[tuple[tuple[int, ...], ...], ...]
    ownership: tuple[int, ...]
    broken_facts: tuple[tuple[int, ...], ...]
    bring_up: tuple[Move, ...]
    start: State
    exemptions_used: tuple[str, ...]

    @classmethod
    def of(cls, search: BegunSearch) -> Prepared:
        """What is needed of a search that has begun.  Raises Unsupported."""
        interpreter, result, program = search.interpreter, search.result, search.system.program
        layout = interpreter.layout
        rules = Rules(program, layout)
        # There is no first state behind a bring-up that fails.
        broken = rules.broken_at_first(result.start) if result.start else []
        return cls(
            properties=result.properties,
            must_reach=program.must_reach,
            regions=program.regions,
            model=generate(program, layout, interpreter.code),
            labels=tuple(interpreter.code.labels),
            memory_cells=layout.regions + program.cpus,
            agents=tuple(
                (base, agent.cpu, agent.context == THREAD)
                for base, agent in zip(layout.agents, program.agents, strict=True)
            ),
            marks=astuple(rest_marks(layout)),
            components=tuple(
                tuple(tuple(cells) for cells in parts) for parts in components(layout)
            ),
            ownership=tuple(rules.numbers(layout.regions + program.cpus)),
            broken_facts=tuple(map(astuple, broken)),
            bring_up=result.bring_up,
            start=result.start,
            exemptions_used=tuple(sorted(result.exemptions_used)),
        )

    def to_json(self) -> dict[str, Any]:
        """JSON data."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Prepared:
        """The inverse of :meth:`to_json`; raises KeyError, TypeError or ValueError for
        anything else."""
        values = {name: _tuples(data[name]) for name in cls.__slots__}
        return cls(**values)


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
