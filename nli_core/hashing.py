"""SHA-256 of files, folders and plain values."""

import hashlib
import json
from pathlib import Path


def file_sha256(path: Path) -> str:
    """Hash a file's bytes; the digest is in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def folder_digests(folder: Path) -> dict[str, str]:
    """Hash every file below `folder`; keys are the paths from there."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): file_sha256(path) for path in paths}


def canonical_digest(value: object) -> str:
    """Hash a value's canonical JSON: sorted keys, no spaces, ASCII."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
