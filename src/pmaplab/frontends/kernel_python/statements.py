"""Lowering function bodies."""

from __future__ import annotations

import ast

from pmaplab.errors import IRError, Location
from pmaplab.frontends.builder import Builder, as_condition, compared, negated, nothing
from pmaplab.frontends.kernel_python.declarations import Declaration, is_docstring, is_name
from pmaplab.frontends.kernel_python.expressions import Expressions
from pmaplab.frontends.kernel_python.intrinsics import RESERVED, KernelIntrinsics
from pmaplab.frontends.kernel_python.scope import Scope, spelled
from pmaplab.frontends.kernel_python.values import Signature
from pmaplab.ir.dataflow import check_assigned
from pmaplab.ir.nodes import (
    Assign,
    Assume,
    Binary,
    Const,
    Count,
    Expr,
    Function,
    Jump,
    Load,
    Local,
    Return,
    Step,
    Store,
)
from pmaplab.ir.types import U32, Int, Pointer


def lower_function(
    scope: Scope,
    declaration: Declaration,
    signatures: dict[str, Signature],
    sysinits: list[str],
) -> Function:
    """The IR of one function."""
    assert isinstance(declaration.node, ast.FunctionDef)
    signature = signatures[declaration.name]
    builder = Builder(declaration.name, dict(signature.parameters), signature.result)
    expressions = Expressions(
        scope,
        declaration.source,
        builder,
        signatures,
        KernelIntrinsics(sysinits),
        atomic=signature.atomic,
    )
    return _Statements(expressions, declaration.node, signature).lower()


