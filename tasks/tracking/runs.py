"""MLflow runs of trainings: found and read.

There is one MLflow run per training. The tag with the training's key finds it again, so a resumed training continues
its run. Evaluate writes through the client without opening the run, so a failed evaluation does not mark the training
FAILED.
"""

from collections.abc import Iterator
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities import LifecycleStage, Run, ViewType
from mlflow.exceptions import MlflowException

from nli_core.errors import UserError, reason_of
from nli_core.urls import is_remote
from tasks.settings import Settings
from tasks.tracking.client import mlflow_client, says_missing
from tasks.tracking.tags import EXPERIMENT, FLOW_RUN_TAG, KEY_TAG, PAGES, RunLink
from tasks.tracking.view import save_view

REPEAT = "repeat.json"


def referenced_keys(settings: Settings) -> set[str]:
    """Return the keys of all stage outputs that any existing run names in its tags."""
    with mlflow_client(settings) as client:
        tags = (tag for run in all_runs(client) for tag in run.data.tags.items())
        return {value for name, value in tags if name.startswith("nli.key.")}


def all_runs(client: MlflowClient, which: int = ViewType.ACTIVE_ONLY) -> Iterator[Run]:
    """Yield every run of the experiment, newest first; `which` may ask for the deleted ones."""
    experiment = client.get_experiment_by_name(EXPERIMENT)
    page: str | None = None
    while experiment is not None:
        runs = client.search_runs([experiment.experiment_id], run_view_type=which, page_token=page)
        yield from runs
        page = runs.token
        if not page:
            return


def find_run(client: MlflowClient, settings: Settings, name: str) -> Run:
    """Find the training whose run id is, or starts with, `name`.

    Raises:
        UserError: there is none, or more than one, or it is a sweep.
    """
    found = [run for run in all_runs(client) if run.info.run_id.startswith(name)] if name else []
    if name and not found:
        for run in all_runs(client, ViewType.DELETED_ONLY):
            if run.info.run_id.startswith(name):
                restore = f"`mlflow runs restore --run-id {run.info.run_id}`"
                raise UserError(f"{name}: the run was deleted from MLflow; restore it with {restore}")
    if len(found) != 1:
        few = "no run" if not found else f"{len(found)} runs"
        raise UserError(f"{name}: {few} of this id in MLflow at {settings.shown_tracking_uri}; `make ui` lists them")
    if KEY_TAG not in found[0].data.tags:
        raise UserError(f"{name}: is the run of a sweep, and no training; name one of its own runs (`make ui`)")
    return found[0]


def read_repeat(settings: Settings, run_id: str) -> dict[str, Any]:
    """Read recipe, config and environment of a run, which is named as for `find_run`.

    Raises:
        UserError: there is no such run, or it does not hold them.
    """
    with mlflow_client(settings) as client:
        run_id = find_run(client, settings, run_id).info.run_id
        try:
            repeat: dict[str, Any] = mlflow.artifacts.load_dict(f"runs:/{run_id}/{REPEAT}")
        except (MlflowException, FileNotFoundError) as error:
            if not says_missing(error):
                raise
            where = f"MLflow at {settings.shown_tracking_uri}"
            raise UserError(f"{run_id}: its {REPEAT} is gone from {where} ({reason_of(error)})") from None
    return repeat


def mark_killed(settings: Settings, flow_run_id: str) -> None:
    """Mark the runs of a flow run that died KILLED; they would say RUNNING for ever."""
    wanted = f"tags.`{FLOW_RUN_TAG}` = '{flow_run_id}' and attributes.status = 'RUNNING'"
    with mlflow_client(settings) as client:
        if experiment := client.get_experiment_by_name(EXPERIMENT):
            for run in client.search_runs([experiment.experiment_id], wanted):
                client.set_terminated(run.info.run_id, "KILLED")


def experiment_id(client: MlflowClient, settings: Settings) -> str:
    """Return the id of our experiment; create it if it does not exist.

    Raises:
        UserError: it was deleted.
    """
    found = client.get_experiment_by_name(EXPERIMENT)
    if found is not None and found.lifecycle_stage == LifecycleStage.DELETED:
        raise UserError(
            f"MLflow at {settings.shown_tracking_uri}: the experiment {EXPERIMENT} was deleted; restore it with "
            f"`mlflow experiments restore --experiment-id {found.experiment_id}`"
        )
    if found is None:
        kind = {"mlflow.experimentKind": "custom_model_development"}
        found = client.get_experiment(client.create_experiment(EXPERIMENT, settings.artifacts, tags=kind))
    save_view(client, found)
    return str(found.experiment_id)


def runs_of(client: MlflowClient, key: str) -> list[Run]:
    """Return all runs of a training, newest first."""
    experiment = client.get_experiment_by_name(EXPERIMENT)
    if experiment is None:
        return []
    wanted = f"tags.`{KEY_TAG}` = '{key}'"
    return list(client.search_runs([experiment.experiment_id], wanted, order_by=["attributes.start_time DESC"]))


def run_link(settings: Settings, run: Run, artifact: str = "") -> RunLink:
    """Return the link to a run's page, or to that of one of its artifacts."""
    page = f"#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"
    if artifact:
        page += f"/artifacts/{artifact}"
    is_server = is_remote(settings.tracking_uri)
    return RunLink(run.info.run_id, f"{settings.shown_tracking_uri}/{page}{PAGES}" if is_server else None)
