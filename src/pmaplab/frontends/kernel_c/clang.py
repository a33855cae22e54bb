"""libclang behind types: from a C file to :mod:`.nodes`.

The only module that knows libclang.  It is an optional package; its Python
binding has no types, and lacks a few functions that its library has.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable, Collection, Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pmaplab.errors import InputError, Location, TreeError
from pmaplab.frontends.kernel_c.nodes import (
    BOOL,
    CFunction,
    CType,
    CVariable,
    Node,
    Parameter,
    Unit,
    called,
    walk,
)

_BINARY = (
    "?", ".*", "->*", "*", "/", "%", "+", "-", "<<", ">>", "<=>", "<", ">", "<=", ">=", "==",
    "!=", "&", "^", "|", "&&", "||", "=", "*=", "/=", "%=", "+=", "-=", "<<=", ">>=", "&=", "^=",
    "|=", ",",
)  # fmt: skip
_UNARY = (
    "?", "x++", "x--", "++x", "--x", "&", "*", "+", "-", "~", "!", "__real", "__imag",
    "__extension__", "co_await",
)  # fmt: skip

# The kinds of clang types (CXTypeKind) that are integers, with their signedness
# on amd64.
_SIGNED = {"CHAR_S", "SCHAR", "SHORT", "INT", "LONG", "LONGLONG", "INT128"}
_UNSIGNED = {"BOOL", "CHAR_U", "UCHAR", "USHORT", "UINT", "ULONG", "ULONGLONG", "UINT128"}

# The variables that say which features the kernel uses.
TUNABLES = {"pmap_pcid_enabled", "invpcid_works", "pti"}
_UNNAMED = re.compile(r"\((?:unnamed|anonymous)[^)]*\)")
_LITERALS = {
    "INTEGER_LITERAL",
    "CHARACTER_LITERAL",
    "CXX_UNARY_EXPR",
    "SizeOfPackExpr",
}


@dataclass(frozen=True)
class Request:
    """What to parse: ``path`` with its text and clang's arguments.

    ``show`` names a file for messages.  ``roots`` are the functions that are
    wanted; what they call is followed, except through ``leaves``, which have a
    meaning of their own.
    """

    path: Path
    text: str
    arguments: Sequence[str]
    show: Callable[[str], str]
    roots: Collection[str]
    leaves: Container[str]
    # Other files whose text is not the one on disk.
    changed: Mapping[str, str]


class MissingHeader(Exception):
    """A header that the build generates."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def _load() -> Any:
    try:
        import clang.cindex as binding  # type: ignore[import-not-found,import-untyped,unused-ignore]
    except ImportError:
        raise InputError(
            "the C front end needs libclang, which is not installed",
            advice="pip install 'pmaplab[c]'; ./pmaplab does it by itself",
        ) from None
    library = binding.conf.lib
    if not hasattr(library, "clang_getCursorBinaryOperatorKind"):
        raise InputError(
            "the libclang that is installed is older than version 17",
            advice="pip install 'pmaplab[c]'; ./pmaplab does it by itself",
        )
    for name in ("clang_getCursorBinaryOperatorKind", "clang_getCursorUnaryOperatorKind"):
        function = getattr(library, name)
        function.argtypes, function.restype = [binding.Cursor], ctypes.c_int
    library.clang_Cursor_Evaluate.argtypes = [binding.Cursor]
    library.clang_Cursor_Evaluate.restype = ctypes.c_void_p
    library.clang_Cursor_getVarDeclInitializer.argtypes = [binding.Cursor]
    library.clang_Cursor_getVarDeclInitializer.restype = binding.Cursor
    library.clang_Cursor_isAnonymousRecordDecl.argtypes = [binding.Cursor]
    library.clang_Cursor_isAnonymousRecordDecl.restype = ctypes.c_uint
    library.clang_getCursorPrintingPolicy.argtypes = [binding.Cursor]
    library.clang_getCursorPrintingPolicy.restype = ctypes.c_void_p
    library.clang_getCursorPrettyPrinted.argtypes = [binding.Cursor, ctypes.c_void_p]
    library.clang_getCursorPrettyPrinted.restype = binding._CXString
    library.clang_getCursorPrettyPrinted.errcheck = binding._CXString.from_result
    library.clang_PrintingPolicy_dispose.argtypes = [ctypes.c_void_p]
    library.clang_PrintingPolicy_dispose.restype = None
    for name, result in (
        ("clang_EvalResult_getKind", ctypes.c_int),
        ("clang_EvalResult_getAsLongLong", ctypes.c_longlong),
        ("clang_EvalResult_isUnsignedInt", ctypes.c_uint),
        ("clang_EvalResult_getAsUnsigned", ctypes.c_ulonglong),
        ("clang_EvalResult_dispose", None),
    ):
        function = getattr(library, name)
        function.argtypes, function.restype = [ctypes.c_void_p], result
    return binding


