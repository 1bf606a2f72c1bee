"""Decide which parts of a Python syntax tree can change a result.

Docstrings, annotations and messages cannot. Messages are the arguments of `raise`, logging and progress calls, and of
the keywords in `_MESSAGE_KEYWORDS`. So are local variables that nothing but a message reads.
"""

import ast
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeGuard

_LOG_METHODS = {"debug", "info", "warning", "error", "exception", "critical"}
_LOGGERS = {"logger", "log"}
_PROGRESS_CALLS = {"progress", "report"}
_MESSAGE_KEYWORDS = {"description", "describe", "remedy"}
_HARMLESS_CALLS = {"str", "len", "repr", "map", "sorted", "min", "max", "int", "float", "sum", "join", "format"}
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_NAMED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_CALLABLE = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


class Scope:
    """The local names at a place in one definition, and which of them only serve messages."""

    def __init__(self, definition: ast.stmt) -> None:
        nodes = list(ast.walk(definition))
        self.messages: set[str] = set()
        self.fields = _fields_with_base(nodes)
        self._frames: list[dict[str, str]] = [dict.fromkeys(_own_names(definition), "itself")]
        self._known = 0
        self._find_messages(definition, nodes)

    @contextmanager
    def inside(self, node: ast.AST) -> Iterator[None]:
        """Add the local names of a function or comprehension for the block."""
        names = _local_names(node)
        if names is None:
            yield
            return
        frame = {name: f"parameter {name}" for name in _parameters(node)}
        for name in names:
            if name not in self.messages:
                frame[name] = f"local {self._known}"
                self._known += 1
        self._frames.append(frame)
        try:
            yield
        finally:
            self._frames.pop()

    def local(self, name: str) -> str | None:
        """Return a replacement for a local name, or None for a name from outside; locals count by their order."""
        return next((frame[name] for frame in reversed(self._frames) if name in frame), None)

    def _find_messages(self, definition: ast.stmt, nodes: list[ast.AST]) -> None:
        """Drop assignments whose name nothing reads but a message, until no more are found."""
        outer = {name for node in nodes if isinstance(node, ast.Global | ast.Nonlocal) for name in node.names}
        assigned = {
            name
            for node in nodes
            if isinstance(node, _FUNCTIONS)
            for statement in ast.walk(node)
            if (name := _assigned_text(statement)) and name not in outer
        }
        unread = assigned
        while unread:
            read = {
                node.id
                for node in _walk(definition, self)
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
            }
            unread = assigned - read - self.messages
            self.messages |= unread


def counted_fields(node: ast.AST, scope: Scope) -> Iterator[tuple[str, object]]:
    """Yield the fields of a node that can change a result, without empty ones."""
    for name, value in ast.iter_fields(node):
        if value is None or value == [] or not _counts(node, name, scope):
            continue
        if name in ("body", "orelse", "finalbody") and isinstance(value, list):
            yield name, [each for each in value if not _is_silent(each, scope)]
        elif name == "name" and isinstance(node, (*_NAMED, ast.ExceptHandler)):
            yield name, scope.local(str(value)) or value
        elif name == "exc" and isinstance(value, ast.Call):
            yield name, value.func
        elif name == "keywords":
            yield name, [each for each in value if each.arg not in _MESSAGE_KEYWORDS]
        else:
            yield name, value


def _counts(node: ast.AST, name: str, scope: Scope) -> bool:
    if name in ("annotation", "returns", "type_comment", "type_params", "kind", "ctx"):
        return name == "annotation" and node in scope.fields
    return True


def _is_silent(statement: ast.stmt, scope: Scope) -> bool:
    """Return whether a statement is a docstring, a message, or an import; imports count by the names that are used."""
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Constant) or _is_message(statement.value)
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return True
    return _assigned_text(statement) in scope.messages


