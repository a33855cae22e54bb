"""Options that several commands share, and the messages for bad values."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from pmaplab.errors import UsageError
from pmaplab.machine.modes import MODES, SC, TSO, Mode, find_mode
from pmaplab.memory import DEFAULT_STORE_BUFFER
from pmaplab.native.choose import AUTO, ENGINES, PYTHON, Engine
from pmaplab.native.engine import cores
from pmaplab.report.accepted import Acceptance, read_accepted
from pmaplab.search.reductions import AUTO as AUTO_REDUCTIONS
from pmaplab.search.reductions import REDUCTIONS, SEARCH_REDUCTIONS, WORTH, parse_reductions
from pmaplab.search.result import Limits
from pmaplab.system import Bounds, default_bounds, scenario_names
from pmaplab.tree import SCENARIOS

# Each mode, scenario or memory model.
ALL = "all"

SUMMARY_OF_STATUS = (
    "Exit status: 0 all hold, but for what is accepted, 1 some violated, 2 bad usage or input, "
    "3 none violated but some incomplete or vacuous."
)


def whole(least: int = 0) -> Callable[[str], int]:
    """An option's type: a whole number from ``least`` on."""

    def parse(text: str) -> int:
        digits = text.strip().removeprefix("-")
        # More digits than any bound has, and than int() likes.
        if not (digits.isascii() and digits.isdigit() and len(digits) <= 18):
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"it must be at least {least}, not {value}")
        return value

    return parse


def seconds(text: str) -> float:
    """An option's type: a time in seconds, more than 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    if value <= 0:
        raise argparse.ArgumentTypeError(f"it must be more than 0 seconds, not {text}")
    return value


def add_format(parser: argparse.ArgumentParser) -> None:
    """``--format text|json``."""
    parser.add_argument(
        "--format", choices=("text", "json"), default="text", help="how to show the result"
    )


def add_ray(parser: argparse.ArgumentParser) -> None:
    """``--ray ADDRESS``, for commands that have jobs for all cores."""
    parser.add_argument(
        "--ray",
        metavar="ADDRESS",
        help="do the jobs on a Ray cluster: HOST:PORT, ray://HOST:PORT, auto, or local for "
        "one on this machine (needs the extra `ray`)",
    )


def add_mode(parser: argparse.ArgumentParser, default: str, *, several: bool) -> None:
    """``--mode``; ``several`` also allows ``all``."""
    names = ", ".join(mode.name for mode in MODES)
    parser.add_argument(
        "--mode",
        metavar="MODE",
        default=default,
        help=f"CPU features: {names}{', or all' if several else ''} (default: {default})",
    )


def modes(name: str) -> tuple[Mode, ...]:
    """The modes that ``--mode`` asks for; raises UsageError."""
    return MODES if name == ALL else (find_mode(name),)


def each_system(options: argparse.Namespace) -> list[argparse.Namespace]:
    """``options`` for one scenario and one memory model each, where ``all`` asks for
    more."""
    scenarios = SCENARIOS if options.scenario == ALL else (options.scenario,)
    memories = (SC, TSO) if options.memory == ALL else (options.memory,)
    result = []
    for scenario in scenarios:
        for memory in memories:
            own = {**vars(options), "scenario": scenario, "memory": memory}
            if options.memory == ALL and memory == SC:
                # They are for the other one.
                own |= {"store_buffer": None, "disputed": []}
            result.append(argparse.Namespace(**own))
    return result


def add_proposal(parser: argparse._ActionsContainer) -> None:
    """``--proposal ID``."""
    parser.add_argument("--proposal", metavar="ID", help="a proposal of a review, as `before`")


def add_sizes(parser: argparse.ArgumentParser, cpus: int, maxcpu: str) -> None:
    """``--cpus`` and ``--maxcpu``; ``maxcpu`` describes the default."""
    # 0 is left to the bounds, which say more than that it is too small.
    parser.add_argument(
        "--cpus", type=whole(), default=cpus, metavar="N", help=f"CPUs (default: {cpus})"
    )
    parser.add_argument(
        "--maxcpu",
        type=whole(),
        metavar="N",
        help=f"MAXCPU, the size of a set of CPUs (default: {maxcpu})",
    )


_BYTES = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def size(text: str) -> int:
    """An option's type: a number of bytes, with K, M or G for more of them."""
    unit = _BYTES.get(text[-1:].upper(), 1)
    value = whole(1)(text if unit == 1 else text[:-1])
    return value * unit


