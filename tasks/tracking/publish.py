"""Bring an MLflow run up to date with the stage store. An up-to-date run is left alone."""

import tempfile
import time
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Metric, Run
from mlflow.exceptions import MlflowException

from nli_core.config import OutputKind
from nli_core.evaluation.figures import save_data
from nli_core.evaluation.headline import headline_markdown
from nli_core.filenames import AUDIT, CALIBRATION, DETAILS, FIGURES, METRICS, MODEL
from nli_core.run.plan import StageRequest
from nli_core.store.manifest import Output
from nli_core.training.curves import read_history
from tasks.settings import Settings
from tasks.tracking.metric_names import metric_names
from tasks.tracking.new_run import create_run
from tasks.tracking.run_contents import data_tags, datasets, is_charted, measured_tags
from tasks.tracking.runs import run_link, runs_of
from tasks.tracking.tags import (
    EVALUATED_TAG,
    GATE_TAG,
    MOST_METRICS,
    PUBLISHED_TAG,
    RUN_ID_FACT,
    VERDICT_TAG,
    RunLink,
    set_tags,
)
from tasks.tracking.training_run import TrainingRun

_MEASURED_WITH: set[OutputKind] = {"audit", "challenges", "challenge_shards"}
_SHOWN_FACTS = ("best_epoch", "device", "precision", "parameters", "training_seconds")


def publish_training(client: MlflowClient, settings: Settings, output: Output, request: StageRequest) -> RunLink:
    """Bring a finished training to a run that is FINISHED: the model, the facts, and missing curves."""
    run = _run_of(client, output)
    if run is not None and PUBLISHED_TAG in run.data.tags:
        return run_link(settings, run)
    # Without a run, the training was tracked elsewhere.
    run_id = run.info.run_id if run else create_run(client, settings, output.key, request)
    curves = TrainingRun(client, run_id, resumes=run is not None)
    for point in read_history(output.folder):
        curves.log_metrics(point.metrics, point.step)
    if not curves.close():
        raise MlflowException("the training curves did not arrive in full")
    from tasks.tracking.log_model import log_model  # imports torch and pyfunc, which all else does without

    log_model(client, run_id, output.folder / MODEL)
    client.log_dict(run_id, output.facts, "training.json")
    _log_data(client, run_id, request)
    tags = {f"nli.{name}": str(output.facts[name]) for name in _SHOWN_FACTS} | {PUBLISHED_TAG: output.manifest.created}
    set_tags(client, run_id, tags)
    client.set_terminated(run_id, "FINISHED")
    return run_link(settings, client.get_run(run_id))


def publish_evaluation(
    client: MlflowClient,
    settings: Settings,
    trained: Output,
    output: Output,
    request: StageRequest,
    verdict: str | None = None,
) -> RunLink:
    """Bring the metrics, predictions and figures of an evaluation, and its verdict, to the run of its training."""
    run = _run_of(client, trained)
    if run is None:  # the training was tracked elsewhere, or its run was deleted
        run = client.get_run(publish_training(client, settings, trained, request).run_id)
    from tasks.tracking.log_model import log_to_model

    run_id = run.info.run_id
    if run.data.tags.get(EVALUATED_TAG) != output.key:
        if data_tags(request).items() - run.data.tags.items():  # a new test set does not retrain
            set_tags(client, run_id, data_tags(request))
            client.log_inputs(run_id, datasets(request))
            _log_data(client, run_id, request)
        measured = output.facts["metrics"]
        kinds = _MEASURED_WITH & request.upstream.keys()
        keys = {f"nli.key.{kind}": request.upstream[kind].key for kind in kinds}
        set_tags(client, run_id, keys | measured_tags(measured))
        now = int(time.time() * 1000)
        step = int(trained.facts["steps"])
        names = metric_names(filter(is_charted, measured))
        metrics = [Metric(shown, measured[name], now, step) for name, shown in names.items()]
        for first in range(0, len(metrics), MOST_METRICS):
            client.log_batch(run_id, metrics=metrics[first : first + MOST_METRICS])
        client.log_artifacts(run_id, str(output.folder / FIGURES), FIGURES)
        for name in (METRICS, DETAILS, CALIBRATION):
            client.log_artifact(run_id, str(output.folder / name))
        log_to_model(client, run_id, output.folder / CALIBRATION)
        client.log_artifact(run_id, str(request.upstream["audit"].folder / AUDIT))
        if changed := {shown: name for name, shown in names.items() if shown != name}:
            client.log_dict(run_id, changed, "metric_names.json")
        for path in sorted(output.folder.glob("*.parquet")):
            client.log_artifact(run_id, str(path), "predictions")
        headline = headline_markdown(request.recipe, measured, trained.facts)
        set_tags(client, run_id, {"mlflow.note.content": headline, GATE_TAG: str(output.facts["gate_examples"])})
        set_tags(client, run_id, {EVALUATED_TAG: output.key})  # last: all else is there
    if verdict is not None:
        set_tags(client, run_id, {VERDICT_TAG: verdict})
    elif VERDICT_TAG in run.data.tags:
        client.delete_tag(run_id, VERDICT_TAG)
    return run_link(settings, run)


def _log_data(client: MlflowClient, run_id: str, request: StageRequest) -> None:
    """Leave what pack reports of the data in a run, as JSON and as a figure."""
    facts = request.upstream["pack"].facts
    client.log_dict(run_id, facts, "data.json")
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "data.png"
        save_data(facts["splits"], path)
        client.log_artifact(run_id, str(path), FIGURES)


def _run_of(client: MlflowClient, trained: Output) -> Run | None:
    """Find the run that made this output, or that was filled from it later."""
    for run in runs_of(client, trained.key):
        published = run.data.tags.get(PUBLISHED_TAG)
        if run.info.run_id == trained.facts[RUN_ID_FACT] or published == trained.manifest.created:
            return run
    return None
