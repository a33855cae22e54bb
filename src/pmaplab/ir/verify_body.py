"""Checks of one function: names, operand types, control flow."""

from __future__ import annotations

from typing import TypeVar

from pmaplab.errors import IRError, Location
from pmaplab.ir.dataflow import check_assigned, reachable_blocks
from pmaplab.ir.nodes import (
    ARITHMETIC,
    COMPARISONS,
    LOGIC,
    RMW_OPS,
    UNARY,
    Assert,
    Assign,
    Assume,
    Binary,
    Branch,
    Call,
    Cast,
    Choose,
    CmpXchg,
    Const,
    Enter,
    Expr,
    FieldAddress,
    Function,
    GlobalAddress,
    IndexAddress,
    InRegion,
    Instruction,
    Leave,
    Load,
    Local,
    Program,
    Return,
    Rmw,
    Select,
    Step,
    Store,
    Terminator,
    ThisCpu,
    Unary,
)
from pmaplab.ir.text import MAX_DEPTH, array_below
from pmaplab.ir.types import BOOL, U32, Int, Pointer, Scalar, Struct, Type, same_kind
from pmaplab.ir.verify_types import check_const, check_global_address, check_scalar
from pmaplab.ir.walk import children, items, operands, successors

_Known = TypeVar("_Known")


def check_function(program: Program, fn: Function) -> None:
    """Raises :class:`IRError` on the first mistake in ``fn``.

    The structures and the globals of ``program`` must be well formed.
    """
    _check_variables(program, fn)
    _check_labels(fn)
    body = _Body(program, fn)
    for line in items(fn):
        body.check(line)
    reached = reachable_blocks(fn)
    for block in fn.blocks:
        if block.label not in reached:
            raise IRError(
                f"{fn.name}: the block {block.label!r} is not reachable",
                location=block.instructions[0].loc if block.instructions else block.terminator.loc,
            )
    check_assigned(fn)


def _check_variables(program: Program, fn: Function) -> None:
    for kind in (*fn.variables.values(), *(() if fn.result is None else (fn.result,))):
        check_scalar(program, kind, fn.loc)
    for name in fn.parameters:
        if name not in fn.variables:
            raise IRError(f"{fn.name}: the parameter %{name} has no type", location=fn.loc)
    if len(set(fn.parameters)) < len(fn.parameters):
        raise IRError(f"{fn.name}: two parameters have one name", location=fn.loc)


def _check_labels(fn: Function) -> None:
    if not fn.blocks:
        raise IRError(f"{fn.name} has no blocks", location=fn.loc)
    labels: set[str] = set()
    for block in fn.blocks:
        if block.label in labels:
            raise IRError(
                f"{fn.name}: two blocks have the label {block.label!r}",
                location=block.terminator.loc,
            )
        labels.add(block.label)
    for block in fn.blocks:
        for label in successors(block.terminator):
            if label not in labels:
                raise IRError(f"{fn.name}: unknown block {label!r}", location=block.terminator.loc)


