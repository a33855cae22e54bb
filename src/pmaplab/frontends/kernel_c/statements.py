"""Lowering C's statements, and with them whole functions."""

from __future__ import annotations

from dataclasses import dataclass, field

from pmaplab.errors import IRError, Location, TreeError
from pmaplab.frontends.builder import Builder, compared, joined, negated
from pmaplab.frontends.kernel_c.calls import CallLowering
from pmaplab.frontends.kernel_c.cells import UNKNOWN, Names
from pmaplab.frontends.kernel_c.expressions import TRANSPARENT, Expressions
from pmaplab.frontends.kernel_c.nodes import VOID, CFunction, Node, unwrapped, walk
from pmaplab.frontends.kernel_c.places import describe
from pmaplab.frontends.kernel_c.threading import thread_constants
from pmaplab.frontends.kernel_c.types import Merged
from pmaplab.frontends.kernel_c.values import Place, Restart, Value, coerce, fail
from pmaplab.frontends.kernel_python.values import Signature
from pmaplab.ir.dataflow import check_assigned
from pmaplab.ir.nodes import Assign, Assume, Const, Expr, Function, Jump, Return, Step
from pmaplab.ir.types import BOOL, Int

# More restarts than a function has locals means that something goes in circles.
_MOST = 200
_TARGETS = ("LABEL_STMT", "CASE_STMT", "DEFAULT_STMT")
_LEAVING = ("BREAK_STMT", "CONTINUE_STMT", "GOTO_STMT", "RETURN_STMT")


@dataclass
class Notes:
    """What lowering found out for the verdict: by name, with reasons."""

    dropped: dict[str, str] = field(default_factory=dict)
    modelled: dict[str, str] = field(default_factory=dict)


def lower_function(
    merged: Merged, function: CFunction, signature: Signature, names: Names, notes: Notes
) -> tuple[Function, set[str]]:
    """The IR of one function, and the functions that it calls.

    Raises TreeError, with the place, for what the front end does not know.
    """
    opaque: dict[str, str] = {}
    for _ in range(_MOST):
        builder = Builder(function.name, dict(signature.parameters), signature.result)
        reached: set[str] = set()
        owner = Expressions(merged, builder, names, opaque, atomic=signature.atomic)
        try:
            lowered = _Statements(owner, function, signature, notes, reached).lower()
        except Restart:
            continue
        except RecursionError:
            fail(function.loc, f"{function.name} is nested too deeply")
        return lowered, reached
    fail(function.loc, f"{function.name} cannot be lowered: this is a bug")


