"""The MLflow run of a sweep: the parent of its trainings, with their table and figure."""

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Metric, Param
from prefect.exceptions import CancelledRun
from prefect.runtime import flow_run

from nli_core.evaluation.figures import save_sweep
from nli_core.evaluation.sweep import Choice, Trial, choices, sweep_markdown
from nli_core.run.sweep import UNCHANGED, Sweep
from tasks.runtime.provenance import code_tags
from tasks.settings import Settings
from tasks.tracking.client import mlflow_client
from tasks.tracking.runs import experiment_id
from tasks.tracking.tags import FLOW_RUN_TAG

_SWEEP_TAG = "nli.key.sweep"
_PARENT_TAG = "mlflow.parentRunId"


@contextmanager
def sweep_run(settings: Settings, sweep: Sweep) -> Iterator[str]:
    """Yield the parent's run id: RUNNING, then FINISHED, or FAILED or KILLED if the block raises."""
    with mlflow_client(settings) as client:
        run_id = _find(client, settings, sweep) or _create(client, settings, sweep)
        client.set_tag(run_id, FLOW_RUN_TAG, str(flow_run.id))
        client.update_run(run_id, status="RUNNING")
    status = "KILLED"
    try:
        yield run_id
        status = "FINISHED"
    except Exception as error:
        status = "KILLED" if isinstance(error, CancelledRun) else "FAILED"
        raise
    finally:
        with mlflow_client(settings) as client:
            client.set_terminated(run_id, status)


def adopt(settings: Settings, parent: str, recipe: str, trial: Trial) -> None:
    """Make a training the parent's child, named after what it tries; one that has a parent already stays as it is."""
    with mlflow_client(settings) as client:
        if _PARENT_TAG not in client.get_run(trial.run_id).data.tags:
            client.set_tag(trial.run_id, _PARENT_TAG, parent)
            tried = [] if trial.values == UNCHANGED else trial.values.split(", ")
            client.update_run(trial.run_id, name=" ".join([recipe, *tried, f"seed={trial.seed}"]))


def publish_sweep(settings: Settings, parent: str, trials: Sequence[Trial]) -> list[Choice]:
    """Leave the table and the figure of these trials in the parent; returns the choices, the best first."""
    found, now = choices(trials), int(time.time() * 1000)
    by_values = {choice.values: [trial.dev for trial in trials if trial.values == choice.values] for choice in found}
    with mlflow_client(settings) as client, tempfile.TemporaryDirectory() as scratch:
        figure = Path(scratch) / "sweep.png"
        save_sweep(by_values, figure)
        client.log_artifact(parent, str(figure), "figures")
        client.log_dict(parent, {"trials": [asdict(trial) for trial in trials]}, "sweep.json")
        client.set_tag(parent, "mlflow.note.content", sweep_markdown(found))
        best = {"dev/accuracy": found[0].dev, "test/accuracy": found[0].test}
        client.log_batch(parent, metrics=[Metric(name, value, now, 0) for name, value in best.items()])
    return found


def _find(client: MlflowClient, settings: Settings, sweep: Sweep) -> str | None:
    wanted = f"tags.`{_SWEEP_TAG}` = '{sweep.key}'"
    found = client.search_runs([experiment_id(client, settings)], wanted)
    return str(found[0].info.run_id) if found else None


def _create(client: MlflowClient, settings: Settings, sweep: Sweep) -> str:
    fields = ", ".join(name.rpartition(".")[2] for name in sweep.grid)
    tags = {_SWEEP_TAG: sweep.key, "nli.recipe": sweep.recipe, **code_tags()}
    name = f"{sweep.recipe} sweep of {fields or 'seeds'}"
    run = client.create_run(experiment_id(client, settings), tags=tags, run_name=name)
    values = {name: ", ".join(map(str, tried)) for name, tried in sweep.grid.items()} | {"seeds": str(sweep.seeds)}
    client.log_batch(run.info.run_id, params=[Param(f"sweep.{name}", text) for name, text in values.items()])
    return str(run.info.run_id)
