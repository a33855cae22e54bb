"""Murphi for Rumur: one procedure for all steps, and a rule for all agents.

Where an agent stands says which step is its next one.  A step that turns out to be impossible
is given up with ``assume``, which takes back what it has done.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pmaplab.exports.header import (
    PROGRESS_LEFT_OUT,
    QUIET_LEFT_OUT,
    About,
    Header,
)
from pmaplab.exports.murphi_code import HELPERS, LEAST, MOST, Murphi, held, view
from pmaplab.exports.names import one_line
from pmaplab.exports.nodes import below, variables
from pmaplab.exports.steps import Again, Invoke, Judge, Routine, StepSystem


def murphi(system: StepSystem, about: About) -> str:
    """The text of a Murphi file; raises ModelError for what Rumur cannot hold."""
    return "\n".join(_Murphi(system, about).lines()) + "\n"


class _Murphi:
    def __init__(self, system: StepSystem, about: About) -> None:
        self.system = system
        self.about = about
        self.code = Murphi(system)
        self.sparse = sorted({p.choices for p in system.points if p.starts})
        everything = [point.code for point in system.points]
        everything += [part for r in system.routines.values() for part in r.parts]
        self.called = {n.routine for n in below(tuple(everything)) if isinstance(n, Invoke)}
        self.called |= {when for judge in system.judges for _, when in judge.exempt if when}

    def lines(self) -> Iterator[str]:
        for line in self._header().lines(self.system):
            yield f"-- {one_line(line)}".rstrip()
        yield ""
        yield from self._state()
        yield ""
        yield from HELPERS.splitlines()
        yield from self.code.accesses()
        for routine in self.system.routines.values():
            yield from self._routine(routine)
        for at, judge in enumerate(self.system.judges):
            yield from self._judge(at, judge)
        yield from self._run()
        yield from self._start()
        yield from self._rules()
        yield from self._invariants()

    def _header(self) -> Header:
        return Header(
            self.about,
            verify=(
                "rumur --deadlock-detection off --symmetry-reduction off --threads 1 "
                "--output model.c FILE",
                "gcc -std=c11 -O3 -march=native -w -o model model.c -lpthread -mcx16",
                "./model",
                "leave out --threads 1 for all cores; --max-errors N goes on after errors",
            ),
            notes=(
                "The number of states is that of pmaplab's own search, that of rules fired the "
                "number of its transitions, as long as no invariant fails: Rumur does not go on "
                "from a state in which one does.",
                "A cover that is not hit counts as an error: it is a point that must be reached, "
                "or the verdict is vacuous."
                if self.system.must_reach
                else "",
                "An error that begins with `model error', and one of Rumur's own about a value "
                "out of range or an overflow in 64 bits, is no verdict.",
            ),
            left_out=(PROGRESS_LEFT_OUT, QUIET_LEFT_OUT, *self._optional_labels()),
        )

    def _optional_labels(self) -> Iterator[str]:
        labels = [label for label in self.system.labels if label not in self.system.must_reach]
        if labels:
            yield f"whether these are reached, which nothing asks for: {', '.join(labels)}"

    # --- the state ---------------------------------------------------------

    def _state(self) -> Iterator[str]:
        system, code = self.system, self.code
        yield "type"
        yield f"  wide: {LEAST}..{MOST};"
        yield f"  agent_t: 0..{len(system.agents) - 1};"
        yield f"  cpu_t: 0..{system.cpus - 1};"
        if system.labels:
            yield f"  passed_t: array [0..{len(system.labels) - 1}] of 0..1;"
        yield "  -- Where an agent stands, and its stack."
        yield "  part_t: record"
        for at, slot in enumerate(system.slots):
            lo, hi = held(slot)
            yield f"    s{at}: {lo}..{hi}; -- {one_line(slot.name)}"
        yield "  end;"
        yield "var"
        yield "  -- What every agent can see.  A pointer is the number of a variable, 0 is NULL."
        for at, variable in system.memory.items():
            lo, hi = held(variable)
            name = code.cells[variable.name]
            yield f"  {name}: {lo}..{hi}; -- {at}: {one_line(variable.name)}"
        yield "  agents: array [agent_t] of part_t;"

    def _start(self) -> Iterator[str]:
        system, code = self.system, self.code
        yield "startstate begin"
        for at, variable in system.memory.items():
            value = view(system.initial[at], variable.kind)
            yield f"  {code.cells[variable.name]} := {value};"
        first, size = max(system.memory) + 1, len(system.slots)
        for agent in range(len(system.agents)):
            part = system.initial[first + agent * size : first + (agent + 1) * size]
            for slot, (value, variable) in enumerate(zip(part, system.slots, strict=True)):
                yield f"  agents[{agent}].s{slot} := {view(value, variable.kind)};"
        yield "end;"
        yield ""

    # --- functions ---------------------------------------------------------

    def _variables(self, names: Iterable[str]) -> Iterator[str]:
        for name in names:
            variable = self.system.locals[name]
            lo, hi = held(variable)
            yield f"  {self.code.locals[name]}: {lo}..{hi}; -- {one_line(name)}"

    def _routine(self, routine: Routine) -> Iterator[str]:
        if routine.name not in self.called:
            # An invariant's own function, which has a form of its own.
            return
        code = self.code
        parameters = ["cpu: cpu_t"]
        if routine.name in code.markers:
            parameters.append("var passed: passed_t")
        if routine.name in code.pickers:
            parameters += ["var choice: wide", "var product: wide", "limit: wide"]
        parameters += [f"p_{code.locals[name]}: wide" for name in routine.parameters]
        yield f"-- {one_line(f'{routine.loc.file}:{routine.loc.line}: {routine.name}')}"
        name, head = code.routines[routine.name], "; ".join(parameters)
        if routine.result is None:
            yield f"procedure {name}({head});"
        else:
            held(routine.result)
            yield f"function {name}({head}): wide;"
        yield from self._body(routine)

    def _body(self, routine: Routine) -> Iterator[str]:
        code = self.code
        names = dict.fromkeys(
            [*routine.parameters, *(n for part in routine.parts for n in variables(part))]
        )
        loops = any(isinstance(node, Again) for node in below(routine.parts))
        yield "var"
        yield from self._variables(names)
        if loops:
            yield f"  part: 0..{len(routine.parts) - 1};"
        yield "  ignored: wide;"
        yield "begin"
        for name in routine.parameters:
            yield f"  {code.locals[name]} := p_{code.locals[name]};"
        if not loops:
            yield from code.code(routine.parts[0], 1, routine.loc)
        else:
            yield "  part := 0;"
            yield "  while true do"
            yield "    switch part"
            for at, part in enumerate(routine.parts):
                yield f"    case {at}:"
                yield from code.code(part, 3, routine.loc)
            yield "    endswitch;"
            yield "  endwhile;"
        yield "end;"

    def _judge(self, at: int, judge: Judge) -> Iterator[str]:
        system, code = self.system, self.code
        routine = system.routines[judge.routine]
        (parameter,) = routine.parameters
        passed = "; var passed: passed_t" if system.labels else ""
        given = ", passed" if system.labels else ""
        yield f"-- {one_line(f'{routine.loc.file}:{routine.loc.line}: {judge.property}')}"
        head = f"cpu: cpu_t; p_{code.locals[parameter]}: wide{passed}"
        yield f"function holds{at}({head}): boolean;"
        code.judging = True
        body = list(self._body(routine))
        code.judging = False
        yield from body
        yield f"function judge{at}(cpu: cpu_t): boolean;"
        yield "var"
        yield "  found: boolean;"
        yield from self._passed()
        yield f"  found := holds{at}(cpu, cpu{given});"
        yield from self._covers()
        yield "  return found;"
        yield "end;"
        yield f"function exempt{at}(cpu: cpu_t): boolean;"
        yield "var"
        yield "  mask: wide;"
        yield from self._passed()
        yield "  switch cpu"
        for cpu in range(system.cpus):
            yield f"  case {cpu}: mask := {code.cell(system.first_region + cpu)};"
        yield "  endswitch;"
        for bit, when in judge.exempt:
            yield f"  if ((mask + 0) & {bit}) != 0 then"
            if when is None:
                yield "    return true;"
            else:
                more = ", passed" if when in code.markers else ""
                yield f"    if {code.routines[when]}(cpu{more}, cpu) != 0 then return true endif;"
            yield "  endif;"
        yield "  return false;"
        yield "end;"

    def _passed(self) -> Iterator[str]:
        """Where labels are noted, none of them passed yet; then the code begins."""
        if self.system.labels:
            yield "  passed: passed_t;"
        yield "begin"
        for at in range(len(self.system.labels)):
            yield f"  passed[{at}] := 0;"

    def _covers(self) -> Iterator[str]:
        for label in self.system.must_reach:
            yield f'  cover passed[{self.code.labels[label]}] = 1 "{one_line(label) or "?"}";'

    def _run(self) -> Iterator[str]:
        system, code = self.system, self.code
        yield "-- Take the step of an agent that begins at a point."
        yield "procedure run(a: agent_t; given: wide; limit: wide; point: wide);"
        names = dict.fromkeys(n for p in system.points for n in variables(p.code))
        yield "var"
        yield from self._variables(names)
        yield f"  n: 0..{max(point.number for point in system.points)};"
        yield "  cpu: cpu_t;"
        yield "  choice: wide;"
        yield "  product: wide;"
        yield "  ignored: wide;"
        yield "  turns: 0..200000;"
        yield from self._passed()
        yield "  n := point; choice := given; product := 1; turns := 0;"
        yield "  switch a"
        for number, agent in enumerate(system.agents):
            yield f"  case {number}: cpu := {agent.cpu};"
        yield "  endswitch;"
        yield "  while n > 0 do"
        yield "    turns := turns + 1;"
        yield "    switch n"
        for point in system.points:
            place = f"{point.function}, {point.loc.file}:{point.loc.line}"
            yield f"    case {point.number}: -- {one_line(place)}"
            yield from code.code(point.code, 3, point.loc)
        yield "    endswitch;"
        yield "  endwhile;"
        yield "  -- A choice that nothing asked for is one too many."
        yield '  assume choice = 0 "choices";'
        yield from self._covers()
        yield "end;"
        yield ""

    # --- rules -------------------------------------------------------------

    def _rules(self) -> Iterator[str]:
        """One rule for all points at which a step can go on in equally many
        ways: Rumur copies the whole of ``run`` for each rule."""
        several = [ways for ways in self.sparse if ways > 1]
        points = {
            ways: [p.number for p in self.system.points if p.starts and p.choices == ways]
            for ways in several
        }
        others = " & ".join(
            ["agents[a].s0 != 1"]
            + [f"agents[a].s0 != {number}" for ways in several for number in points[ways]]
        )
        yield "ruleset a: agent_t do"
        yield '  rule "a step"'
        yield f"    {others} ==>"
        yield "    begin run(a, 0, 1, agents[a].s0); end;"
        yield "end;"
        for ways in several:
            here = " | ".join(f"agents[a].s0 = {number}" for number in points[ways])
            yield f"ruleset a: agent_t; choice: 0..{ways - 1} do"
            yield f'  rule "a step with {ways} choices"'
            yield f"    {here} ==>"
            yield f"    begin run(a, choice, {ways}, agents[a].s0); end;"
            yield "end;"
        yield ""

    def _invariants(self) -> Iterator[str]:
        for at, judge in enumerate(self.system.judges):
            for cpu in range(self.system.cpus):
                name = one_line(f"{judge.property or judge.routine}, CPU {cpu}")
                yield f'invariant "{name}" exempt{at}({cpu}) | judge{at}({cpu});'