class _Statements:
    def __init__(
        self,
        owner: Expressions,
        function: CFunction,
        signature: Signature,
        notes: Notes,
        reached: set[str],
    ) -> None:
        self.e = owner
        self.function = function
        self.signature = signature
        self.calls = CallLowering(owner, notes.dropped, notes.modelled, reached)
        owner.calls = self.calls
        owner.statement_expression = self._statement_expression
        # Where break and continue go; None for a switch, which has no continue.
        self.targets: list[tuple[str, str | None]] = []
        self.labels: dict[str, str] = {}
        self.cases: list[dict[int, str]] = []

    @property
    def builder(self) -> Builder:
        return self.e.builder

    def lower(self) -> Function:
        function, body = self.function, self.function.body
        for (name, _), parameter in zip(
            self.signature.parameters, function.parameters, strict=True
        ):
            self.e.locals[parameter.key] = name
            if parameter.type.kind == "struct":
                self.e.locals[parameter.key] = name.partition(".")[0]
            self.e.types[parameter.key] = parameter.type
        given = {parameter.name for parameter in function.parameters}
        self.e.single = _assigned_once(body) - given
        self.e.members = _members(body)
        self.block(body)
        end = Location(body.loc.file, body.loc.line, body.loc.column)
        self.builder.terminate(Return(None, end))
        result = self._finished()
        try:
            check_assigned(result)
        except IRError as error:
            raise TreeError(
                error.message.replace("%", ""),
                location=error.location,
                advice="in C this reads a variable that has no value",
            ) from None
        if self.e.marks:
            self.builder.forget(self.e.marks)
            result = self._finished()
        if result.result is not None:
            for block in result.blocks:
                if isinstance(block.terminator, Return) and block.terminator.value is None:
                    fail(function.loc, f"{function.name} can end without returning a value")
        return result

    def _finished(self) -> Function:
        function = self.builder.finish(atomic=self.signature.atomic, loc=self.function.loc)
        return thread_constants(function)

    # --- statements -------------------------------------------------------------------

    def block(self, node: Node) -> None:
        for child in node.children:
            self.statement(child)

    def statement(self, node: Node) -> None:
        match node.kind:
            case "COMPOUND_STMT":
                self.block(node)
            case "NULL_STMT":
                pass
            case "DECL_STMT":
                for child in node.children:
                    self._declare(child)
            case "IF_STMT":
                self._if(node)
            case "WHILE_STMT":
                self._while(node)
            case "DO_STMT":
                self._do(node)
            case "FOR_STMT":
                self._for(node)
            case "SWITCH_STMT":
                self._switch(node)
            case "CASE_STMT" | "DEFAULT_STMT":
                self._case(node)
            case "BREAK_STMT" | "CONTINUE_STMT":
                self._leave(node)
            case "RETURN_STMT":
                self._return(node)
            case "GOTO_STMT":
                label = self._label(node.children[0].name)
                self.builder.terminate(Jump(label, node.loc))
                self.builder.start(self.builder.label("dead"))
            case "LABEL_STMT":
                label = self._label(node.name)
                self.builder.terminate(Jump(label, node.loc))
                self.builder.start(label)
                self.block(node)
            case "UNEXPOSED_STMT" if node.children:
                self.block(node)  # a statement with an attribute
            case _ if node.kind.endswith("_STMT") or node.kind.endswith("AsmStmt"):
                fail(
                    node.loc,
                    f"{describe(node)} is not supported",
                    f"give {self.function.name} a meaning in a table: [[model]] or [[drop]]",
                )
            case _:
                self.e.effect(node)

    def _declare(self, node: Node) -> None:
        if node.ref == "static":
            fail(node.loc, f"a static local variable, {node.name}", "it is not supported")
        if node.kind != "VAR_DECL" or (node.type.kind == "other" and node.type.text[-1:] == "]"):
            fail(node.loc, "an array whose length is no constant")
        if node.ref == "cleanup":
            fail(node.loc, f"a function that is called at the end of {node.name}'s scope")
        self.e.declare(node.name, node.key, node.type, node.loc)
        if not node.children:
            return
        initial = node.children[0]
        if node.key in self.e.opaque:
            left_out = Place(node.type, outside=self.e.opaque[node.key])
            self.e.write(left_out, self.e._harmless(initial), node.loc)
            return
        place = Place(node.type, local=self.e.locals[node.key])
        if initial.kind == "INIT_LIST_EXPR":
            fail(initial.loc, "an initializer in braces is not supported")
        if node.type.kind == "struct":
            self.e.assign_struct(place, initial, node.loc)
            return
        self.e.write(place, self.e.value(initial), node.loc)

    # --- decisions --------------------------------------------------------------------

    def _if(self, node: Node) -> None:
        test, arms = node.children[0], node.children[1:]
        if self.calls.is_panic(arms[0]) and len(arms) == 1:
            self._assert(node, test, arms[0])
            return
        if _assigns_on_one_side(test):
            self._if_stepwise(node, test, arms)
            return
        found = self.e.value(test)
        if found.expr is None and found.local is None:
            for each in arms:
                if self.e.probed(lambda each=each: self._arm(each)):  # type: ignore[misc]
                    fail(
                        test.loc,
                        f"this depends on what is left out of the model: {found.outside}",
                        "do not leave it out, or leave out all that it decides",
                    )
            return
        condition = self.e._true(found)
        builder = self.builder
        then, other, end = builder.label("then"), builder.label("else"), builder.label("end")
        builder.branch(condition, then, other, node.loc)
        for number, label in enumerate((then, other)):
            builder.start(label)
            arm = arms[number] if number < len(arms) else Node("NULL_STMT", node.loc, VOID)
            # What the mode excludes is not lowered, unless a jump leads into it.
            excluded = isinstance(condition, Const) and bool(condition.value) != (number == 0)
            if not excluded or any(inner.kind in _TARGETS for inner in walk(arm)):
                self.statement(arm)
            builder.terminate(Jump(end, node.loc))
        builder.start(end)

    def _if_stepwise(self, node: Node, test: Node, arms: tuple[Node, ...]) -> None:
        """What the right side of && or || assigns has a value in one arm only, so
        the way there must be known."""
        builder = self.builder
        then, other, end = builder.label("then"), builder.label("else"), builder.label("end")
        self._branch(test, then, other)
        for label, arm in zip((then, other), (*arms, None), strict=False):
            builder.start(label)
            if arm is not None:
                self.statement(arm)
            builder.terminate(Jump(end, node.loc))
        builder.start(end)

    def _branch(self, test: Node, then: str, other: str) -> None:
        """Go to ``then`` or ``other``, evaluating what C evaluates."""
        while test.kind in TRANSPARENT and test.children and _assigns_on_one_side(test):
            test = test.children[0]
        if not _assigns_on_one_side(test):
            self.builder.branch(self.e.condition(test), then, other, test.loc)
            return
        left, right = test.children
        more = self.builder.label("and" if test.name == "&&" else "or")
        if test.name == "&&":
            self._branch(left, more, other)
        else:
            self._branch(left, then, more)
        self.builder.start(more)
        self._branch(right, then, other)

    def _arm(self, node: Node) -> None:
        """An arm that must not do anything: leaving it would be doing something."""
        for inner in walk(node):
            if inner.kind in (*_LEAVING, *_TARGETS):
                fail(inner.loc, "this depends on what is left out of the model")
        self.statement(node)

    def _assert(self, node: Node, test: Node, panic: Node) -> None:
        """``if (!condition) panic(...)``, which KASSERT and MPASS are."""
        condition = negated(self.e.condition(test))
        if isinstance(condition, Const) and condition.value:
            return
        builder, loc = self.builder, node.loc
        holds, fails = builder.label("holds"), builder.label("fails")
        builder.branch(condition, holds, fails, loc)
        builder.start(fails)
        self.calls.panic(panic, Const(0, BOOL), "panic")
        result = self.builder.result
        builder.terminate(Return(None if result is None else Const(0, result), loc))
        builder.start(holds)

    def _switch(self, node: Node) -> None:
        builder, loc = self.builder, node.loc
        subject, body = node.children
        value = self.e.scalar(subject)
        kind = self.e.merged.scalar(subject.type, loc)
        assert isinstance(kind, Int)
        value = coerce(value, kind)
        kept = builder.temporary(kind)
        builder.emit(Assign(kept.name, value, loc))
        end = builder.label("end")
        labels: dict[int, str] = {}
        default = end
        for case in _cases(body):
            label = labels[id(case)] = builder.label("case")
            if case.kind == "DEFAULT_STMT":
                default = label
                continue
            first, *last = [coerce(self.e.scalar(each), kind) for each in case.children[:-1]]
            found = compared("eq", kept, first)
            if last:  # case 1 ... 3
                found = joined("land", compared("ge", kept, first), compared("le", kept, last[0]))
            following = builder.label("next")
            builder.branch(found, label, following, case.loc)
            builder.start(following)
        builder.terminate(Jump(default, loc))
        builder.start(builder.label("dead"))
        self.cases.append(labels)
        self.targets.append((end, None))
        self.statement(body)
        self.targets.pop()
        self.cases.pop()
        builder.terminate(Jump(end, loc))
        builder.start(end)

    def _case(self, node: Node) -> None:
        label = self.cases[-1].get(id(node)) if self.cases else None
        if label is None:
            fail(node.loc, "a case below another statement is not supported")
        self.builder.terminate(Jump(label, node.loc))
        self.builder.start(label)
        self.statement(node.children[-1])

    # --- loops ------------------------------------------------------------------------

    def _while(self, node: Node) -> None:
        test, body = node.children
        if self._pauses(body):
            self._spin(node, test)
            return
        self._loop(node, test, body, None, first=True)

    def _do(self, node: Node) -> None:
        body, test = node.children
        if _zero(test) and not _leaves(body):
            self.statement(body)
            return
        if self._pauses(body):
            self._spin(node, test)
            return
        self._loop(node, test, body, None, first=False)

    def _for(self, node: Node) -> None:
        initial, test, step, body = node.children
        self.statement(initial)
        if self._pauses(body) and step.kind == "NULL_STMT" and test.kind != "NULL_STMT":
            self._spin(node, test)
            return
        self._loop(node, test, body, step, first=not self._enters(initial, test))

    def _enters(self, initial: Node, test: Node) -> bool:
        """Whether the first test of a loop is known to hold: then its body runs,
        and what that assigns has a value."""
        if test.kind == "NULL_STMT" or initial.kind != "BINARY_OPERATOR" or initial.name != "=":
            return False
        target = unwrapped(initial.children[0])
        name = self.e.locals.get(target.key)
        if target.ref != "local" or name is None or target.type.kind != "int":
            return False
        found: list[Expr] = []

        def ask() -> None:
            start = self.e.scalar(initial.children[1])
            if isinstance(start, Const):
                self.e.fixed[name] = coerce(start, self.e.merged.scalar(target.type, target.loc))
                found.append(self.e.condition(test))

        # A test that does something is evaluated every time.
        if self.e.probed(ask):
            return False
        return bool(found) and isinstance(found[0], Const) and bool(found[0].value)

    def _loop(self, node: Node, test: Node, body: Node, step: Node | None, *, first: bool) -> None:
        builder, loc = self.builder, node.loc
        head, inside = builder.label("loop"), builder.label("do")
        following, end = builder.label("next"), builder.label("end")
        builder.terminate(Jump(head if first else inside, loc))
        builder.start(head)
        if test.kind == "NULL_STMT":
            builder.terminate(Jump(inside, loc))
        else:
            builder.branch(self.e.condition(test), inside, end, loc)
        builder.start(inside)
        self.targets.append((end, following))
        self.statement(body)
        self.targets.pop()
        builder.terminate(Jump(following, loc))
        builder.start(following)
        if step is not None:
            self.statement(step)
        builder.terminate(Jump(head, loc))
        builder.start(end)

    def _pauses(self, body: Node) -> bool:
        """Whether all that a loop does is to wait."""
        statements = body.children if body.kind == "COMPOUND_STMT" else (body,)
        for statement in statements:
            if statement.kind == "NULL_STMT":
                continue
            if statement.kind != "CALL_EXPR":
                return False
            callee = statement.children[0]
            while callee.kind in TRANSPARENT and callee.children:
                callee = callee.children[0]
            if callee.ref != "function" or self.e.merged.api.operation(callee.name) != "pause":
                return False
        return bool(statements)

    def _spin(self, node: Node, test: Node) -> None:
        """A loop that only pauses waits: the step is possible once the condition
        is false.  One that looks at several cells is explored turn by turn,
        since they may change between its reads."""
        loc = test.loc
        if self.signature.atomic:
            fail(node.loc, f"{self.function.name} is one step, but it waits")
        probe: list[object] = self.e.probed(lambda: self.e.condition(test))
        loads = self._loads(test)
        if loads > 1 or probe:
            self._loop(node, test, Node("NULL_STMT", node.loc, VOID), None, first=True)
            return
        self.builder.emit(Step(loc))
        condition = self.e.condition(test)
        if isinstance(condition, Const) and condition.value:
            fail(test.loc, "this loop never ends")
        self.builder.emit(Assume(negated(condition), loc))

    def _loads(self, test: Node) -> int:
        real = self.e.builder
        count = 0

        def lower() -> None:
            nonlocal count
            self.e.condition(test)
            count = self.e.builder.loads

        self.e.probed(lower)
        assert self.e.builder is real
        return count

    def _leave(self, node: Node) -> None:
        kind = "break" if node.kind == "BREAK_STMT" else "continue"
        for end, following in reversed(self.targets):
            target = end if kind == "break" else following
            if target is not None:
                self.builder.terminate(Jump(target, node.loc))
                self.builder.start(self.builder.label("dead"))
                return
        fail(node.loc, f"{kind} outside of a loop")

    def _label(self, name: str) -> str:
        if name not in self.labels:
            self.labels[name] = self.builder.label(f"{name}_")
        return self.labels[name]

    # --- returns ----------------------------------------------------------------------

    def _return(self, node: Node) -> None:
        expr = None
        result = self.signature.result
        if node.children:
            if result is None:
                self.e.value(node.children[0])
            else:
                expr = self.e.fit(self.e.scalar(node.children[0]), result, node.loc)
        self.builder.terminate(Return(expr, node.loc))
        self.builder.start(self.builder.label("dead"))

    def _statement_expression(self, node: Node) -> Value:
        """({ ...; value; })"""
        body = node.children[0]
        if not body.children:
            return Value(None, node.type, "nothing")
        for child in body.children[:-1]:
            self.statement(child)
        last = body.children[-1]
        if node.type.kind == "void":
            self.statement(last)
            return Value(None, node.type, "nothing")
        return self.e.value(last)


