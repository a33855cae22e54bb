"""Options that several commands share, and the messages for bad values."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import replace

from pmaplab.errors import UsageError
from pmaplab.machine.modes import MODES, SC, TSO, Mode, find_mode
from pmaplab.memory import DEFAULT_STORE_BUFFER
from pmaplab.native.choose import AUTO, ENGINES, PYTHON, Engine
from pmaplab.native.engine import cores
from pmaplab.search.bfs import Limits
from pmaplab.system import Bounds, default_bounds, scenario_names

SUMMARY_OF_STATUS = (
    "Exit status: 0 all hold, 1 some violated, 2 bad usage or input, "
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
    return MODES if name == "all" else (find_mode(name),)


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


def add_engine(parser: argparse.ArgumentParser) -> None:
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
    parser.add_argument(
        "--fingerprints",
        action="store_true",
        help="let a native search keep 64 bits of a state: the verdict states the odds",
    )


def engine(options: argparse.Namespace, searches: int) -> Engine:
    """The engine that they ask for, when there are so many searches."""
    if options.engine == PYTHON and options.fingerprints:
        raise UsageError("the interpreter keeps whole states", advice="leave out --fingerprints")
    shared = max(1, cores() // max(1, searches))
    return Engine(options.engine, options.threads or shared, options.fingerprints)


def add_memory(parser: argparse.ArgumentParser) -> None:
    """``--memory sc|tso`` and ``--store-buffer``."""
    parser.add_argument(
        "--memory", choices=(SC, TSO), default=SC, help=f"the memory model (default: {SC})"
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


def add_kernel(parser: argparse.ArgumentParser) -> argparse._MutuallyExclusiveGroup:
    """``--proposal`` or ``--kernel``, ``--scenario`` and ``--exemptions``; the
    group of the first two."""
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
        help=f"{', '.join(scenario_names())}, or a file of your own (default: boot)",
    )
    parser.add_argument(
        "--exemptions", metavar="FILE.toml", help="further places where properties do not count"
    )
    return kernel


_COUNTS = {
    "processes": "user processes",
    "kernel_processes": "kernel processes besides proc0",
    "operations": "operations per CPU",
    "pcids": "PCIDs per CPU besides the kernel's",
    "pages": "user pages of an address space, and as many of the kernel",
}


def add_bounds(parser: argparse.ArgumentParser) -> None:
    """The memory model, and how large the system is."""
    add_memory(parser)
    add_disputed(parser)
    add_sizes(parser, Bounds().cpus, "as many as --cpus")
    for name, what in _COUNTS.items():
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            type=whole(),
            metavar="N",
            help=f"{what} (default: {_default(name)})",
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
    asked = {name: getattr(options, name) for name in _COUNTS}
    result = replace(
        default_bounds(options.scenario),
        cpus=options.cpus,
        maxcpu=max(options.cpus, 1) if options.maxcpu is None else options.maxcpu,
        store_buffer=store_buffer(options),
        preemptions=getattr(options, "preemptions", 0),
        **disputed(options),
        **{name: value for name, value in asked.items() if value is not None},
    )
    result.check()
    return result
