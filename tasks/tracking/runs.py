"""Runs of MLflow: found, made, and filled with metrics while a training goes on.

One MLflow run stands for one training. It is found again by the tag that holds the training's key, so a resumed
training goes on in its run, and evaluate adds to it through the client, without ever opening it: an evaluation that
fails does not mark the training failed. Only this module and `publishing` write runs.
"""

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, Run
from mlflow.exceptions import MlflowException
from prefect.runtime import flow_run

from nli_core.callbacks import StoppedError
from nli_core.config import RunConfig
from nli_core.data.corpus.layout import SPLITS
from nli_core.errors import UserError, reason_of
from nli_core.run.plan import Outputs
from nli_core.urls import without_password
from tasks.runtime.delivery import Outbox
from tasks.runtime.liveness import leave_unsaid
from tasks.runtime.progress import LOGGER
from tasks.runtime.provenance import code_tags, made_with
from tasks.settings import Settings
from tasks.tracking.client import mlflow_client, says_missing
from tasks.tracking.run_names import run_title

EXPERIMENT = "nli"
KEY_TAG = "nli.key.finetune"
REPEAT = "repeat.json"
EXAMPLES_TAG = "nli.test_examples.sha256"  # of texts and labels, however they are tokenized
FLOW_RUN_TAG = "nli.flow_run_id"
PAGES = "?workflowType=machine_learning"  # MLflow shows pages for language models and their prompts otherwise
_SEND_SECONDS = 5.0
_PATIENCE = 5.0  # seconds that training waits for MLflow
MOST_METRICS = 500  # MLflow takes 1,000 in a request


@dataclass(frozen=True)
class About:
    """What a training was asked for: its config, the recipe's name, and the outputs that it consumes."""

    config: RunConfig
    recipe: str
    upstream: Outputs


class TrainingRun:
    """Sends metrics to a run in the background; passes by what the run has already, after a resumed training."""

    def __init__(self, client: MlflowClient, run_id: str, *, resumes: bool) -> None:
        self.run_id = run_id
        self._client = client
        self._resumes = resumes
        self._last_steps: dict[str, int] = {}
        self._outbox: Outbox[Metric] = Outbox("MLflow", self._send, every=_SEND_SECONDS, say=LOGGER.warning)

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Take metrics of a step; they arrive soon, in their order."""
        now = int(time.time() * 1000)
        for name, value in metrics.items():
            self._outbox.put(Metric(metric_name(name), value, now, step))

    def flush(self) -> None:
        """Have everything arrive now, if MLflow answers."""
        if not self._outbox.failing:
            self._outbox.flush(_PATIENCE)

    def close(self) -> bool:
        """Have everything arrive, if MLflow answers soon; whether it did. Nothing is sent after that."""
        return self._outbox.close(_PATIENCE)

    def _send(self, metrics: Sequence[Metric]) -> None:
        new = [metric for metric in metrics if metric.step > self._last_step(metric.key)]
        for first in range(0, len(new), MOST_METRICS):
            sent = new[first : first + MOST_METRICS]
            self._client.log_batch(self.run_id, metrics=sent)
            # A batch that fails comes again whole; what of it has arrived is not to be sent twice.
            self._last_steps |= {metric.key: metric.step for metric in sent}

    def _last_step(self, name: str) -> int:
        if name not in self._last_steps:
            history = self._client.get_metric_history(self.run_id, name) if self._resumes else []
            self._last_steps[name] = max((metric.step for metric in history), default=-1)
        return self._last_steps[name]


@contextmanager
def training_run(settings: Settings, key: str, about: About, *, resumes: bool) -> Iterator[TrainingRun]:
    """The run of the training with this key, marked RUNNING; FAILED or KILLED if the block does not end well.

    The caller holds the key's lock, so any other run of this key that says RUNNING is dead: it is taken over when
    `resumes`, and marked KILLED otherwise.
    """
    with mlflow_client(settings) as client:
        earlier = runs_of(client, key)
        taken_over = earlier[0] if resumes and earlier else None
        for run in earlier:
            if run is not taken_over and run.info.status == "RUNNING":
                client.set_terminated(run.info.run_id, "KILLED")
        run_id = taken_over.info.run_id if taken_over else create_run(client, settings, key, about)
        client.set_tag(run_id, FLOW_RUN_TAG, str(flow_run.id))
        client.update_run(run_id, status="RUNNING")
    training = TrainingRun(client, run_id, resumes=taken_over is not None)
    try:
        yield training
    except BaseException as error:
        try:
            killed = isinstance(error, StoppedError) or not isinstance(error, Exception)
            if training.close():
                client.set_terminated(run_id, "KILLED" if killed else "FAILED")
            else:
                leave_unsaid(settings, str(flow_run.id))
        except MlflowException:  # what stopped the training is the news
            leave_unsaid(settings, str(flow_run.id))
        raise
    if not training.close():  # it comes when the training is published; if that fails too, the run is not to wait on
        leave_unsaid(settings, str(flow_run.id))


def referenced_keys(settings: Settings) -> set[str]:
    """Keys of all stage outputs that any existing run names in its tags."""
    with mlflow_client(settings) as client:
        tags = (tag for run in all_runs(client) for tag in run.data.tags.items())
        return {value for name, value in tags if name.startswith("nli.key.")}


def all_runs(client: MlflowClient) -> Iterator[Run]:
    """Every run of the experiment, newest first."""
    experiment = client.get_experiment_by_name(EXPERIMENT)
    page: str | None = None
    while experiment is not None:
        runs = client.search_runs([experiment.experiment_id], page_token=page)
        yield from runs
        page = runs.token
        if not page:
            return


def find_run(client: MlflowClient, settings: Settings, name: str) -> Run:
    """The training whose run's id is, or begins with, `name`.

    Raises:
        UserError: there is none, or more than one, or it is a sweep.
    """
    found = [run for run in all_runs(client) if run.info.run_id.startswith(name)] if name else []
    if len(found) != 1:
        few = "no run" if not found else f"{len(found)} runs"
        raise UserError(f"{name}: {few} of this id in MLflow at {settings.shown_tracking_uri}; `make ui` lists them")
    if KEY_TAG not in found[0].data.tags:
        raise UserError(f"{name}: is the run of a sweep, and no training; name one of its own runs (`make ui`)")
    return found[0]


def metric_name(name: str) -> str:
    """The name with everything replaced that MLflow does not take in one."""
    return re.sub(r"[^\w\-. /:]", "_", name)


def read_repeat(settings: Settings, run_id: str) -> dict[str, Any]:
    """Recipe, config and surroundings of a run, which is named as for `find_run`.

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
    """The id of our experiment, which is made when it is not there yet."""
    found = client.get_experiment_by_name(EXPERIMENT)
    if found is not None:
        return str(found.experiment_id)
    kind = {"mlflow.experimentKind": "custom_model_development"}
    return str(client.create_experiment(EXPERIMENT, artifact_location=settings.artifacts, tags=kind))