def _assigned_once(body: Node) -> frozenset[str]:
    """The names of local variables that one statement alone gives a value."""
    counts: dict[str, int] = {}
    for node in walk(body):
        target: Node | None = None
        match node.kind:
            case "VAR_DECL":
                counts[node.name] = counts.get(node.name, 0) + (1 if node.children else 0)
                continue
            case "BINARY_OPERATOR" if node.name == "=":
                target = unwrapped(node.children[0])
            case "COMPOUND_ASSIGNMENT_OPERATOR":
                target = unwrapped(node.children[0])
            case "UNARY_OPERATOR" if node.name in ("x++", "x--", "++x", "--x", "&"):
                target = unwrapped(node.children[0])
        if target is not None and target.kind == "DECL_REF_EXPR" and target.ref == "local":
            counts[target.name] = counts.get(target.name, 0) + 1
    return frozenset(name for name, count in counts.items() if count == 1)


def _assigns_on_one_side(test: Node) -> bool:
    """Whether the condition is && or || with an assignment below."""
    while test.kind in TRANSPARENT and test.children and test.value is None:
        test = test.children[0]
    return test.name in ("&&", "||") and any(
        inner.kind == "BINARY_OPERATOR" and inner.name == "=" for inner in walk(test)
    )


def _members(body: Node) -> dict[str, dict[str, Node]]:
    """What is named of each local structure or array, by its key and by path."""
    found: dict[str, dict[str, Node]] = {}
    for node in walk(body):
        if node.kind in ("MEMBER_REF_EXPR", "ARRAY_SUBSCRIPT_EXPR"):
            key, path = _rooted(node)
            if key and path:
                found.setdefault(key, {}).setdefault(path, node)
    return found


