"""The files of a model that MLflow has."""

import re
from pathlib import Path

import mlflow
from mlflow.exceptions import MlflowException

from nli_core.errors import UserError, reason_of
from tasks.models.names import CHAMPION
from tasks.settings import Settings
from tasks.tracking.client import mlflow_client, says_missing
from tasks.tracking.runs import find_run
from tasks.tracking.tags import MODEL_NAME

_RUN_ID = re.compile(r"[0-9a-f]{4,32}")
_LETTERS = 32  # of a whole id, which may be of another experiment too
_ALIASED = re.compile(r"[\w.-]+@[\w.-]+")
_URIS = ("runs:/", "models:/")


def fetch_tracked_model(name: str, settings: Settings, scratch: Path) -> Path | None:
    """Fetch a model to `scratch`, and return its folder; None if it is the name of nothing in MLflow.

    Raises:
        UserError: MLflow has no such model.
    """
    uri = _uri(name, settings)
    if uri is None:
        return None
    with mlflow_client(settings):
        try:
            return Path(mlflow.artifacts.download_artifacts(f"{uri}/artifacts/model", dst_path=str(scratch)))
        except (MlflowException, FileNotFoundError) as error:
            if not says_missing(error):
                raise
            where = f"MLflow at {settings.shown_tracking_uri}"
            raise UserError(f"{uri}: {where} has no such model ({reason_of(error)})") from None


def _uri(name: str, settings: Settings) -> str | None:
    """Return the MLflow address of a model named by a run, a URI or an alias; None for any other name."""
    if name == CHAMPION:
        return f"models:/{_only_champion(settings)}@{CHAMPION}"
    if _RUN_ID.fullmatch(name):
        return f"runs:/{_whole_id(name, settings)}/{MODEL_NAME}"
    if _ALIASED.fullmatch(name):
        return f"models:/{name}"
    if name.startswith(_URIS):
        return name
    return f"models:/{name}@{CHAMPION}" if name in _champions(settings) else None


def _whole_id(name: str, settings: Settings) -> str:
    if len(name) == _LETTERS:
        return name
    with mlflow_client(settings) as client:
        return str(find_run(client, settings, name).info.run_id)


def _champions(settings: Settings) -> list[str]:
    """List the registry's models that have a champion."""
    with mlflow_client(settings) as client:
        models = client.search_registered_models(max_results=1000)
        return sorted(model.name for model in models if CHAMPION in model.aliases)


def _only_champion(settings: Settings) -> str:
    names = _champions(settings)
    if len(names) != 1:
        there = f"there are {', '.join(names)}: name one, such as {names[0]}@champion" if names else ""
        raise UserError(f"champion: {there or 'no model is champion yet; `nli promote RUN` makes one'}")
    return names[0]
