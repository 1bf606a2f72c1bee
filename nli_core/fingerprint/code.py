"""Digest the code that can change a stage's result, so that a stage reruns when, and only when, that code changes.

The unit is a definition: a function, class or constant at the top of a core module. The digest of a definition covers
its syntax tree and the digests of the definitions that it uses. Names of modules and definitions are not part of it,
so moving or renaming code changes no digest. `docs/adr/0008-what-a-key-covers.md` has the rule and what it can miss.
"""

import ast
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from nli_core.fingerprint.kept import digest_sources, keep, read_kept
from nli_core.fingerprint.syntax import Scope, counted_fields
from nli_core.hashing import canonical_digest

_PACKAGE = "nli_core"
_ROOT = Path(__file__).parents[1]
# Configuration counts by its values. The others report, hash, lock, write atomically, name files, choose by name, move
# verified bytes or start processes.
_LEFT_OUT = (
    "nli_core.atomic",
    "nli_core.callbacks",
    "nli_core.config",
    "nli_core.errors",
    "nli_core.filenames",
    "nli_core.hashing",
    "nli_core.locks",
    "nli_core.malloc",
    "nli_core.model.families.registry",
    "nli_core.remote",
    "nli_core.run",
    "nli_core.store",
    "nli_core.training.processes",
    "nli_core.training.report",
)
_ONE_PARSES = Lock()  # Python 3.11 cannot parse code in two threads at a time (CPython issue 106905)


@dataclass(frozen=True)
class Code:
    """The digest of all code that entry points can reach, and for explanations a digest of each definition alone."""

    digest: str
    definitions: dict[str, str]


def code_of(*entries: str) -> Code:
    """Digest the code that the entries reach; an entry is written `module:definition`.

    Raises:
        LookupError: a module has no such definition.
    """
    with _ONE_PARSES:
        return _code_of(*entries)


@cache
def _code_of(*entries: str) -> Code:
    sources = _sources()
    if kept := read_kept(_ROOT, sources, entries):
        return Code(**kept)
    reader = _Reader()
    digests = [reader.digest(*entry.split(":")) for entry in entries]
    digest = hashlib.sha256("".join([*digests, *sorted(reader.effects)]).encode()).hexdigest()
    code = Code(digest, dict(sorted(reader.alone.items())))
    keep(_ROOT, sources, entries, asdict(code))
    return code


@cache
def _sources() -> str:
    return digest_sources(_ROOT)


@dataclass
class _Reader:
    """Digests definitions and remembers them: `deep` with all that they use, `alone` without."""

    deep: dict[str, str] = field(default_factory=dict)
    alone: dict[str, str] = field(default_factory=dict)
    effects: set[str] = field(default_factory=set)
    _read: set[str] = field(default_factory=set)

    def digest(self, module: str, name: str) -> str:
        """Digest one definition and all that it uses."""
        full = f"{module}.{name}"
        if full not in self.deep:
            self.deep[full] = f"recursion {name}"
            digests = [self._digest_node(module, node) for node in _module(module).definitions[name]]
            # Of several names that one assignment sets, each has a digest of its own.
            position = [list(_defined(node)).index(name) for node in _module(module).definitions[name]]
            self.deep[full] = canonical_digest([[deep for deep, _ in digests], position])
            self.alone[full] = canonical_digest([[alone for _, alone in digests], position])
            self._read_effects(module)
        return self.deep[full]

    def _read_effects(self, module: str) -> None:
        """Count the statements of a module that define nothing: they run whenever a part of it is used."""
        if module not in self._read:
            self._read.add(module)
            self.effects.update(self._digest_node(module, node)[0] for node in _module(module).effects)

    def _digest_node(self, module: str, node: ast.stmt) -> tuple[str, str]:
        tokens = _tokens(module, node)
        deep = (token if isinstance(token, str) else self._digest_used(token) for token in tokens)
        alone = (token if isinstance(token, str) else token.text for token in tokens)
        return _digest_texts(deep), _digest_texts(alone)

    def _digest_used(self, used: "_Used") -> str:
        return "".join([self.digest(used.module, name) for name in used.names])


