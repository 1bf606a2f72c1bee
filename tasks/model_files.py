"""The files of a model that a user names."""

import re
from pathlib import Path

import mlflow
from mlflow.exceptions import MlflowException

from nli_core.config import TransformerEncoder, parse_config
from nli_core.errors import UserError
from tasks.model_logging import MODEL_NAME
from tasks.settings import Settings

_RUN_ID = re.compile(r"[0-9a-f]{32}")
_URIS = ("runs:/", "models:/")


def model_folder(name: str, settings: Settings, scratch: Path) -> Path:
    """The folder of a fine-tuned model or of an encoder; what has to be fetched goes to `scratch`.

    `name` is a run of MLflow, a model's URI there, a folder, or an encoder as `encoder.name` takes it.

    Raises:
        UserError: there is nothing of this name.
    """
    if Path(name).is_dir():
        return Path(name)
    if _RUN_ID.fullmatch(name) or name.startswith(_URIS):
        uri = name if name.startswith(_URIS) else f"runs:/{name}/{MODEL_NAME}"
        mlflow.set_tracking_uri(settings.tracking_uri)
        try:
            return Path(mlflow.artifacts.download_artifacts(f"{uri}/artifacts/model", dst_path=str(scratch)))
        except (MlflowException, OSError) as error:
            raise UserError(f"{uri}: MLflow at {settings.shown_tracking_uri} has no such model ({error})") from None
    from nli_core.download.encoders import download_encoder

    encoder = parse_config({"corpus": {"name": "ag-news"}, "encoder": {"name": name}}).encoder
    if isinstance(encoder, TransformerEncoder):
        raise UserError(f"{name}: begins from scratch, so that there is nothing to see in it; name a run or a folder")
    out = scratch / "encoder"
    out.mkdir()
    download_encoder(encoder, out=out, cache=settings.downloads, scratch=scratch)
    return out
