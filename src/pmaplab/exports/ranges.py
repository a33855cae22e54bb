"""Which values every cell and every local of a program can hold.

An abstract interpretation: one set of values for each cell whatever the state,
and one for each local before each block.  A pointer is the number of a cell
here as everywhere, so the set of an address says which cells an access can
touch.  It follows every way through the program that the interpreter can take,
and more: what it finds is never too small, as long as every store is to a cell
of the kind that its address says and of a value that the cell's type has.  The
exports check that where it is not certain, and stop where it is not so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pmaplab.exports import arithmetic
from pmaplab.exports.domain import MOST_ITEMS, NOTHING, TRUTH, Values, of
from pmaplab.ir.layout import Layout
from pmaplab.ir.nodes import (
    COMPARISONS,
    Assert,
    Assign,
    Assume,
    Binary,
    Block,
    Branch,
    Call,
    Cast,
    Choose,
    CmpXchg,
    Const,
    Expr,
    FieldAddress,
    Function,
    GlobalAddress,
    IndexAddress,
    InRegion,
    Instruction,
    Jump,
    Load,
    Local,
    Return,
    Rmw,
    Select,
    Store,
    ThisCpu,
    Unary,
)
from pmaplab.ir.types import U64, Array, Int, Pointer, Scalar, same_kind

Env = dict[str, Values]
_FLIP = {"lt": "gt", "gt": "lt", "le": "ge", "ge": "le", "eq": "eq", "ne": "ne"}
_NOT = {"lt": "ge", "ge": "lt", "gt": "le", "le": "gt", "eq": "ne", "ne": "eq"}


class Ranges:
    """The values of one program that starts with the memory ``memory``.

    ``cells`` has a set by cell, ``locals`` by function and local, and
    ``addresses`` by the expression's identity the cells that an address may
    stand for.  ``wraps`` holds the identities of the unsigned operations whose
    result may not fit into their type, ``picked`` by the same what is chosen.
    """

    def __init__(self, layout: Layout, memory: Sequence[int]) -> None:
        self.layout = layout
        self.program = layout.program
        self.cells = [of((int(value),)) for value in memory[: layout.regions]]
        self.kinds: dict[int, Scalar] = {cell.index: cell.type for cell in layout.cells}
        self.locals: dict[tuple[str, str], Values] = {}
        self.results: dict[str, Values] = {}
        self.addresses: dict[int, Values] = {}
        self.wraps: set[int] = set()
        self.picked: dict[int, Values] = {}
        self._before: dict[tuple[str, str], Env] = {}
        self._cpus = of(range(self.program.cpus))
        self._blocks = {
            (f.name, block.label): block
            for f in self.program.functions.values()
            for block in f.blocks
        }
        # The blocks to look at again: when what they begin with, a cell that they
        # read, or the result of a function that they call has changed.
        self._pending: dict[tuple[str, str], None] = {}
        self._readers: dict[int, set[tuple[str, str]]] = {}
        self._callers: dict[str, set[tuple[str, str]]] = {}
        self._at = ("", "")
        self._run()

    def candidates(self, address: Expr) -> tuple[int, ...]:
        """The cells that ``address`` may stand for, in order."""
        return self._among(address, self.addresses.get(id(address), NOTHING))

    def _among(self, address: Expr, values: Values) -> tuple[int, ...]:
        kind = _target(address)
        cells = range(max(values.lo, 1), min(values.hi + 1, self.layout.regions))
        return tuple(cell for cell in cells if cell in values and _alike(self.kinds[cell], kind))

    def limits(self, cell: int) -> tuple[int, int]:
        """The least and the largest value that the type of a cell has."""
        kind = self.kinds[cell]
        if isinstance(kind, Pointer):
            return 0, self.layout.regions - 1
        return kind.minimum, kind.maximum

    # --- the fixpoint ------------------------------------------------------

    def _run(self) -> None:
        program = self.program
        for agent in program.agents:
            self._enter(program.functions[agent.entry], [])
        for name in program.observers:
            self._enter(program.functions[name], [self._cpus])
        while self._pending:
            self._at = next(iter(self._pending))
            del self._pending[self._at]
            self._block(program.functions[self._at[0]], self._blocks[self._at])

    def _again(self, blocks: Iterable[tuple[str, str]]) -> None:
        self._pending.update(dict.fromkeys(blocks))

    def _enter(self, function: Function, arguments: Sequence[Values]) -> None:
        env = dict(zip(function.parameters, arguments, strict=True))
        for name, values in env.items():
            env[name] = self._receive(function, name, values)
        if all(env.values()):
            self._flow(function, function.blocks[0].label, env)

    def _flow(self, function: Function, label: str, env: Env) -> None:
        key = (function.name, label)
        known = self._before.get(key)
        if known is None:
            self._before[key] = dict(env)
            self._again([key])
            return
        for name in list(known):
            # What is not assigned on every way here is not read any more.
            if name not in env:
                del known[name]
                self._again([key])
            else:
                joined = known[name].join(env[name])
                if joined != known[name]:
                    known[name] = joined
                    self._again([key])

    def _receive(self, function: Function, name: str, values: Values) -> Values:
        """``values`` as the local takes them: those that fit."""
        kind = function.variables[name]
        if isinstance(kind, Int) and kind.ranged:
            values = values.clip(kind.minimum, kind.maximum)
        key = (function.name, name)
        self.locals[key] = self.locals.get(key, NOTHING).join(values)
        return values

    def _block(self, function: Function, block: Block) -> None:
        env = dict(self._before[function.name, block.label])
        for instruction in block.instructions:
            if not self._instruction(function, instruction, env):
                return
        match block.terminator:
            case Jump(block=target):
                self._flow(function, target, env)
            case Branch(condition=condition, then=then, otherwise=otherwise):
                self.value(condition, env)
                for truth, target in ((True, then), (False, otherwise)):
                    refined = self._refined(env, condition, truth)
                    if refined is not None:
                        self._flow(function, target, refined)
            case Return(value=value):
                values = of((0,)) if value is None else self.value(value, env)
                if isinstance(function.result, Int) and function.result.ranged:
                    values = values.clip(function.result.minimum, function.result.maximum)
                joined = self.results.get(function.name, NOTHING).join(values)
                if joined != self.results.get(function.name):
                    self.results[function.name] = joined
                    self._again(self._callers.get(function.name, ()))

    def _instruction(self, function: Function, item: Instruction, env: Env) -> bool:
        """Whether anything can come after ``item``."""
        target: str | None = None
        values = NOTHING
        match item:
            case Assign(target=target, value=value):
                values = self.value(value, env)
            case Load(target=target, address=address):
                values = self._load(address, env)
            case Store(address=address, value=value):
                self._store(address, self.value(value, env), env)
            case Rmw(target=target, op=op, address=address, operand=operand):
                values, given = self._load(address, env), self.value(operand, env)
                kind = _target(address)
                new = given
                if op != "xchg":
                    assert isinstance(kind, Int)
                    new = arithmetic.binary(op, values, given, kind.whole)
                    if _may_wrap(op, values, given, kind.whole):
                        self.wraps.add(id(item))
                self._store(address, new, env)
            case CmpXchg(target=target, address=address, expected=expected, desired=desired):
                values = self._load(address, env)
                self.value(expected, env)
                self._store(address, self.value(desired, env), env)
            case Assume(condition=condition) | Assert(condition=condition):
                self.value(condition, env)
                refined = self._refined(env, condition, True)
                if refined is None:
                    return False
                env.update(refined)
            case Choose(target=target, lo=lo, hi=hi):
                least, most = self.value(lo, env), self.value(hi, env)
                values = Values(least.lo, most.hi) if least and most else NOTHING
                if least.lo > most.hi:
                    values = NOTHING
                elif values.hi - values.lo < MOST_ITEMS:
                    values = of(range(values.lo, values.hi + 1))
                self.picked[id(item)] = self.picked.get(id(item), NOTHING).join(values)
            case Call(target=target, function=callee, arguments=arguments):
                called = self.program.functions[callee]
                self._callers.setdefault(callee, set()).add(self._at)
                self._enter(called, [self.value(argument, env) for argument in arguments])
                values = self.results.get(callee, NOTHING)
                if not values:
                    return False
        if target is not None:
            env[target] = self._receive(function, target, values)
            return bool(env[target])
        return True

    # --- memory ------------------------------------------------------------

    def _touched(self, address: Expr, env: Env) -> tuple[int, ...]:
        values = self.value(address, env).without(0)
        self.addresses[id(address)] = self.addresses.get(id(address), NOTHING).join(values)
        return self._among(address, values)

    def _load(self, address: Expr, env: Env) -> Values:
        result = NOTHING
        for cell in self._touched(address, env):
            self._readers.setdefault(cell, set()).add(self._at)
            result = result.join(self.cells[cell])
        return result

    def _store(self, address: Expr, values: Values, env: Env) -> None:
        kind = _target(address)
        if isinstance(kind, Int) and kind.ranged:
            values = values.clip(kind.minimum, kind.maximum)
        for cell in self._touched(address, env):
            joined = self.cells[cell].join(values.clip(*self.limits(cell)))
            if joined != self.cells[cell]:
                self.cells[cell] = joined
                self._again(self._readers.get(cell, ()))

    # --- expressions -------------------------------------------------------

    def value(self, expr: Expr, env: Env) -> Values:
        """What ``expr`` can be."""
        match expr:
            case Const(value=value):
                return of((value,))
            case Local(name=name):
                return env.get(name, NOTHING)
            case ThisCpu():
                return self._cpus
            case InRegion(cpu=cpu):
                self.value(cpu, env)
                return TRUTH
            case GlobalAddress(name=name):
                return of((self.layout.bases[name],))
            case FieldAddress(base=base, struct=struct, field=field):
                offset = self.layout.offsets[struct, field]
                return _sum(self._base(base, env), of((offset,)))
            case IndexAddress(base=base, index=index, length=length):
                kind = base.type
                assert isinstance(kind, Pointer) and isinstance(kind.target, Array)
                stride = self.layout.size_of(kind.target.element)
                steps = self.value(index, env).clip(0, length - 1)
                inside = range(steps.lo, steps.hi + 1) if steps.items is None else steps.items
                return _sum(self._base(base, env), of(step * stride for step in inside))
            case Unary(op=op, operand=operand, type=kind):
                values, source = self.value(operand, env), operand.type
                if op == "neg" and values.hi > 0:
                    self.wraps.add(id(expr))
                source = source if isinstance(source, Int) else U64
                return arithmetic.unary(op, values, source.whole, kind.whole)
            case Binary():
                return self._binary(expr, env)
            case Cast(operand=operand, type=kind):
                values = self.value(operand, env)
                if isinstance(kind, Int):
                    return arithmetic.cast(values, kind)
                # The exports let a pointer be made of nothing else.
                return values.clip(0, self.layout.regions - 1)
            case Select(condition=condition, then=then, otherwise=otherwise):
                truth = self.value(condition, env)
                result = NOTHING
                for wanted, way in ((True, then), (False, otherwise)):
                    refined = self._refined(env, condition, wanted) if truth else None
                    if refined is not None:
                        result = result.join(self.value(way, refined))
                return result

    def _base(self, base: Expr, env: Env) -> Values:
        return self.value(base, env).without(0)

    def _binary(self, expr: Binary, env: Env) -> Values:
        op, left = expr.op, self.value(expr.left, env)
        if op in ("land", "lor"):
            # The right side counts only where the left one leaves it open.
            refined = self._refined(env, expr.left, op == "land")
            right = NOTHING if refined is None else self.value(expr.right, refined)
            short = 0 if op == "land" else 1
            ends = of((short,)) if short in left or (short and left.hi > 1) else NOTHING
            return ends.join(right)
        right = self.value(expr.right, env)
        if op in COMPARISONS:
            return arithmetic.compare(op, left, right)
        kind = expr.type.whole
        if _may_wrap(op, left, right, kind):
            self.wraps.add(id(expr))
        return arithmetic.binary(op, left, right, kind)

    # --- conditions --------------------------------------------------------

    def _refined(self, env: Env, condition: Expr, truth: bool) -> Env | None:
        """``env`` where ``condition`` is known; None where it cannot be so."""
        values = self.value(condition, env)
        if not (values.without(0) if truth else values.clip(0, 0)):
            return None
        result = dict(env)
        self._learn(result, condition, truth)
        return result if all(result.values()) else None

    def _learn(self, env: Env, condition: Expr, truth: bool) -> None:
        match condition:
            case Local(name=name) if name in env:
                env[name] = env[name].without(0) if truth else env[name].clip(0, 0)
            case Unary(op="not", operand=operand):
                self._learn(env, operand, not truth)
            case Binary(op="land" | "lor" as op, left=left, right=right):
                if truth == (op == "land"):
                    self._learn(env, left, truth)
                    self._learn(env, right, truth)
            case Binary(op=op, left=left, right=right) if op in COMPARISONS:
                op = op if truth else _NOT[op]
                self._compare(env, op, left, self.value(right, env))
                self._compare(env, _FLIP[op], right, self.value(left, env))

    def _compare(self, env: Env, op: str, side: Expr, other: Values) -> None:
        if not isinstance(side, Local) or side.name not in env or not other:
            return
        values = env[side.name]
        if not values:
            return
        match op:
            case "eq":
                values = values.common(other)
            case "ne":
                values = values.without(other.lo) if other.lo == other.hi else values
            case "lt":
                values = values.clip(values.lo, other.hi - 1)
            case "le":
                values = values.clip(values.lo, other.hi)
            case "gt":
                values = values.clip(other.lo + 1, values.hi)
            case "ge":
                values = values.clip(other.lo, values.hi)
        env[side.name] = values


def _alike(left: Scalar, right: Scalar) -> bool:
    """Pointers are one kind: the store buffers hold them without their types."""
    if isinstance(left, Pointer) or isinstance(right, Pointer):
        return isinstance(left, Pointer) and isinstance(right, Pointer)
    return same_kind(left, right)


def _may_wrap(op: str, left: Values, right: Values, kind: Int) -> bool:
    if kind.signed or not left or not right or op not in ("add", "sub", "mul", "shl"):
        return False
    if op == "shl":
        right = right.clip(0, kind.bits - 1)
    if not right:
        return False
    lo, hi = arithmetic.bounds(op, left, right, kind)
    return lo < kind.minimum or hi > kind.maximum


def _sum(left: Values, right: Values) -> Values:
    return arithmetic.binary("add", left, right, Int(64, signed=True))


def _target(address: Expr) -> Scalar:
    kind = address.type
    assert isinstance(kind, Pointer)
    target = kind.target
    assert isinstance(target, Int | Pointer)
    return target