def _is_message(call: ast.expr) -> bool:
    if not isinstance(call, ast.Call):
        return False
    names = [node.id if isinstance(node, ast.Name) else node.attr for node in _chain(call.func)]
    logs = len(names) > 1 and names[0] in _LOG_METHODS and names[1].lower().strip("_") in _LOGGERS
    return logs or (names[:1] != [] and names[0].strip("_") in _PROGRESS_CALLS)


def _chain(function: ast.expr) -> Iterator[ast.Name | ast.Attribute]:
    """Yield the parts of a dotted name, the last one first."""
    while isinstance(function, ast.Attribute):
        yield function
        function = function.value
    if isinstance(function, ast.Name):
        yield function


def _assigned_text(statement: ast.AST) -> str | None:
    """Return the local name that a statement sets to a value whose computation has no effects."""
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        target: ast.expr = statement.targets[0]
    elif isinstance(statement, ast.AugAssign | ast.AnnAssign) and statement.value is not None:
        target = statement.target
    else:
        return None
    assert statement.value is not None
    return target.id if isinstance(target, ast.Name) and _is_harmless(statement.value) else None


def _is_harmless(value: ast.expr) -> bool:
    for node in ast.walk(value):
        if isinstance(node, ast.Call):
            last = next(_chain(node.func), None)
            name = last.id if isinstance(last, ast.Name) else last.attr if last else ""
            if name not in _HARMLESS_CALLS:
                return False
        elif isinstance(node, ast.NamedExpr | ast.Await | ast.Yield | ast.YieldFrom | ast.Lambda):
            return False
    return True


def _fields_with_base(nodes: list[ast.AST]) -> set[ast.AST]:
    """Return the annotated fields of classes that have a base: pydantic executes their annotations."""
    classes = [node for node in nodes if isinstance(node, ast.ClassDef) and node.bases]
    return {field for each in classes for field in each.body if isinstance(field, ast.AnnAssign)}


def _own_names(definition: ast.stmt) -> set[str]:
    """Return the names that a definition gives itself."""
    if isinstance(definition, _NAMED):
        return {definition.name}
    if isinstance(definition, ast.Assign | ast.AnnAssign):
        targets = definition.targets if isinstance(definition, ast.Assign) else [definition.target]
        return {node.id for target in targets for node in ast.walk(target) if _is_stored(node)}
    return set()


def _parameters(node: ast.AST) -> Iterator[str]:
    """Yield the parameters of a function, which callers may name."""
    if isinstance(node, _CALLABLE):
        yield from (child.arg for child in ast.walk(node.args) if isinstance(child, ast.arg))


def _local_names(node: ast.AST) -> list[str] | None:
    """Return the names that a function or comprehension sets, in order of appearance; None for any other node."""
    if isinstance(node, _COMPREHENSIONS):
        return [each.id for part in node.generators for each in ast.walk(part.target) if isinstance(each, ast.Name)]
    if not isinstance(node, _CALLABLE):
        return None
    names: dict[str, None] = {}
    fixed = set(_parameters(node))
    for child in _same_scope(node):
        if isinstance(child, ast.Global | ast.Nonlocal):
            fixed.update(child.names)
        elif isinstance(child, ast.ExceptHandler):
            names.update({child.name: None} if child.name else {})
        elif isinstance(child, _NAMED):
            names[child.name] = None
        elif isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store):
            names[child.id] = None
    return [name for name in names if name not in fixed]


def _same_scope(function: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of a function without those of functions, classes and comprehensions within it."""
    for child in ast.iter_child_nodes(function):
        yield child
        if not isinstance(child, (*_CALLABLE, *_COMPREHENSIONS, ast.ClassDef)):
            yield from _same_scope(child)


def _is_stored(node: ast.AST) -> TypeGuard[ast.Name]:
    return isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)


def _walk(node: ast.AST, scope: Scope) -> Iterator[ast.AST]:
    """Yield `node` and all nodes below it that count."""
    yield node
    for _, value in counted_fields(node, scope):
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from _walk(child, scope)