class _Body:
    """Checks lines of one function; ``loc`` is that of the line at hand."""

    def __init__(self, program: Program, fn: Function) -> None:
        self.program = program
        self.fn = fn
        self.loc: Location = fn.loc

    def check(self, line: Instruction | Terminator) -> None:
        self.loc = line.loc
        for expr in operands(line):
            self._expr(expr, 0)
        match line:
            case Assign(target, value):
                self._takes(target, value.type)
            case Load(target, address):
                self._takes(target, self._cell(address))
            case Store(address, value):
                self._same(self._cell(address), value, "the value stored")
            case Rmw():
                self._rmw(line)
            case CmpXchg(target, address, expected, desired):
                cell = self._cell(address)
                self._same(cell, expected, "the expected value")
                self._same(cell, desired, "the desired value")
                self._takes(target, cell)
            case Assume() | Assert() | Branch():
                self._same(BOOL, line.condition, "the condition")
            case Choose(target, lo, hi):
                kind = self._local(target)
                if not isinstance(kind, Int):
                    raise self._error(f"choose gives an integer, but %{target} is a {kind}")
                self._same(kind, lo, "the lower bound")
                self._same(kind, hi, "the upper bound")
            case Call():
                self._call(line)
            case Enter(region) | Leave(region):
                self._region(region)
            case Return(result):
                self._return(result)
            case Step() if self.fn.atomic:
                raise self._error("an atomic function contains a step")

    # --- instructions ------------------------------------------------------

    def _rmw(self, line: Rmw) -> None:
        if line.op not in RMW_OPS:
            raise self._unknown("operation", line.op)
        cell = self._cell(line.address)
        if line.op != "xchg" and not isinstance(cell, Int):
            raise self._error(f"rmw {line.op} works on an integer, not on a {cell}")
        self._same(cell, line.operand, "the operand")
        if line.target is not None:
            self._takes(line.target, cell)

    def _call(self, line: Call) -> None:
        callee = self._find(self.program.functions.get(line.function), "function", line.function)
        if self.fn.atomic and not callee.atomic:
            raise self._error(
                f"an atomic function calls {callee.name}, which is not atomic",
                "mark the callee atomic if it runs within one step",
            )
        wanted, given = len(callee.parameters), len(line.arguments)
        if wanted != given:
            raise self._error(f"{callee.name} takes {wanted} arguments, not {given}")
        for name, argument in zip(callee.parameters, line.arguments, strict=True):
            # The callee may not have been checked yet.
            kind = self._declared(callee, name)
            self._same(kind, argument, f"the argument {name} of {callee.name}")
        if line.target is not None:
            if callee.result is None:
                raise self._error(f"{callee.name} returns no value to assign to %{line.target}")
            self._takes(line.target, callee.result)

    def _return(self, value: Expr | None) -> None:
        if self.fn.result is None:
            if value is not None:
                raise self._error(f"{self.fn.name} returns no value, but this gives one")
        elif value is None:
            raise self._error(f"{self.fn.name} returns a {self.fn.result}, but this gives none")
        else:
            self._same(self.fn.result, value, "the value returned")

    # --- expressions -------------------------------------------------------

    def _expr(self, expr: Expr, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise self._error(
                f"an expression is nested deeper than {MAX_DEPTH} levels",
                "assign a part to a local first",
            )
        check_scalar(self.program, expr.type, self.loc)
        for child in children(expr):
            self._expr(child, depth + 1)
        match expr:
            case Const():
                check_const(expr, self.loc)
            case Local(name, kind):
                declared = self._local(name)
                if not same_kind(declared, kind):
                    raise self._error(f"%{name} has type {declared}, not {kind}")
            case GlobalAddress():
                check_global_address(self.program, expr, self.loc)
            case FieldAddress():
                self._field(expr)
            case IndexAddress():
                self._index(expr)
            case ThisCpu(kind):
                self._gives(U32, kind, "the number of a CPU")
            case InRegion(cpu, region, kind):
                self._same(U32, cpu, "the number of a CPU")
                self._region(region)
                self._gives(BOOL, kind, "in_region")
            case Unary():
                self._unary(expr)
            case Binary():
                self._binary(expr)
            case Cast():
                pass  # any value may be cast to any scalar type
            case Select(condition, then, otherwise, kind):
                self._same(BOOL, condition, "the condition")
                self._same(kind, then, "the first value")
                self._same(kind, otherwise, "the second value")

    def _field(self, expr: FieldAddress) -> None:
        decl = self._find(self.program.structs.get(expr.struct), "structure", expr.struct)
        self._same(Pointer(Struct(expr.struct)), expr.base, "the base")
        field = decl.field_type(expr.field)
        if field is None:
            raise self._error(f"the structure {expr.struct} has no field {expr.field!r}")
        self._gives(Pointer(field), expr.type, f"&{expr.struct}.{expr.field}")

    def _index(self, expr: IndexAddress) -> None:
        array = array_below(expr.base.type)
        if array is None:
            raise self._error(f"index needs a pointer to an array, not a {expr.base.type}")
        if array.length != expr.length:
            raise self._error(f"the array has {array.length} elements, not {expr.length}")
        self._integer(expr.index)
        self._gives(Pointer(array.element), expr.type, "the address of an element")

    def _unary(self, expr: Unary) -> None:
        op, kind = expr.op, expr.type
        if op not in UNARY:
            raise self._unknown("operation", op)
        if op == "not":
            self._same(BOOL, expr.operand, "the operand of not")
            self._gives(BOOL, kind, op)
            return
        operand = self._integer(expr.operand)
        if op in ("neg", "inv"):
            self._gives(operand.whole, kind, op)
        elif kind.maximum < operand.bits:
            raise self._error(f"{op} of a {operand} does not fit in {kind}")

    def _binary(self, expr: Binary) -> None:
        op, left, right, kind = expr.op, expr.left, expr.right, expr.type
        if op in COMPARISONS:
            self._same(left.type, right, f"the second operand of {op}")
            self._gives(BOOL, kind, op)
        elif op in LOGIC:
            self._same(BOOL, left, f"the first operand of {op}")
            self._same(BOOL, right, f"the second operand of {op}")
            self._gives(BOOL, kind, op)
        elif op in ("shl", "shr"):
            self._gives(self._integer(left).whole, kind, op)
            if self._integer(right).signed:
                raise self._error(f"{op} by a {right.type}, which is signed")
        elif op in ARITHMETIC:
            whole = self._integer(left).whole
            self._same(whole, right, f"the second operand of {op}")
            self._gives(whole, kind, op)
        else:
            raise self._unknown("operation", op)

    # --- common checks -----------------------------------------------------

    def _same(self, wanted: Type, value: Expr, what: str) -> None:
        if not same_kind(wanted, value.type):
            raise self._error(f"{what} has type {value.type}, where {wanted} is needed")

    def _gives(self, result: Scalar, named: Scalar, what: str) -> None:
        """The type that an expression claims must be exactly its result's."""
        if result != named:
            raise self._error(f"{what} gives a {result}, not a {named}")

    def _takes(self, target: str, value: Type) -> None:
        kind = self._local(target)
        if not same_kind(kind, value):
            raise self._error(f"%{target} has type {kind}, but gets a {value}")

    def _integer(self, value: Expr) -> Int:
        if not isinstance(value.type, Int):
            raise self._error(f"an integer is needed, not a {value.type}")
        return value.type

    def _cell(self, address: Expr) -> Scalar:
        """The type of the cell at an address."""
        if not isinstance(address.type, Pointer):
            raise self._error(f"the address has type {address.type}, not a pointer")
        cell = address.type.target
        if not isinstance(cell, Int | Pointer):
            raise self._error(
                f"a whole {cell} cannot be read or written at once",
                "name one of its fields or elements",
            )
        return cell

    def _local(self, name: str) -> Scalar:
        return self._declared(self.fn, name)

    def _declared(self, fn: Function, name: str) -> Scalar:
        kind = fn.variables.get(name)
        if kind is None:
            raise self._unknown("local", name)
        return kind

    def _region(self, name: str) -> None:
        if name not in self.program.regions:
            raise self._unknown("region", name)

    def _find(self, found: _Known | None, what: str, name: str) -> _Known:
        if found is None:
            raise self._unknown(what, name)
        return found

    def _unknown(self, what: str, name: str) -> IRError:
        return self._error(f"unknown {what} {name!r}")

    def _error(self, message: str, advice: str | None = None) -> IRError:
        return IRError(f"{self.fn.name}: {message}", location=self.loc, advice=advice)