def add_limits(parser: argparse.ArgumentParser) -> None:
    """``--max-states``, ``--time-limit`` and ``--memory-limit``."""
    parser.add_argument(
        "--max-states", type=whole(1), metavar="N", help="stop after this many states"
    )
    parser.add_argument(
        "--time-limit", type=seconds, metavar="SECONDS", help="stop each search after this time"
    )
    parser.add_argument(
        "--memory-limit",
        type=size,
        metavar="SIZE",
        help="stop each native search beyond this memory: bytes, or with K, M or G",
    )


def limits(options: argparse.Namespace) -> Limits:
    """The limits that they ask for."""
    return Limits(options.max_states, options.time_limit, options.memory_limit)


def add_plain_engine(parser: argparse.ArgumentParser) -> None:
    """``--engine`` and ``--threads``."""
    parser.add_argument(
        "--engine",
        choices=ENGINES,
        default=AUTO,
        help="what searches: generated C, or the interpreter (default: C with a C compiler)",
    )
    parser.add_argument(
        "--threads",
        type=whole(1),
        metavar="N",
        help="threads of a native search (default: all cores, shared between the searches)",
    )


def add_engine(parser: argparse.ArgumentParser) -> None:
    """The same, ``--fingerprints`` and ``--reductions``."""
    add_plain_engine(parser)
    parser.add_argument(
        "--fingerprints",
        action="store_true",
        help="let a native search keep 64 bits of a state: the verdict states the odds",
    )
    add_reductions(parser)


def add_reductions(parser: argparse.ArgumentParser) -> None:
    """``--reductions``."""
    parser.add_argument(
        "--reductions",
        default=AUTO_REDUCTIONS,
        metavar="all|none|NAME,...|no-NAME,...",
        help=f"which of {', '.join(REDUCTIONS)} make searches smaller (default: all, but "
        f"{' and '.join(SEARCH_REDUCTIONS)} in searches of more than {WORTH:,} states only)",
    )


