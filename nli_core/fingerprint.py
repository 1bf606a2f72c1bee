"""Digests of the core's code, so that a stage runs again when, and only when, code that it runs has changed.

A module counts by its parsed source: comments, docstrings and formatting do not. Which modules a stage runs is read
from their import statements, not from what happens to be loaded. The digests belong to one minor version of Python,
whose grammar they render.
"""

import ast
import hashlib
from functools import cache
from pathlib import Path

_PACKAGE = "nli_core"
# What these decide is in the key already: the config's values, and the ingredients themselves.
_LEFT_OUT = ("nli_core.config", "nli_core.manifest", "nli_core.store")


def code_digests(*entry_modules: str) -> dict[str, str]:
    """Digest of each core module that the entry modules import, themselves included, directly or not."""
    digests: dict[str, str] = {}
    waiting = list(entry_modules)
    while waiting:
        module = waiting.pop()
        if module in digests or module.startswith(_LEFT_OUT):
            continue
        source = _source_path(module)
        if source is None:
            continue
        digest, imported = _parse(source)
        digests[module] = digest
        waiting.extend(imported)
    return dict(sorted(digests.items()))


def _source_path(module: str) -> Path | None:
    """The file of a core module, found without importing anything; None for a name inside a module."""
    place = Path(__file__).parent.joinpath(*module.split(".")[1:])
    return next((path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file()), None)


@cache
def _parse(source: Path) -> tuple[str, tuple[str, ...]]:
    tree = ast.parse(source.read_text(encoding="utf-8"))
    imported: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            imported += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            _drop_docstring(node)
    digest = hashlib.sha256(ast.dump(tree).encode()).hexdigest()
    return digest, tuple(name for name in imported if name.split(".")[0] == _PACKAGE)


def _drop_docstring(node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> None:
    if ast.get_docstring(node, clean=False) is not None:
        node.body = node.body[1:]
