"""Digests that were computed before, kept beside Python's bytecode for as long as no source of the package changes."""

import contextlib
import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nli_core import atomic


def digest_sources(package: Path) -> str:
    """Digest every source file of a package, and the version of Python, which parses them."""
    digest = hashlib.sha256(str(sys.version_info[:2]).encode())
    for path in sorted(package.rglob("*.py")):
        digest.update(f"{path.relative_to(package)}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def read_kept(package: Path, sources: str, entries: Sequence[str]) -> Any:
    """Read what is kept of these entries for these sources; None if there is nothing."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        kept = json.loads(_path(package, entries).read_text(encoding="utf-8"))
        return kept["value"] if kept["sources"] == sources else None
    return None


def keep(package: Path, sources: str, entries: Sequence[str], value: Any) -> None:
    """Keep a value, unless Python is not to write beside the sources, or cannot."""
    if not sys.dont_write_bytecode:
        with contextlib.suppress(OSError):
            atomic.write_text(_path(package, entries), json.dumps({"sources": sources, "value": value}))


def _path(package: Path, entries: Sequence[str]) -> Path:
    name = hashlib.sha256("\0".join(entries).encode()).hexdigest()[:16]
    return package / "fingerprint" / "__pycache__" / f"code-{name}.json"
