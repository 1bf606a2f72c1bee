"""Encoders of the Hugging Face hub, or of a mirror of it."""

import json
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from nli_core.download.encoders.layout import REMEDY, WANTED_FILES, choose_files
from nli_core.errors import UserError
from nli_core.urls import without_password

if TYPE_CHECKING:
    from nli_core.download.fetch import Fetcher

_COMMIT = re.compile(r"[0-9a-f]{40}")


def is_commit(revision: str) -> bool:
    """Return whether a revision can never mean anything else."""
    return bool(_COMMIT.fullmatch(revision))


def hub_address(mirror: str | None) -> str:
    """Return the address of the mirror, or else of the hub, which `HF_ENDPOINT` may name."""
    from huggingface_hub.constants import ENDPOINT

    return (mirror or ENDPOINT).rstrip("/")


def hub_token(address: str) -> str | None:
    """Return the user's token for an address of the hub; None for any other host, and for plain http."""
    from huggingface_hub import get_token

    hub, asked = urlsplit(hub_address(None)), urlsplit(address)
    return get_token() if asked[:2] == hub[:2] and asked.scheme == "https" else None


def download_from_hub(repository: str, revision: str, mirror: str | None, out: Path, fetcher: "Fetcher") -> str:
    """Copy an encoder's files to `out`; return where they come from.

    Raises:
        UserError: the hub cannot be reached, does not have them, or answers with another commit.
    """
    hub = hub_address(mirror)
    where = f"{without_password(hub)}/{repository}@{revision}"

    def fetch(path: str, digest: str | None = None) -> Path:
        address, remedy = f"{hub}/{path}", f"wanted {WANTED_FILES} of {repository}; {REMEDY}"
        return fetcher.fetch(address, digest=digest, remedy=remedy, token=hub_token(address))

    described = fetch(f"api/models/{repository}/revision/{quote(revision, safe='')}?blobs=true")
    commit, digests = _read_description(described, where)
    if is_commit(revision) and commit != revision:
        raise UserError(f"{where}: the hub answered with the commit {commit}; {REMEDY}")
    for name in choose_files(set(digests), where):
        shutil.copyfile(fetch(f"{repository}/resolve/{commit}/{name}", digests[name]), out / name)
    return where


def _read_description(path: Path, where: str) -> tuple[str, dict[str, str | None]]:
    """Return the commit, and the SHA-256 of each file of it: None for small files, of which the hub tells none."""
    try:
        described = json.loads(path.read_text(encoding="utf-8"))
        commit = str(described["sha"])
        digests = {str(file["rfilename"]): (file.get("lfs") or {}).get("sha256") for file in described["siblings"]}
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"{where}: does not answer as a hub does ({type(error).__name__}); {REMEDY}") from None
    if not is_commit(commit):
        raise UserError(f"{where}: the hub answered with the commit {commit!r}; {REMEDY}")
    return commit, digests