class _Used(NamedTuple):
    """The definitions of a core module that a name refers to, and how the code calls them."""

    module: str
    names: tuple[str, ...]
    text: str


@cache
def _tokens(module: str, node: ast.stmt) -> list["str | _Used"]:
    """Write the parts of a statement that count as a list, in order: each text, and each use of the core."""
    tokens: list[str | _Used] = []
    scope = Scope(node)

    def visit(value: object) -> None:
        if isinstance(value, list):
            for item in value:
                visit(item)
            tokens.append("]")
        elif not isinstance(value, ast.AST):
            tokens.append(repr(value))
        elif (used := _used(module, value, scope)) is not None:
            tokens.append(used)
        else:
            tokens.append(type(value).__name__)
            with scope.inside(value):
                for name, part in counted_fields(value, scope):
                    tokens.append(name)
                    visit(part)

    visit(node)
    return tokens


def _used(module: str, node: ast.AST, scope: Scope) -> "str | _Used | None":
    """Return what a name refers to; None for a node that is no name."""
    if isinstance(node, ast.Name):
        return scope.local(node.id) or _resolve(module, node.id)
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and not scope.local(node.value.id):
        imported = _module(module).imports.get(node.value.id, "")
        if _source_path(imported):
            return _resolve(imported, node.attr)
    return None


def _resolve(module: str, name: str) -> "str | _Used":
    """Resolve `name` in `module`: a definition, something imported, or a builtin."""
    if _is_left_out(module):
        return name
    known = _module(module)
    if name in known.definitions:
        return _Used(module, (name,), name)
    imported = known.imports.get(name)
    if imported is None:
        return name
    if not imported.startswith(f"{_PACKAGE}.") or _is_left_out(imported):
        return imported
    if _source_path(imported):  # a whole module, used otherwise than by its attributes
        return _Used(imported, tuple(_module(imported).definitions), imported)
    parent, _, last = imported.rpartition(".")
    return _resolve(parent, last)


def _digest_texts(texts: Iterable[str]) -> str:
    return hashlib.sha256("".join(f"{text}\0" for text in texts).encode()).hexdigest()


@dataclass(frozen=True)
class _Module:
    """A parsed module: its definitions by name, the targets of its imported names, and its other statements."""

    definitions: dict[str, list[ast.stmt]]
    imports: dict[str, str]
    effects: list[ast.stmt]


@cache
def _module(name: str) -> _Module:
    path = _source_path(name)
    if path is None:
        raise LookupError(f"{name}: there is no such module")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = _Module({}, {}, [])
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.imports.update({alias.asname or alias.name.split(".")[0]: alias.name for alias in node.names})
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.imports.update({alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names})
    for statement in _executed(tree.body):
        names = list(_defined(statement))
        for each in names:
            found.definitions.setdefault(each, []).append(statement)
        if not names and not _is_inert(statement):
            found.effects.append(statement)
    return found


def _executed(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements that run; of `if TYPE_CHECKING`, those of its `else`."""
    for statement in body:
        if isinstance(statement, ast.If) and ast.unparse(statement.test) == "TYPE_CHECKING":
            yield from _executed(statement.orelse)
        else:
            yield statement


def _is_left_out(module: str) -> bool:
    return any(module == each or module.startswith(f"{each}.") for each in _LEFT_OUT)


def _defined(statement: ast.stmt) -> Iterator[str]:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield statement.name
    elif isinstance(statement, ast.Assign):
        nodes = [node for target in statement.targets for node in ast.walk(target)]
        yield from (node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store))
    elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
        yield statement.target.id


def _is_inert(statement: ast.stmt) -> bool:
    """Return whether a statement only imports or documents."""
    documents = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    return documents or isinstance(statement, ast.Import | ast.ImportFrom)


@cache
def _source_path(module: str) -> Path | None:
    """Find the file of a core module without importing anything; return None for anything else."""
    package, *parts = module.split(".")
    if package != _PACKAGE:
        return None
    path = _ROOT.joinpath(*parts)
    return next((path for path in (path.with_suffix(".py"), path / "__init__.py") if path.is_file()), None)
