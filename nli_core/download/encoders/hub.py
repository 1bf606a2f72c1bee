"""Encoders of the Hugging Face hub, or of a mirror of it."""

import re
import shutil
from pathlib import Path

from nli_core.download.encoders.layout import REMEDY, WANTED_FILES, choose_files
from nli_core.errors import UserError, connection_fault
from nli_core.urls import without_password

_COMMIT = re.compile(r"[0-9a-f]{40}")


def is_commit(revision: str) -> bool:
    """Return whether a revision can never mean anything else."""
    return bool(_COMMIT.fullmatch(revision))


def hub_address(endpoint: str | None) -> str:
    """Return the address of the mirror `endpoint`, or else of the hub."""
    from huggingface_hub import HfApi

    return str(HfApi(endpoint=endpoint).endpoint)


def download_from_hub(repository: str, revision: str, endpoint: str | None, out: Path) -> str:
    """Copy an encoder's files to `out`; return where they come from.

    Raises:
        UserError: the hub cannot be reached, does not have them, or answers with another commit.
    """
    import httpx2  # the client of huggingface_hub, whose errors come through
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    api = HfApi(endpoint=endpoint)
    where = f"{without_password(api.endpoint)}/{repository}@{revision}"
    try:
        info = api.model_info(repository, revision=revision)
        if is_commit(revision) and info.sha != revision:
            raise UserError(f"{where}: the hub answered with the commit {info.sha}; {REMEDY}")
        for name in choose_files({file.rfilename for file in info.siblings or []}, where):
            shutil.copyfile(api.hf_hub_download(repository, name, revision=info.sha), out / name)
    except HfHubHTTPError as error:
        status = error.response.status_code
        raise UserError(f"{where}: wanted {WANTED_FILES}, the hub answered HTTP {status}; {REMEDY}") from None
    except HFValidationError as error:
        raise UserError(f"encoder.name: {error}; {REMEDY}") from None
    except (OSError, httpx2.HTTPError) as error:
        raise UserError(f"{where}: wanted {WANTED_FILES}; {connection_fault(error)} {REMEDY}") from None
    return where
