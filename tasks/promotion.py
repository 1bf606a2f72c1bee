"""The model registry: the alias `champion`, which moves only to a better model.

Each version says in its tags what it was promoted over and why, so that going back is a matter of reading them.
"""

from dataclasses import dataclass

import mlflow
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from nli_core.errors import UserError
from nli_core.evaluation.promotion import Margins, broken_rules
from tasks.comparing import Compared, compare_runs, find_run
from tasks.connection import mlflow_client
from tasks.model_logging import MODEL_NAME
from tasks.settings import Settings

CHAMPION = "champion"
_BEFORE_TAG = "nli.promoted_over"
_REASON_TAG = "nli.promotion"


@dataclass(frozen=True)
class Promotion:
    """What became of an attempt: the model's name, the version that is champion now, and what spoke against the run.

    `compared` is the comparison with the champion until then; None if there was none.
    """

    model: str
    champion: str
    promoted: bool
    broken: list[str]
    compared: Compared | None


def promote(settings: Settings, run_name: str, *, model: str | None, reason: str | None, margins: Margins) -> Promotion:
    """Make the run's model champion if it is better than the current one; with a reason, whatever the rules say.

    `model` is the name in the registry; without one, that of the run's corpus: `nli-snli`.

    Raises:
        UserError: there is no such run, or it was tested on other examples than the champion.
    """
    with mlflow_client(settings) as client:
        run = find_run(client, settings, run_name)
        name = model or f"nli-{run.data.params['corpus.name']}"
        before = _champion(client, name)
        if before is not None and before.run_id == run.info.run_id:
            return Promotion(
                name, str(before.version), promoted=False, broken=["it is champion already"], compared=None
            )
    compared, broken = None, []
    if before is not None:
        first, (compared,) = compare_runs(settings, [str(before.run_id), run.info.run_id])
        broken = broken_rules(compared.comparison, first.data.metrics, run.data.metrics, margins)
        if broken and reason is None:
            return Promotion(name, str(before.version), promoted=False, broken=broken, compared=compared)
    with mlflow_client(settings) as client:
        version = _version_of(client, name, run.info.run_id)
        client.set_model_version_tag(name, version.version, _REASON_TAG, reason or "better by the rules")
        client.set_model_version_tag(name, version.version, _BEFORE_TAG, str(before.version) if before else "")
        client.set_registered_model_alias(name, CHAMPION, version.version)
    return Promotion(name, str(version.version), promoted=True, broken=broken, compared=compared)


def roll_back(settings: Settings, model: str) -> tuple[str, str]:
    """Give the alias back to the version that the champion was promoted over: the versions before and now.

    Raises:
        UserError: there is no champion, or it is the first one.
    """
    with mlflow_client(settings) as client:
        champion = _champion(client, model)
        if champion is None:
            raise UserError(f"{model}: has no champion in the registry of {settings.shown_tracking_uri}")
        before = champion.tags.get(_BEFORE_TAG)
        if not before:
            raise UserError(f"{model}: version {champion.version} was the first champion; there is none to go back to")
        client.set_registered_model_alias(model, CHAMPION, before)
    return str(champion.version), before


def _champion(client: MlflowClient, name: str) -> ModelVersion | None:
    try:
        return client.get_model_version_by_alias(name, CHAMPION)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise


def _version_of(client: MlflowClient, name: str, run_id: str) -> ModelVersion:
    """The registered version of a run's model, made when there is none yet."""
    for version in client.search_model_versions(f"name = '{name}'"):
        if version.run_id == run_id:
            return version
    return mlflow.register_model(f"runs:/{run_id}/{MODEL_NAME}", name)