def plain_engine(options: argparse.Namespace, searches: int) -> Engine:
    """The engine that they ask for, when there are so many searches."""
    shared = max(1, cores() // max(1, searches))
    return Engine(options.engine, options.threads or shared)


def engine(options: argparse.Namespace, searches: int) -> Engine:
    """The same, with what add_engine() offers besides."""
    if options.engine == PYTHON and options.fingerprints:
        raise UsageError("the interpreter keeps whole states", advice="leave out --fingerprints")
    return replace(
        plain_engine(options, searches),
        fingerprints=options.fingerprints,
        reductions=parse_reductions(options.reductions).search,
    )


def add_memory(parser: argparse.ArgumentParser, *, several: bool = False) -> None:
    """``--memory sc|tso`` and ``--store-buffer``; ``several`` also allows ``all``."""
    parser.add_argument(
        "--memory",
        choices=(SC, TSO, ALL) if several else (SC, TSO),
        default=SC,
        help=f"the memory model{', or all of them' if several else ''} (default: {SC})",
    )
    # 0 is left to the bounds, which name the largest as well.
    parser.add_argument(
        "--store-buffer",
        type=whole(),
        metavar="N",
        help=f"entries of each CPU's store buffer under {TSO} (default: {DEFAULT_STORE_BUFFER})",
    )


DISPUTED = {"invpcid-drains": "invpcid_drains", "walker-forwards": "walker_forwards"}


def add_disputed(parser: argparse.ArgumentParser) -> None:
    """``--disputed``."""
    parser.add_argument(
        "--disputed",
        action="append",
        choices=tuple(DISPUTED),
        default=[],
        help=f"under {TSO}, where sources disagree: INVPCID drains the store buffer; page walks "
        "see what waits in the CPU's own (default: they do not, which allows more)",
    )


def disputed(options: argparse.Namespace) -> dict[str, int]:
    """The bounds that they set to 1; raises UsageError under sc."""
    if options.disputed and options.memory == SC:
        raise UsageError(
            f"--disputed {options.disputed[0]} says nothing under --memory {SC}",
            advice=f"add --memory {TSO}",
        )
    return {DISPUTED[name]: 1 for name in options.disputed}


def store_buffer(options: argparse.Namespace) -> int | None:
    """The bound that they ask for, None under sc; raises UsageError."""
    bound: int | None = options.store_buffer
    if options.memory == SC:
        if bound is not None:
            raise UsageError(
                f"there are no store buffers under --memory {SC}", advice=f"add --memory {TSO}"
            )
        return None
    return DEFAULT_STORE_BUFFER if bound is None else bound


def add_kernel(
    parser: argparse.ArgumentParser, *, several: bool = False
) -> argparse._MutuallyExclusiveGroup:
    """``--proposal`` or ``--kernel``, ``--scenario`` and ``--exemptions``; the
    group of the first two.  ``several`` also allows the scenario ``all``."""
    every = f"; all stands for {', '.join(SCENARIOS)}" if several else ""
    kernel = parser.add_mutually_exclusive_group()
    add_proposal(kernel)
    kernel.add_argument(
        "--kernel",
        metavar="FILE.py",
        help="kernel Python of your own: what it declares replaces the reference's",
    )
    parser.add_argument(
        "--scenario",
        default="boot",
        metavar="NAME|FILE.py",
        help=f"{', '.join(scenario_names())}, or a file of your own{every} (default: boot)",
    )
    parser.add_argument(
        "--exemptions", metavar="FILE.toml", help="further places where properties do not count"
    )
    return kernel


# What stands for no bound, before there are Bounds.
UNBOUNDED = -1


def operations(text: str) -> int:
    """An option's type: a number of operations, or ``unbounded``."""
    return UNBOUNDED if text == "unbounded" else whole()(text)


def add_accepted(parser: argparse._ActionsContainer) -> None:
    """``--accepted FILE``."""
    parser.add_argument(
        "--accepted",
        metavar="FILE.toml",
        help="findings that you know and accept, each with its reason",
    )


def accepted(options: argparse.Namespace) -> tuple[Acceptance, ...]:
    """The findings that the options accept; raises InputError."""
    if options.accepted is None:
        return ()
    return read_accepted(options.accepted, scenario_names())


_COUNTS = {
    "processes": "user processes",
    "kernel_processes": "kernel processes besides proc0",
    "operations": "operations per CPU, or `unbounded`",
    "pcids": "PCIDs per CPU besides the kernel's",
    "pages": "user pages of an address space, and as many of the kernel",
}


def add_bounds(parser: argparse.ArgumentParser, *, several: bool = False) -> None:
    """The memory model, or with ``several`` all of them, and how large the system is."""
    add_memory(parser, several=several)
    add_disputed(parser)
    add_sizes(parser, Bounds().cpus, "as many as --cpus")
    add_counts(parser, tuple(_COUNTS))


def add_counts(parser: argparse.ArgumentParser, names: Sequence[str]) -> None:
    """An option for each of these bounds."""
    for name in names:
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            type=operations if name == "operations" else whole(),
            metavar="N",
            help=f"{_COUNTS[name]} (default: {_default(name)})",
        )


def add_preemptions(parser: argparse.ArgumentParser) -> None:
    """``--preemptions``."""
    parser.add_argument(
        "--preemptions",
        type=whole(),
        default=0,
        metavar="N",
        help="how often threads are preempted within operations, in activate and shootdown "
        "(default: 0)",
    )


def _default(name: str) -> str:
    """What a bound is where no option says so, with the scenarios that differ."""
    usual = getattr(Bounds(), name)
    others = {s: getattr(default_bounds(s), name) for s in scenario_names()}
    differ = [f"{value} in {s}" for s, value in others.items() if value != usual]
    return ", ".join([str(usual), *differ])


def bounds(options: argparse.Namespace) -> Bounds:
    """The bounds that the options ask for; raises UsageError."""
    usual = default_bounds(options.scenario)
    buffers = replace(usual, store_buffer=store_buffer(options), **disputed(options))
    return sized(options, buffers)


def sized(options: argparse.Namespace, usual: Bounds) -> Bounds:
    """``usual`` bounds but for what the options ask for; raises UsageError."""
    asked = {name: getattr(options, name, None) for name in _COUNTS}
    if asked["operations"] == UNBOUNDED:
        usual, asked["operations"] = replace(usual, operations=None), None
    result = replace(
        usual,
        cpus=options.cpus,
        maxcpu=max(options.cpus, 1) if options.maxcpu is None else options.maxcpu,
        preemptions=getattr(options, "preemptions", 0),
        **{name: value for name, value in asked.items() if value is not None},
    )
    result.check()
    return result