def version() -> str:
    """The version of libclang's binding, for the key of the cache."""
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    try:
        return installed("libclang")
    except PackageNotFoundError:
        return "?"


def parse(request: Request) -> Unit:
    """Parse one file.

    Raises MissingHeader for a generated header, TreeError with the place for C
    that does not parse, InputError without libclang.
    """
    return _Parser(_load(), request).run()


class _Parser:
    def __init__(self, binding: Any, request: Request) -> None:
        self.c = binding
        self.request = request
        self.types: dict[tuple[int, str], CType] = {}
        self.names: dict[str, str] = {}
        self.keys: dict[tuple[int, str, int], str] = {}

    def run(self) -> Unit:
        request, c = self.request, self.c
        path = str(request.path)
        unsaved = [(path, request.text), *request.changed.items()]
        try:
            unit = c.Index.create().parse(path, args=list(request.arguments), unsaved_files=unsaved)
        except c.TranslationUnitLoadError as error:
            raise InputError(f"{request.show(path)}: libclang cannot read it: {error}") from None
        self._check(unit)
        defined: dict[str, Any] = {}
        declared: dict[str, Any] = {}
        variables: dict[str, Any] = {}
        own: dict[str, Location] = {}
        for cursor in unit.cursor.get_children():
            name = cursor.spelling
            match cursor.kind.name:
                case "FUNCTION_DECL" if cursor.is_definition():
                    defined[name] = cursor
                    if cursor.location.file is not None and cursor.location.file.name == path:
                        own[name] = self.location(cursor)
                case "FUNCTION_DECL":
                    declared[name] = cursor
                case "VAR_DECL":
                    known = variables.get(name)
                    if known is None or not known.is_definition():
                        variables[name] = cursor
        functions: dict[str, CFunction] = {}
        ifuncs: dict[str, str] = {}
        work = [name for name in request.roots if name in defined or name in declared]
        seen: set[str] = set()
        while work:
            name = work.pop()
            if name in seen or (name in request.leaves and name not in request.roots):
                continue
            seen.add(name)
            if name not in defined and f"{name}_resolver" in defined and name in declared:
                if any(k.kind.name == "UNEXPOSED_ATTR" for k in declared[name].get_children()):
                    ifuncs[name] = f"{name}_resolver"
                    work.append(f"{name}_resolver")
            elif name in defined:
                function = functions[name] = self.function(defined[name])
                work += called(function.body)
        named = {
            node.name
            for function in functions.values()
            for node in walk(function.body)
            if node.ref == "global"
        }
        objects = {
            name: self.variable(variables[name]) for name in sorted(named) if name in variables
        }
        files = sorted({str(include.include.name) for include in unit.get_includes()})
        tunables = frozenset(TUNABLES & variables.keys())
        return Unit(request.show(path), functions, objects, own, ifuncs, tunables, tuple(files))

    def _check(self, unit: Any) -> None:
        for diagnostic in unit.diagnostics:
            if diagnostic.severity < self.c.Diagnostic.Error:
                continue
            text = diagnostic.spelling
            if text.endswith("file not found"):
                raise MissingHeader(text.split("'")[1])
            where = diagnostic.location
            if where.file is None:
                raise InputError(f"{self.request.show(str(self.request.path))}: {text}")
            raise TreeError(
                f"C that does not parse: {text}",
                location=Location(
                    self.request.show(where.file.name), where.line, where.column, where.column
                ),
                advice="is it a FreeBSD tree, complete and for amd64?",
            )

    def key(self, cursor: Any) -> str:
        """What tells locals of one name apart, also those that one expansion of
        a macro declares."""
        place = cursor.hash, cursor.spelling, cursor.location.offset
        return self.keys.setdefault(place, f"{cursor.spelling}@{len(self.keys)}")

    # --- places and types ------------------------------------------------------

    def location(self, cursor: Any) -> Location:
        extent = cursor.extent
        start, end = extent.start, extent.end
        if start.file is None:
            start = end = cursor.location
        name = "" if start.file is None else start.file.name
        shown = self.names.get(name)
        if shown is None:
            shown = self.names[name] = self.request.show(name)
        stop = end.column if end.line == start.line else start.column
        return Location(shown, start.line, start.column, max(stop, start.column))

    def type(self, kind: Any, depth: int = 0) -> CType:
        kind = kind.get_canonical()
        name, text = kind.kind.name, kind.spelling
        known = self.types.get((kind.kind.value, text))
        if known is not None:
            return known
        # The place of a type without a name is no part of it.
        result = self._type(kind, name, _UNNAMED.sub("(unnamed)", text), depth)
        self.types[kind.kind.value, text] = result
        return result

    def _type(self, kind: Any, name: str, text: str, depth: int) -> CType:
        if name == "BOOL":
            return BOOL
        if name in _SIGNED or name in _UNSIGNED:
            return CType("int", text, kind.get_size() * 8, name in _SIGNED)
        match name:
            case "ENUM":
                inner = self.type(kind.get_declaration().enum_type)
                return CType("int", text, inner.bits, inner.signed)
            case "VOID":
                return CType("void", text)
            case "POINTER" if depth < 8:
                return CType("pointer", text, 64, target=self.type(kind.get_pointee(), depth + 1))
            case "CONSTANTARRAY" | "INCOMPLETEARRAY":
                target = self.type(kind.element_type, depth + 1)
                length = kind.element_count if name == "CONSTANTARRAY" else 0
                return CType("array", text, target=target, length=length)
            case "RECORD":
                declaration = kind.get_declaration()
                anonymous = declaration.is_anonymous() or "(" in declaration.spelling
                bits = max(kind.get_size(), 0) * 8
                return CType("struct", text, bits, name="" if anonymous else declaration.spelling)
            case "FUNCTIONPROTO" | "FUNCTIONNOPROTO":
                return CType("function", text, target=self.type(kind.get_result(), depth + 1))
        return CType("other", text)

    # --- declarations -----------------------------------------------------------

    def function(self, cursor: Any) -> CFunction:
        children = list(cursor.get_children())
        body = next(child for child in reversed(children) if child.kind.name == "COMPOUND_STMT")
        parameters = tuple(
            Parameter(p.spelling, self.key(p), self.type(p.type)) for p in cursor.get_arguments()
        )
        return CFunction(
            cursor.spelling,
            self.location(cursor),
            parameters,
            self.type(cursor.result_type),
            self.node(body),
        )

    def variable(self, cursor: Any) -> CVariable:
        initial = self.c.conf.lib.clang_Cursor_getVarDeclInitializer(cursor)
        missing = initial.kind.is_invalid()
        if not missing:
            initial._tu = cursor._tu
        return CVariable(
            cursor.spelling,
            self.location(cursor),
            self.type(cursor.type),
            not missing or cursor.storage_class.name != "EXTERN",
            None if missing else self.node(initial),
        )

    # --- statements and expressions ----------------------------------------------

    def node(self, cursor: Any) -> Node:
        kind = cursor.kind.name
        loc = self.location(cursor)
        ctype = self.type(cursor.type)
        name = ref = key = ""
        value: int | None = None
        inner: Sequence[Any] = list(cursor.get_children())
        library = self.c.conf.lib
        match kind:
            case "BINARY_OPERATOR" | "COMPOUND_ASSIGNMENT_OPERATOR":
                name = _BINARY[library.clang_getCursorBinaryOperatorKind(cursor)]
            case "UNARY_OPERATOR":
                name = _UNARY[library.clang_getCursorUnaryOperatorKind(cursor)]
            case "DECL_REF_EXPR":
                name, ref, key, value = self._reference(cursor)
                inner = ()
            case "MEMBER_REF_EXPR":
                name = cursor.spelling
                field = cursor.referenced
                if field is not None:
                    key = self._unions(field)
                    if field.is_bitfield():
                        value = field.get_bitfield_width()
                inner = [child for child in inner if child.kind.is_expression()]
            case "STRING_LITERAL":
                name, inner = _string(cursor.spelling), ()
            case "VAR_DECL":
                name, key = cursor.spelling, self.key(cursor)
                ref = "static" if cursor.storage_class.name == "STATIC" else "local"
                if any(child.kind.is_attribute() for child in inner) and self._cleans(cursor):
                    ref = "cleanup"
                initial = library.clang_Cursor_getVarDeclInitializer(cursor)
                if initial.kind.is_invalid():
                    inner = ()
                else:
                    initial._tu = cursor._tu
                    inner = [initial]
            case "LABEL_STMT" | "LABEL_REF":
                name = cursor.spelling
            case "CSTYLE_CAST_EXPR":
                inner = [child for child in inner if child.kind.is_expression()]
            case "FOR_STMT":
                return self._for(cursor, loc, ctype, inner)
            case "DECL_STMT":
                inner = [c for c in inner if c.kind.name == "VAR_DECL" or _sized_late(c)]
        if kind in _LITERALS or (kind == "UNEXPOSED_EXPR" and not inner):
            value, inner = self._evaluate(cursor, ctype), ()
        children = tuple(self.node(child) for child in inner)
        return Node(kind, loc, ctype, children, name, ref, key, value)

    def _unions(self, member: Any) -> str:
        """The unions that a member is in, with what of each; those without a name
        that stand around it as well."""
        found: list[str] = []
        while True:
            outer = member.semantic_parent
            if outer.kind.name == "UNION_DECL":
                found.append(f"{self.location(outer)}={self.location(member)}")
            if not self.c.conf.lib.clang_Cursor_isAnonymousRecordDecl(outer):
                return " ".join(found)
            member = outer

    def _cleans(self, cursor: Any) -> bool:
        """Whether a function is called when a local variable goes out of scope; the
        attribute has no kind of its own."""
        library = self.c.conf.lib
        policy = library.clang_getCursorPrintingPolicy(cursor)
        try:
            text = str(library.clang_getCursorPrettyPrinted(cursor, policy))
        finally:
            library.clang_PrintingPolicy_dispose(policy)
        return "__attribute__((cleanup(" in text

    def _reference(self, cursor: Any) -> tuple[str, str, str, int | None]:
        target = cursor.referenced
        name = cursor.spelling
        match target.kind.name:
            case "FUNCTION_DECL":
                return name, "function", "", None
            case "ENUM_CONSTANT_DECL":
                return name, "enumerator", "", target.enum_value
            case "PARM_DECL":
                return name, "local", self.key(target), None
        if target.semantic_parent.kind.name == "TRANSLATION_UNIT":
            return name, "global", "", None
        if target.storage_class.name in ("STATIC", "EXTERN"):
            kind = "static" if target.storage_class.name == "STATIC" else "global"
            return name, kind, self.key(target), None
        return name, "local", self.key(target), None

    def _evaluate(self, cursor: Any, ctype: CType) -> int | None:
        library = self.c.conf.lib
        result = library.clang_Cursor_Evaluate(cursor)
        if not result:
            return None
        try:
            if library.clang_EvalResult_getKind(result) != 1:
                return None
            number = int(library.clang_EvalResult_getAsLongLong(result))
        finally:
            library.clang_EvalResult_dispose(result)
        if ctype.kind == "int" and not ctype.signed:
            number &= (1 << ctype.bits) - 1
        return number

    def _for(self, cursor: Any, loc: Location, ctype: CType, inner: Sequence[Any]) -> Node:
        """libclang leaves out the parts of `for (;;)` that are empty: the tokens
        say which."""
        parts: list[Node | None] = [self.node(child) for child in inner]
        if len(parts) == 1:
            parts = [None, None, None, parts[0]]
        elif [child.kind.name for child in inner[:-1]][:1] == ["DECL_STMT"] and len(parts) == 3:
            # Of a macro there are no tokens; but nobody steps by comparing.
            step = parts[1] if _compares(parts[1]) else None
            if step is not None:
                parts = [parts[0], step, None, parts[2]]
        if len(parts) < 4:
            semicolons = self._semicolons(cursor)
            if semicolons is None:
                raise TreeError(
                    "a for statement out of a macro that leaves out one of its parts",
                    location=loc,
                    advice="the front end cannot tell which one",
                )
            first, second, close = semicolons
            placed: list[Node | None] = [None, None, None, parts[-1]]
            for child, node in zip(inner[:-1], parts[:-1], strict=True):
                offset = child.extent.start.offset
                placed[0 if offset < first else 1 if offset < second else 2] = node
                assert offset < close
            parts = placed
        empty = Node("NULL_STMT", loc, ctype)
        children = tuple(empty if part is None else part for part in parts)
        return Node("FOR_STMT", loc, ctype, children)

    def _semicolons(self, cursor: Any) -> tuple[int, int, int] | None:
        depth = 0
        found: list[int] = []
        for token in cursor.get_tokens():
            text = token.spelling
            if text == "for" or text in "([{":
                depth += text != "for"
            elif text in ")]}":
                depth -= 1
                if depth == 0:
                    offset = token.extent.start.offset
                    return (found[0], found[1], offset) if len(found) == 2 else None
            elif text == ";" and depth == 1:
                found.append(token.extent.start.offset)
        return None


def _sized_late(cursor: Any) -> bool:
    """Whether a declaration evaluates the length of an array."""
    return cursor.kind.name == "TYPEDEF_DECL" and "VARIABLEARRAY" in (
        cursor.underlying_typedef_type.get_canonical().kind.name
    )


def _compares(node: Node | None) -> bool:
    """Whether the value of an expression is that of a comparison."""
    while node is not None and node.children and node.kind != "BINARY_OPERATOR":
        if node.kind not in ("StmtExpr", "COMPOUND_STMT", "PAREN_EXPR", "UNARY_OPERATOR"):
            return False
        node = node.children[-1]
    return node is not None and node.name in ("<", ">", "<=", ">=", "==", "!=")


def _string(text: str) -> str:
    """The content of a string literal as it is spelled."""
    escapes = {"\\n": "\n", "\\t": "\t", '\\"': '"', "\\\\": "\\"}
    text = text.removeprefix('"').removesuffix('"')
    for escape, char in escapes.items():
        text = text.replace(escape, char)
    return text
