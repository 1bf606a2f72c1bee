"""The MLflow run of a training that is under way: metrics arrive in the background, and its end is marked."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from mlflow import MlflowClient
from mlflow.entities import Metric
from mlflow.exceptions import MlflowException
from prefect.runtime import flow_run

from nli_core.callbacks import StoppedError
from nli_core.run.plan import StageRequest
from tasks.runtime.delivery import BackgroundSender
from tasks.runtime.liveness import defer_status
from tasks.settings import Settings
from tasks.tracking.client import mlflow_client, reason_of_mlflow
from tasks.tracking.new_run import create_run
from tasks.tracking.runs import runs_of
from tasks.tracking.system_metrics import system_metrics
from tasks.tracking.tags import FLOW_RUN_TAG, MOST_METRICS

_SEND_SECONDS = 5.0
_PATIENCE = 5.0  # seconds that training waits for MLflow


class TrainingRun:
    """Sends metrics to a run in the background; passes by what the run has already, after a resumed training."""

    def __init__(self, client: MlflowClient, run_id: str, *, resumes: bool) -> None:
        self.run_id = run_id
        self._client = client
        self._resumes = resumes
        self._last_steps: dict[str, int] = {}
        self._outbox: BackgroundSender[Metric] = BackgroundSender("MLflow", self._send, every=_SEND_SECONDS)

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Take metrics of a step; they arrive soon, in their order."""
        now = int(time.time() * 1000)
        for name, value in metrics.items():
            self._outbox.put(Metric(name, value, now, step))

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
            try:
                self._client.log_batch(self.run_id, metrics=sent)
            except MlflowException as error:
                raise ConnectionError(reason_of_mlflow(error)) from error
            # A batch that fails comes again whole; what of it has arrived is not to be sent twice.
            self._last_steps |= {metric.key: metric.step for metric in sent}

    def _last_step(self, name: str) -> int:
        if name not in self._last_steps:
            history = self._client.get_metric_history(self.run_id, name) if self._resumes else []
            self._last_steps[name] = max((metric.step for metric in history), default=-1)
        return self._last_steps[name]


@contextmanager
def training_run(settings: Settings, key: str, request: StageRequest, *, resumes: bool) -> Iterator[TrainingRun]:
    """Yield the run of the training with this key, marked RUNNING; mark it FAILED or KILLED if the block raises.

    The caller holds the key's lock, so any other run of this key that says RUNNING is dead: it is taken over when
    `resumes`, and marked KILLED otherwise.
    """
    with mlflow_client(settings) as client:
        earlier = runs_of(client, key)
        taken_over = earlier[0] if resumes and earlier else None
        for run in earlier:
            if run is not taken_over and run.info.status == "RUNNING":
                client.set_terminated(run.info.run_id, "KILLED")
        run_id = taken_over.info.run_id if taken_over else create_run(client, settings, key, request)
        client.set_tag(run_id, FLOW_RUN_TAG, str(flow_run.id))
        client.update_run(run_id, status="RUNNING")
        started = client.get_run(run_id).info.start_time / 1000
    training = TrainingRun(client, run_id, resumes=taken_over is not None)
    try:
        with system_metrics(training.log_metrics, started):
            yield training
    except BaseException as error:
        try:
            killed = isinstance(error, StoppedError) or not isinstance(error, Exception)
            if training.close():
                client.set_terminated(run_id, "KILLED" if killed else "FAILED")
            else:
                defer_status(settings, str(flow_run.id))
        except MlflowException:  # what stopped the training is the news
            defer_status(settings, str(flow_run.id))
        raise
    if not training.close():  # it comes when the training is published; if that fails too, the run is not to wait on
        defer_status(settings, str(flow_run.id))