class _Statements:
    def __init__(
        self, expressions: Expressions, node: ast.FunctionDef, signature: Signature
    ) -> None:
        self.e = expressions
        self.node = node
        self.signature = signature
        self.builder = expressions.builder
        self.loops: list[tuple[str, str]] = []  # where continue and break go
        self.globals: set[str] = set()  # declared so in this function

    def lower(self) -> Function:
        body = self.node.body
        self.body(body[1:] if is_docstring(body[0]) else body)
        self.builder.terminate(Return(None, self.end()))
        function = self.builder.finish(atomic=self.signature.atomic, loc=self.e.at(self.node))
        try:
            check_assigned(function)
        except IRError as error:
            raise self.e.source.located(error) from None
        if function.result is not None:
            for block in function.blocks:
                if isinstance(block.terminator, Return) and block.terminator.value is None:
                    self.e.fail(
                        self.node,
                        f"{function.name} can end without returning a value",
                        "end every path with `return VALUE` or panic(...)",
                    )
        return function

    def end(self) -> Location:
        """The last line of the function: where it returns without saying so."""
        return self.e.at(self.node.body[-1])

    def body(self, statements: list[ast.stmt]) -> None:
        for statement in statements:
            self.statement(statement)

    def statement(self, node: ast.stmt) -> None:
        match node:
            case ast.Assign(targets=[target], value=value):
                self.assign(node, target, value)
            case ast.AnnAssign(target=ast.Name(id=name), value=value):
                self.declare(node, name, value)
            case ast.AugAssign(target=target, op=op, value=value):
                self.augmented(node, target, op, value)
            case ast.If(test=test, body=body, orelse=orelse):
                self.conditional(node, test, body, orelse)
            case ast.While(test=test, body=body, orelse=[]):
                self.loop(node, test, body)
            case ast.For(target=ast.Name(id=name), iter=ast.Call() as iterated, orelse=[]):
                self.counted(node, name, iterated)
            case ast.Return(value=value):
                self.returns(node, value)
            case ast.Expr(value=ast.Call() as call):
                self.e.call(call, None)
                if is_name(call.func, "panic"):
                    # Nothing follows a panic.
                    result = nothing(self.signature.result)
                    self.builder.terminate(Return(result, self.e.at(node)))
                    self.builder.start(self.builder.label("dead"))
            case ast.Pass():
                pass
            case ast.Global(names=names):
                for name in names:
                    if name not in self.e.scope.globals and name not in self.e.scope.owns:
                        self.e.fail(node, f"{name} is no object at the top of a file")
                self.globals.update(names)
            case ast.Break() | ast.Continue():
                label = self.loops[-1][isinstance(node, ast.Break)]
                self.builder.terminate(Jump(label, self.e.at(node)))
                self.builder.start(self.builder.label("dead"))
            case _:
                self.unsupported(node)

    def unsupported(self, node: ast.stmt) -> None:
        advice = {
            "Assert": "write KASSERT(condition, message) or MPASS(condition)",
            "Try": "the kernel has no exceptions; return an error number",
            "Raise": "write panic(message)",
            "With": "call the functions that enter and leave one by one",
            "FunctionDef": "functions stand at the top of a file",
            "ClassDef": "structures stand at the top of a file",
            "Import": "imports stand at the top of a file",
            "ImportFrom": "imports stand at the top of a file",
            "Delete": "there is nothing to delete",
            "Expr": "only a call can stand alone",
            "For": "write `for i in range(...)` or `for i in CPU_FOREACH()`, without else",
            "While": "a loop has no else",
            "Match": "write if, elif, else",
            "Assign": "assign to one target at a time",
        }.get(type(node).__name__, "see docs/kernel-python.md for the statements that are")
        head = ast.unparse(node).split("\n", 1)[0]
        self.e.fail(node, f"`{head}` is not part of kernel Python", advice)

    # --- assignments -------------------------------------------------------

    def assign(self, node: ast.stmt, target: ast.expr, value: ast.expr) -> None:
        if isinstance(target, ast.Name) and not self._is_global(target.id):
            self._assign_local(node, target.id, value)
            return
        if isinstance(target, ast.Tuple | ast.List | ast.Starred):
            self.e.fail(target, "one target at a time", "write one assignment for each")
        self._check_global(target)
        # C leaves the order open: the place is computed before the value.
        place = self.e.place(target)
        if not isinstance(place.kind, Int | Pointer):
            self.e.fail(
                target,
                f"{ast.unparse(target)} cannot be assigned as a whole",
                "assign its fields one by one",
            )
        expr = self.e.value(value, place.kind)
        self.builder.emit(Store(place.expr, expr, self.e.at(node)))

    def _is_global(self, name: str) -> bool:
        """Whether the file knows ``name`` as an object or a constant; an object
        of some other file is shadowed by a local, as in C."""
        scope = self.e.scope
        if name in self.builder.variables or name not in self.e.source.names:
            return False
        return name in scope.globals or name in scope.owns or scope.constant(name) is not None

    def _check_global(self, target: ast.expr) -> None:
        """Python takes an assigned name for a local unless told otherwise."""
        if isinstance(target, ast.Name) and self.e.scope.constant(target.id) is not None:
            self.e.fail(target, f"{target.id} is a constant")
        if isinstance(target, ast.Name) and target.id not in self.globals:
            self.e.fail(
                target,
                f"{target.id} is assigned here, but is not declared global in this function",
                f"begin the function with `global {target.id}`",
            )

    def _check_local(self, node: ast.AST, name: str) -> None:
        """An error where ``name`` cannot be assigned as a local."""
        if name in self.e.counters:
            self.e.fail(node, f"{name} is the variable of a loop", "use another one")
        if name in self.builder.variables:
            return
        if self._is_global(name):
            self.e.fail(node, f"{name} is already an object or a constant of the kernel")
        elif name in self.e.signatures:
            self.e.fail(node, f"{name} is a function", "choose another name")
        elif name in RESERVED:
            self.e.fail(node, f"{name} is a word of kernel Python", "choose another name")

    def _assign_local(self, node: ast.stmt, name: str, value: ast.expr) -> None:
        self._check_local(node, name)
        kind = self.builder.variables.get(name)
        expr = self.e.value(value, kind)
        if kind is None:
            kind = expr.type.whole if isinstance(expr.type, Int) else expr.type
            if isinstance(kind, Pointer) and not str(kind.target):
                self.e.fail(
                    value,
                    "NULL alone does not say what it points to",
                    f"write `{name}: ptr[TYPE] = NULL`",
                )
            self.builder.variables[name] = kind
        self.builder.emit(Assign(name, expr, self.e.at(node)))

    def declare(self, node: ast.AnnAssign, name: str, value: ast.expr | None) -> None:
        kind = self.e.scope.value_type(self.e.source, node.annotation)
        if name in self.builder.variables:
            self.e.fail(node, f"{name} is declared twice")
        self._check_local(node, name)
        self.builder.variables[name] = kind
        if value is not None:
            self.builder.emit(Assign(name, self.e.value(value, kind), self.e.at(node)))

    def augmented(
        self, node: ast.AugAssign, target: ast.expr, op: ast.operator, value: ast.expr
    ) -> None:
        if self._counted(node, target, op, value):
            return
        loc = self.e.at(node)
        if isinstance(target, ast.Name) and target.id in self.builder.variables:
            self._check_local(target, target.id)
            kind = self.builder.variables[target.id]
            result = self.e.binary(node.target, op, Local(target.id, kind), value)
            self.builder.emit(Assign(target.id, result, loc))
            return
        self._check_global(target)
        place = self.e.place(target)
        if not isinstance(place.kind, Int):
            self.e.fail(target, f"{ast.unparse(target)} is no integer")
        old = self.builder.temporary(place.kind)
        self.builder.emit(Load(old.name, place.expr, loc))
        result = self.e.binary(node.target, op, old, value)
        self.builder.emit(Store(place.expr, result, loc))

    def _counted(
        self, node: ast.AugAssign, target: ast.expr, op: ast.operator, value: ast.expr
    ) -> bool:
        """``PCPU.pm_save_cnt += 1`` for a statistics counter."""
        if not isinstance(target, ast.Attribute):
            return False
        kind = self.e.probed(lambda: self.e.value(target.value).type)
        counters = self.e.scope.counters
        if not (isinstance(kind, Pointer) and (str(kind.target), target.attr) in counters):
            return False
        if not (isinstance(op, ast.Add) and isinstance(value, ast.Constant) and value.value == 1):
            self.e.fail(node, "a statistics counter only counts", "write `+= 1`")
        self.e.value(target.value)
        self.builder.emit(Count(target.attr, self.e.at(node)))
        return True

    # --- control flow ------------------------------------------------------

    def conditional(
        self, node: ast.If, test: ast.expr, body: list[ast.stmt], orelse: list[ast.stmt]
    ) -> None:
        builder, loc = self.builder, self.e.at(test)
        then, other, end = builder.label("then"), builder.label("else"), builder.label("end")
        builder.branch(self.e.condition(test), then, other, loc)
        for label, statements in ((then, body), (other, orelse)):
            builder.start(label)
            self.body(statements)
            builder.terminate(Jump(end, loc))
        builder.start(end)

    def loop(self, node: ast.While, test: ast.expr, body: list[ast.stmt]) -> None:
        builder, loc = self.builder, self.e.at(test)
        if _is_pause(body):
            self._spin(node, test)
            return
        head, inside, end = builder.label("while"), builder.label("do"), builder.label("end")
        builder.terminate(Jump(head, loc))
        builder.start(head)
        condition = self.e.condition(test)
        builder.branch(condition, inside, end, loc)
        builder.start(inside)
        self.loops.append((head, end))
        self.body(body)
        self.loops.pop()
        builder.terminate(Jump(head, loc))
        builder.start(end)

    def _spin(self, node: ast.While, test: ast.expr) -> None:
        """A spin loop waits: the step is possible once the condition is false.

        Only one cell may be looked at, since each turn of the real loop reads
        it anew and two reads are two steps.
        """
        loc = self.e.at(test)
        if self.signature.atomic:
            self.e.fail(node, "an atomic function cannot spin", "write assume(CONDITION)")
        self.builder.emit(Step(loc))
        before = self.builder.loads, self.builder.others
        condition = self.e.condition(test)
        loads, others = self.builder.loads - before[0], self.builder.others - before[1]
        if loads > 1 or others:
            self.e.fail(
                test,
                "a spin loop looks at one cell of memory, and calls nothing",
                "take whatever else it needs into locals before the loop",
            )
        if isinstance(condition, Const) and condition.value:
            self.e.fail(test, "this spin loop never ends")
        self.builder.emit(Assume(negated(as_condition(condition)), loc))

    def counted(self, node: ast.For, name: str, iterated: ast.Call) -> None:
        start, stop = self._bounds(node, iterated)
        builder, loc = self.builder, self.e.at(node.iter)
        if name == "_" and self.e.counters.get(name):
            name = builder.temporary(U32).name
        elif self.e.counters.get(name) or (
            name in builder.variables and name not in self.e.counters
        ):
            self.e.fail(
                node.target, f"{name} is in use already", "give the loop a variable of its own"
            )
        if name not in builder.variables:
            self._check_local(node.target, name)
        if not isinstance(stop, Const):
            # range() looks at its bounds once, and before its variable changes.
            limit = builder.temporary(U32)
            builder.emit(Assign(limit.name, stop, loc))
            stop = limit
        builder.variables[name] = U32
        self.e.counters[name] = True
        builder.emit(Assign(name, start, loc))
        head, inside = builder.label("for"), builder.label("do")
        following, end = builder.label("next"), builder.label("end")
        builder.terminate(Jump(head, loc))
        builder.start(head)
        variable = Local(name, U32)
        builder.branch(compared("lt", variable, stop), inside, end, loc)
        builder.start(inside)
        self.loops.append((following, end))
        self.body(node.body)
        self.loops.pop()
        builder.terminate(Jump(following, loc))
        builder.start(following)
        builder.emit(Assign(name, Binary("add", variable, Const(1, U32), U32), loc))
        builder.terminate(Jump(head, loc))
        builder.start(end)
        self.e.counters[name] = False

    def _bounds(self, node: ast.For, iterated: ast.Call) -> tuple[Expr, Expr]:
        if is_name(iterated.func, "CPU_FOREACH") and not iterated.args:
            count = self.e.scope.constant("mp_ncpus")
            if count is None:
                self.e.fail(iterated, "CPU_FOREACH() needs the constant mp_ncpus")
            assert count is not None
            return Const(0, U32), Const(count.value, U32)
        if is_name(iterated.func, "range") and len(iterated.args) in (1, 2):
            bounds = [self.e.value(argument, U32) for argument in iterated.args]
            return (Const(0, U32), bounds[0]) if len(bounds) == 1 else (bounds[0], bounds[1])
        self.e.fail(
            iterated,
            f"a loop over {ast.unparse(iterated)} is not part of kernel Python",
            "write range(STOP), range(START, STOP) or CPU_FOREACH()",
        )

    def returns(self, node: ast.Return, value: ast.expr | None) -> None:
        result = self.signature.result
        if value is None and result is not None:
            self.e.fail(node, f"{self.node.name} returns {spelled(result)}")
        if value is not None and result is None:
            self.e.fail(node, f"{self.node.name} returns nothing", "give it a result type: -> TYPE")
        expr = None if value is None else self.e.value(value, result)
        self.builder.terminate(Return(expr, self.e.at(node)))
        self.builder.start(self.builder.label("dead"))


def _is_pause(body: list[ast.stmt]) -> bool:
    return (
        len(body) == 1
        and isinstance(body[0], ast.Expr)
        and isinstance(body[0].value, ast.Call)
        and is_name(body[0].value.func, "ia32_pause")
    )
