"""The task of the finetune stage: one MLflow run for each training."""

import contextlib

from prefect import State, task

from nli_core.callbacks import TrainingCallbacks
from nli_core.filenames import CHECKPOINTS, ENCODER
from nli_core.run.plan import StageRequest
from nli_core.store.claim import Claim
from nli_core.store.manifest import Output
from tasks.runtime.cancellation import CancellationToken
from tasks.runtime.energy import EnergyMeter
from tasks.runtime.progress import StageProgress
from tasks.settings import Settings
from tasks.stages.base import StageResult, run_stage
from tasks.tracking.sqlite_lookup import tracked_run
from tasks.tracking.tags import RUN_ID_FACT, RunLink


@task(name="finetune")
def finetune(request: StageRequest) -> State[StageResult]:
    """Train a model and track it in MLflow: reuse a finished one, resume a half-done one, or start."""

    def work(claim: Claim, settings: Settings) -> dict[str, object]:
        from nli_core.training.finetune import finetune as train
        from tasks.cluster.training import training_cluster
        from tasks.runtime.mirror import CheckpointMirror
        from tasks.tracking.training_run import training_run

        with (
            CancellationToken() as stop,
            _device_lock(settings, stop),
            training_cluster(settings, request) as cluster,
            CheckpointMirror(settings, claim, stop, fresh=request.rerun),
            training_run(settings, claim.key, request, resumes=(claim.partial / CHECKPOINTS).exists()) as run,
            StageProgress("finetune") as progress,
            EnergyMeter() as energy,
        ):
            facts = train(
                request.upstream["pack"].folder,
                request.upstream["encoder"].folder / ENCODER,
                request.config.finetune,
                out=claim.partial,
                callbacks=TrainingCallbacks(run.log_metrics, progress, run.flush, stop),
                cluster=cluster,
            )
            return {**facts, RUN_ID_FACT: run.run_id, "energy_joules": energy.joules}

    def publish(settings: Settings, output: Output) -> RunLink:
        if run := tracked_run(settings, output):
            return run
        from tasks.tracking.client import mlflow_client
        from tasks.tracking.publish import publish_training

        with mlflow_client(settings) as client:
            return publish_training(client, settings, output, request)

    return run_stage("finetune", request, work, publish)


def _device_lock(settings: Settings, stop: CancellationToken) -> contextlib.AbstractContextManager[None]:
    """Take turns on a device: two concurrent trainings take longer than one after the other."""
    if settings.parallel_trainings:
        return contextlib.nullcontext()
    waiting = "finetune: waiting for another training on this device (NLI_PARALLEL_TRAININGS=1: not to wait)"
    return settings.store.lock(settings.training_lock, waiting, stop)