def _rooted(node: Node) -> tuple[str, str]:
    """The key of the local variable that an object is a part of, with the path to
    it; no key for what is no part of one."""
    addressed = 0  # how many * or -> wait for their &
    path = ""
    while True:
        if node.kind == "MEMBER_REF_EXPR" and node.children:
            path = f".{node.name}{path}"
            addressed += node.children[0].type.kind == "pointer"
        elif node.kind == "ARRAY_SUBSCRIPT_EXPR":
            index = node.children[1]
            while index.kind in TRANSPARENT and index.value is None and index.children:
                index = index.children[0]
            path = f".{UNKNOWN if index.value is None else index.value}{path}"
        elif node.kind == "UNARY_OPERATOR" and node.name in ("*", "&"):
            addressed += 1 if node.name == "*" else -1
        elif node.kind not in TRANSPARENT or not node.children:
            local = node.kind == "DECL_REF_EXPR" and node.ref == "local" and not addressed
            return (node.key if local and node.type.kind in ("struct", "array") else "", path)
        node = node.children[0]


def _cases(body: Node) -> list[Node]:
    """The cases of a switch, those of switches within left out."""
    found: list[Node] = []
    for child in body.children:
        if child.kind in ("CASE_STMT", "DEFAULT_STMT"):
            found.append(child)
        if child.kind != "SWITCH_STMT":
            found += _cases(child)
    return found


def _zero(node: Node) -> bool:
    while node.kind in TRANSPARENT and node.value is None and node.children:
        node = node.children[0]
    return node.value == 0


def _leaves(node: Node) -> bool:
    """Whether a break or continue of this loop stands below."""
    for child in node.children:
        if child.kind in ("BREAK_STMT", "CONTINUE_STMT"):
            return True
        if child.kind in ("WHILE_STMT", "DO_STMT", "FOR_STMT"):
            continue
        if child.kind == "SWITCH_STMT":
            if any(inner.kind == "CONTINUE_STMT" for inner in walk(child)):
                return True
            continue
        if _leaves(child):
            return True
    return False
