"""What a finished output consists of and was made from, as the small JSON that is written last."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from nli_core import atomic
from nli_core.config import Stage

MANIFEST_NAME = "manifest.json"


class FileRecord(BaseModel):
    """Size in bytes and SHA-256 of one file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int
    sha256: str


class Manifest(BaseModel):
    """What a finished output consists of and was made from. Its presence means that the output is complete."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: Stage
    key: str
    ingredients: dict[str, Any]
    files: dict[str, FileRecord]
    facts: dict[str, Any]
    made_with: dict[str, Any] = {}
    seconds: float
    created: str
    sha256: str = ""

    def sealed(self) -> "Manifest":
        """The same manifest with the digest of all its other fields."""
        text = self.model_dump_json(exclude={"sha256"})
        return self.model_copy(update={"sha256": hashlib.sha256(text.encode()).hexdigest()})


@dataclass(frozen=True)
class Output:
    """A finished stage's folder and manifest: what the next stage takes."""

    folder: Path
    manifest: Manifest

    @property
    def key(self) -> str:
        return self.manifest.key

    @property
    def facts(self) -> dict[str, Any]:
        return self.manifest.facts

    def digest(self, *prefixes: str) -> str:
        """One digest over the names and contents of the files whose names start with any of `prefixes`."""
        chosen = {
            name: record.sha256 for name, record in self.manifest.files.items() if name.startswith(prefixes or "")
        }
        return canonical_digest(chosen)

    def damage(self) -> str | None:
        """What is wrong with the files, or None when every one is as the manifest says. Reads them all."""
        for name, record in self.manifest.files.items():
            path = self.folder / name
            try:
                if path.stat().st_size != record.size:
                    return f"{path} has another size than its manifest says"
                if atomic.file_sha256(path) != record.sha256:
                    return f"{path} was altered since it was written"
            except OSError as error:
                return f"{path} cannot be read ({error.strerror})"
        return None


def read_output(folder: Path) -> Output | None:
    """The output in this folder as its manifest describes it, its files unverified; None without a sound manifest."""
    try:
        text = (folder / MANIFEST_NAME).read_text(encoding="utf-8")
        manifest = Manifest.model_validate_json(text)
    except (OSError, UnicodeDecodeError, ValidationError):
        return None
    return Output(folder, manifest) if manifest.key == folder.name and manifest == manifest.sealed() else None


def damage_of(folder: Path) -> str | None:
    """What is wrong with the output in this folder, or None."""
    output = read_output(folder)
    return output.damage() if output else f"{folder / MANIFEST_NAME} was altered since it was written, or is gone"


def canonical_digest(value: object) -> str:
    """The SHA-256 of a value's canonical JSON."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
