"""The MLflow run of a sweep: the parent of its trainings, with their table and figures."""

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, Run
from mlflow.exceptions import MlflowException
from prefect.exceptions import CancelledRun
from prefect.runtime import flow_run

from nli_core.evaluation.sweep import SweepResult, TrialRun, sweep_markdown, values_text
from nli_core.evaluation.sweep_figures import save_epochs, save_importance, save_slices, save_trials
from nli_core.run.space import Interval
from nli_core.run.sweep import Sweep
from tasks.runtime.provenance import code_tags
from tasks.settings import Settings
from tasks.tracking.client import mlflow_client, says_missing
from tasks.tracking.runs import experiment_id
from tasks.tracking.tags import FLOW_RUN_TAG, SWEEP_TAG, set_tags

if TYPE_CHECKING:
    from tasks.runtime.study import FinishedRun, Study

_PARENT_TAG = "mlflow.parentRunId"
RESULT = "sweep.json"


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


class SweepTrainings:
    """The MLflow runs of a sweep's trainings, looked at while they are under way."""

    def __init__(self, settings: Settings, parent: str) -> None:
        self._settings, self._parent = settings, parent

    def is_gone(self, run_id: str) -> bool:
        """Return whether MLflow does not know this run."""
        with mlflow_client(self._settings) as client:
            return _run_of(client, run_id) is None

    def look(self, flow_run_id: str) -> list[float]:
        """Return dev's accuracy after each epoch so far of the training in this flow run, and adopt its run."""
        with mlflow_client(self._settings) as client:
            wanted = f"tags.`{FLOW_RUN_TAG}` = '{flow_run_id}'"
            found = client.search_runs([experiment_id(client, self._settings)], wanted)
            if not found:
                return []
            self._adopt(client, found[0])
            return _by_epoch(client, found[0].info.run_id)

    def read(self, run_id: str) -> tuple[float, list[float]]:
        """Return the accuracies on dev of a finished run, the model's and after each epoch, and adopt it."""
        with mlflow_client(self._settings) as client:
            run = client.get_run(run_id)
            self._adopt(client, run)
            return run.data.metrics["dev/accuracy"], _by_epoch(client, run_id)

    def _adopt(self, client: MlflowClient, run: Run) -> None:
        """Make a run the parent's child; one that has a parent stays as it is."""
        if _PARENT_TAG not in run.data.tags:
            set_tags(client, run.info.run_id, {_PARENT_TAG: self._parent})


def publish_sweep(settings: Settings, parent: str, sweep: Sweep, study: "Study") -> SweepResult:
    """Leave the table and the figures of the study in the parent; return what they show."""
    now = int(time.time() * 1000)
    with mlflow_client(settings) as client, tempfile.TemporaryDirectory() as scratch:
        result = SweepResult(_with_test(client, study.runs()), study.pruned(), study.importance())
        if not result.runs:
            return result
        folder = Path(scratch)
        save_trials(result, folder / "sweep.png")
        curves = {run.run_id: _by_epoch(client, run.run_id) for run in result.runs}
        if all(curves.values()):
            save_epochs(result, curves, folder / "dev_by_epoch.png")
        if sweep.search:
            scales = {name: tried.scale for name, tried in sweep.space.items() if isinstance(tried, Interval)}
            save_slices(result, scales, folder / "slices.png")
        if result.importance:
            save_importance(result.importance, folder / "importance.png")
        client.log_artifacts(parent, scratch, "figures")
        client.log_dict(parent, asdict(result) | {"chosen": _chosen(result)}, RESULT)
        client.set_tag(parent, "mlflow.note.content", sweep_markdown(result))
        best = result.trials[0]
        metrics = {"dev/accuracy": best.dev, "test/accuracy": best.test}
        client.log_batch(parent, metrics=[Metric(name, value, now, 0) for name, value in metrics.items()])
    return result


def _chosen(result: SweepResult) -> list[str]:
    """Return the ids of the runs with the chosen values: one for each seed."""
    values = values_text(result.trials[0].values)
    return [run.run_id for run in result.runs if values_text(run.values) == values]


def _with_test(client: MlflowClient, runs: "Sequence[FinishedRun]") -> list[TrialRun]:
    """Add what MLflow has of test; runs that it has lost are left out."""
    tracked = [(run, _run_of(client, run.run_id)) for run in runs]
    return [
        TrialRun(run.values, run.seed, run.run_id, run.dev, found.data.metrics["test/accuracy"])
        for run, found in tracked
        if found
    ]


def _run_of(client: MlflowClient, run_id: str) -> Run | None:
    try:
        return client.get_run(run_id)
    except MlflowException as error:
        if says_missing(error):
            return None
        raise


def _by_epoch(client: MlflowClient, run_id: str) -> list[float]:
    """Return dev's accuracy after each whole epoch."""
    ends = {each.step for each in client.get_metric_history(run_id, "epoch") if float(each.value).is_integer()}
    points: dict[int, float] = {}
    for metric in client.get_metric_history(run_id, "dev/accuracy"):
        points.setdefault(metric.step, metric.value)  # evaluate adds that of the best epoch at the last step
    return [points[step] for step in sorted(points) if step in ends]


def _find(client: MlflowClient, settings: Settings, sweep: Sweep) -> str | None:
    wanted = f"tags.`{SWEEP_TAG}` = '{sweep.key}'"
    found = client.search_runs([experiment_id(client, settings)], wanted)
    return str(found[0].info.run_id) if found else None


def _create(client: MlflowClient, settings: Settings, sweep: Sweep) -> str:
    fields = ", ".join(name.rpartition(".")[2] for name in sweep.fields)
    tags = {SWEEP_TAG: sweep.key, "nli.recipe": sweep.recipe, **code_tags()}
    name = f"{sweep.recipe} {'search' if sweep.search else 'sweep'} of {fields or 'seeds'}"
    run = client.create_run(experiment_id(client, settings), tags=tags, run_name=name)
    tried = {name: ", ".join(map(str, values)) for name, values in sweep.grid.items()}
    values = {**tried, **sweep.search, "seeds": str(sweep.seeds)}
    client.log_batch(run.info.run_id, params=[Param(f"sweep.{name}", text) for name, text in values.items()])
    return str(run.info.run_id)
