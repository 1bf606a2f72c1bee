"""Decide which parts of a Python syntax tree can change a result.

Docstrings, annotations and messages cannot. Messages are the arguments of `raise`, logging and progress calls, and of
the keywords in `_MESSAGE_KEYWORDS`. So are local variables that nothing but a message reads.
"""

import ast
from collections.abc import Iterator

_LOG_METHODS = {"debug", "info", "warning", "error", "exception", "critical"}
_LOGGERS = {"logger", "log"}
_PROGRESS_CALLS = {"progress", "report"}
_MESSAGE_KEYWORDS = {"description", "describe", "remedy"}
_HARMLESS_CALLS = {"str", "len", "repr", "map", "sorted", "min", "max", "int", "float", "sum", "join", "format"}
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


class Scope:
    """The local names of one definition, and which of them only serve messages."""

    def __init__(self, definition: ast.stmt) -> None:
        self.definition = definition
        self.messages: set[str] = set()
        self._locals = _local_names(definition)
        self._numbers: dict[str, str] = {}
        self._find_messages()

    def local(self, name: str) -> str | None:
        """Replace a local name by a number in order of appearance; the definition's own name is local."""
        if name not in self._locals:
            return None
        return self._numbers.setdefault(name, f"local {len(self._numbers)}")

    def _find_messages(self) -> None:
        """Drop assignments whose name nothing reads but a message, until no more are found."""
        assigned = {
            name
            for node in ast.walk(self.definition)
            if isinstance(node, _FUNCTIONS)
            for statement in ast.walk(node)
            if (name := _assigned_text(statement))
        }
        while True:
            read = {
                node.id
                for node in _walk(self.definition, self)
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
            }
            if found := assigned - read - self.messages:
                self.messages |= found
            else:
                return


def counted_fields(node: ast.AST, scope: Scope) -> Iterator[tuple[str, object]]:
    """Yield the fields of a node that can change a result, without empty ones."""
    for name, value in ast.iter_fields(node):
        if value is None or value == [] or not _counts(node, name, scope):
            continue
        if name in ("body", "orelse", "finalbody") and isinstance(value, list):
            yield name, [each for each in value if not _is_silent(each, scope)]
        elif name == "name" and isinstance(node, *[(*_FUNCTIONS, ast.ClassDef, ast.ExceptHandler)]):
            yield name, scope.local(str(value)) or value
        elif name == "exc" and isinstance(value, ast.Call):
            yield name, value.func
        elif name == "keywords":
            yield name, [each for each in value if each.arg not in _MESSAGE_KEYWORDS]
        else:
            yield name, value


def _counts(node: ast.AST, name: str, scope: Scope) -> bool:
    if name in ("annotation", "returns", "type_comment", "type_params", "kind", "ctx"):
        return name == "annotation" and _is_executed(scope.definition)
    return True


def _is_executed(definition: ast.stmt) -> bool:
    """Return whether annotations are code: pydantic validates by those of its models."""
    bases = definition.bases if isinstance(definition, ast.ClassDef) else []
    return any(isinstance(base, ast.Name) and base.id == "BaseModel" for base in bases)


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


def _local_names(definition: ast.stmt) -> set[str]:
    """Collect the names set within a definition's functions, except parameters, which callers may name."""
    names: set[str] = {definition.name} if isinstance(definition, *[(*_FUNCTIONS, ast.ClassDef)]) else set()
    if isinstance(definition, ast.Assign | ast.AnnAssign):
        targets = definition.targets if isinstance(definition, ast.Assign) else [definition.target]
        names |= {node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)}
    fixed: set[str] = set()
    for function in ast.walk(definition):
        if not isinstance(function, _FUNCTIONS):
            continue
        for node in ast.walk(function):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                names.add(node.id)
            elif isinstance(node, _FUNCTIONS) and node is not function:
                names.add(node.name)
            elif isinstance(node, ast.ExceptHandler):
                names.add(node.name or "")
            elif isinstance(node, ast.arg):
                fixed.add(node.arg)
            elif isinstance(node, ast.Global | ast.Nonlocal):
                fixed.update(node.names)
    return names - fixed


def _walk(node: ast.AST, scope: Scope) -> Iterator[ast.AST]:
    """Yield `node` and all nodes below it that count."""
    yield node
    for _, value in counted_fields(node, scope):
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from _walk(child, scope)