def runs_of(client: MlflowClient, key: str) -> list[Run]:
    """All runs of a training, newest first."""
    experiment = client.get_experiment_by_name(EXPERIMENT)
    if experiment is None:
        return []
    wanted = f"tags.`{KEY_TAG}` = '{key}'"
    return list(client.search_runs([experiment.experiment_id], wanted, order_by=["attributes.start_time DESC"]))


def create_run(client: MlflowClient, settings: Settings, key: str, about: About) -> str:
    """A new run with everything that is known before the training begins."""
    tags = {
        KEY_TAG: key,
        "nli.recipe": about.recipe,
        FLOW_RUN_TAG: str(flow_run.id),
        **data_tags(about),
        **code_tags(),
    }
    run = client.create_run(experiment_id(client, settings), tags=tags, run_name=run_title(about.recipe, about.config))
    params = [Param(name, str(value)[:6000]) for name, value in flat_config(about.config).items()]
    client.log_batch(run.info.run_id, params=params)
    client.log_inputs(run.info.run_id, datasets(about))
    repeat = {"recipe": about.recipe, "config": _shown_config(about.config), "made_with": made_with()}
    client.log_dict(run.info.run_id, repeat, REPEAT)
    return str(run.info.run_id)


def data_tags(about: About) -> dict[str, str]:
    """What the files are and where they came from, and the keys of their stages."""
    facts = about.upstream["download"].facts
    return {
        "nli.key.download": about.upstream["download"].key,
        "nli.key.pack": about.upstream["pack"].key,
        "nli.corpus.source": facts["corpus"]["source"],
        "nli.corpus.sha256": facts["corpus"]["sha256"] or about.upstream["download"].digest("corpus/"),
        "nli.corpus.verified": _verified(facts["corpus"]),
        EXAMPLES_TAG: about.upstream["pack"].facts["examples_sha256"]["test"],
        "nli.encoder.sha256": facts["encoder"]["sha256"] or about.upstream["download"].digest("encoder/"),
        "nli.encoder.verified": _verified(facts["encoder"]),
    }


def _verified(origin: Mapping[str, Any]) -> str:
    return "verified" if origin["verified"] else "unverified"


def flat_config(config: RunConfig) -> dict[str, Any]:
    """Every field by its dotted name: `finetune.learning_rate`. Addresses are without user names and passwords."""
    sections = _shown_config(config).items()
    return {f"{section}.{name}": value for section, fields in sections for name, value in fields.items()}


def _shown_config(config: RunConfig) -> dict[str, dict[str, Any]]:
    return {
        section: {name: without_password(value) if isinstance(value, str) else value for name, value in fields.items()}
        for section, fields in config.model_dump(mode="json").items()
    }


def data_metrics(about: About) -> list[Metric]:
    """The facts of packing as metrics, so that runs can be compared and charted by them."""
    facts, now = about.upstream["pack"].facts, int(time.time() * 1000)
    values: dict[str, float] = {}
    for split, known in facts["splits"].items():
        for name in ("rows", "tokens", "truncated_examples", "truncated_tokens"):
            values[f"pack/{split}/{name}"] = known[name]
        values |= {f"pack/{split}/length_p{place}": length for place, length in known["length_percentiles"].items()}
        values |= {f"pack/{split}/label/{label}": count for label, count in known["labels"].items()}
        values |= {f"pack/{split}/dropped/{reason}": count for reason, count in known["dropped"].items()}
    for split, count in facts["examples_in_earlier_split"].items():
        values[f"pack/{split}/examples_in_earlier_split"] = count
    return [Metric(metric_name(name), float(value), now, 0) for name, value in values.items()]


def datasets(about: About) -> list[DatasetInput]:
    """The splits, for MLflow's list of data sets."""
    download, packed = about.upstream["download"], about.upstream["pack"]
    contexts = {"train": "training", "dev": "validation", "test": "testing"}
    return [
        DatasetInput(
            Dataset(
                name=f"{about.config.corpus.name}-{split}",
                digest=packed.digest(f"{split}-")[:16],
                source_type="local",
                source=f'{{"uri": "{download.facts["corpus"]["source"]}"}}',
                profile=f'{{"num_rows": {packed.facts["splits"][split]["rows"]}}}',
            ),
            [InputTag("mlflow.data.context", contexts[split])],
        )
        for split in SPLITS
    ]
