"""What a finished output holds and was made from, as the small JSON that is written last."""

import hashlib
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nli_core.hashing import canonical_digest, file_sha256

MANIFEST_NAME = "manifest.json"
KeyInputs = Mapping[str, Any]
"""All that decides a stage's result, as JSON-ready values."""


class FileRecord(BaseModel):
    """Size in bytes and SHA-256 of one file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int
    sha256: str


def records_of(folder: Path) -> dict[str, FileRecord]:
    """Hash every file below `folder`; keys are the paths from there."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): FileRecord(size=path.stat().st_size, sha256=file_sha256(path)) for path in paths
    }


class Manifest(BaseModel):
    """Files, key inputs and facts of a finished output. Its presence means that the output is complete.

    On disk, `kind` is called `stage`, and `key_inputs` `ingredients`. Add new fields at the end:
    versions that share a store then read each other's manifests, and neither takes the other's outputs for leftovers.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    kind: str = Field(alias="stage")
    key: str
    key_inputs: dict[str, Any] = Field(alias="ingredients")
    files: dict[str, FileRecord]
    facts: dict[str, Any]
    made_with: dict[str, Any] = {}
    seconds: float
    created: str
    sha256: str = ""

    @property
    def age(self) -> tuple[str, str, str]:
        """What outputs are sorted by, the oldest first; those of one second by kind and key."""
        return self.created, self.kind, self.key

    def sealed(self) -> "Manifest":
        """Return the same manifest with the digest of all its other fields."""
        text = self.model_dump_json(exclude={"sha256"}, by_alias=True)
        return self.model_copy(update={"sha256": hashlib.sha256(text.encode()).hexdigest()})


@dataclass(frozen=True)
class Output:
    """A finished stage's folder and manifest: what the next stage reads."""

    folder: Path
    manifest: Manifest

    @property
    def key(self) -> str:
        """The name of the output in the store."""
        return self.manifest.key

    @property
    def facts(self) -> dict[str, Any]:
        """What the stage reported about its result."""
        return self.manifest.facts

    def digest(self, *prefixes: str) -> str:
        """Hash the names and contents of all files, or of those whose names start with one of `prefixes`."""
        chosen = {
            name: record.sha256 for name, record in self.manifest.files.items() if name.startswith(prefixes or "")
        }
        return canonical_digest(chosen)

    def damage(self) -> str | None:
        """Read every file and describe the first that differs from the manifest; return None if none does."""
        with ThreadPoolExecutor(os.cpu_count()) as pool:  # hashing runs without Python's lock
            return next(filter(None, pool.map(self._fault, self.manifest.files)), None)

    def _fault(self, name: str) -> str | None:
        path, record = self.folder / name, self.manifest.files[name]
        try:
            if path.stat().st_size != record.size:
                return f"{path} has another size than its manifest says"
            if file_sha256(path) != record.sha256:
                return f"{path} was altered since it was written"
        except OSError as error:
            return f"{path} cannot be read ({error.strerror})"
        return None


def read_output(folder: Path) -> Output | None:
    """Read the output in a folder without verifying its files; return None without an intact manifest."""
    path = folder / MANIFEST_NAME
    try:
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        manifest = Manifest.model_validate_json(text)
    except (OSError, UnicodeDecodeError, ValidationError):
        return None
    return Output(folder, manifest) if manifest.key == folder.name and manifest == manifest.sealed() else None


def damage_of(folder: Path) -> str | None:
    """Describe what is damaged in the output in a folder; return None for an intact one."""
    output = read_output(folder)
    return output.damage() if output else f"{folder / MANIFEST_NAME} was altered since it was written, or is missing"
