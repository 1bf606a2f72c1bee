"""The task of the finetune stage: one MLflow run a training."""

import contextlib

from prefect import State, task

from nli_core.callbacks import Watch
from nli_core.config import RunConfig
from nli_core.filenames import CHECKPOINTS, ENCODER
from nli_core.run.plan import Outputs
from nli_core.store.manifest import Output
from nli_core.store.store import Claim
from tasks.runtime.cancellation import StopRequest
from tasks.runtime.progress import LOGGER, StageProgress
from tasks.settings import Settings
from tasks.stages.base import StageResult, run_stage
from tasks.tracking.sqlite_lookup import RUN_ID_FACT, RunLink, tracked_run


@task(name="finetune")
def finetune(config: RunConfig, upstream: Outputs, recipe: str, rerun: bool = False) -> State[StageResult]:
    """Have a fine-tuned model in the store and its run in MLflow: reuse it, resume a half-done one, or start."""

    def work(claim: Claim, settings: Settings) -> dict[str, object]:
        from nli_core.training.finetune import finetune as train
        from tasks.tracking import runs as tracking

        resumes, about = (claim.partial / CHECKPOINTS).exists(), tracking.About(config, recipe, upstream)
        with (
            StopRequest() as stop,
            _device(settings, stop),
            tracking.training_run(settings, claim.key, about, resumes=resumes) as run,
            StageProgress("finetune") as progress,
        ):
            facts = train(
                upstream["pack"].folder,
                upstream["download"].folder / ENCODER,
                config.finetune,
                out=claim.partial,
                watch=Watch(run.log_metrics, progress, run.flush, stop, LOGGER.warning),
            )
            return {**facts, RUN_ID_FACT: run.run_id}

    def publish(settings: Settings, output: Output) -> RunLink:
        if run := tracked_run(settings, output):
            return run
        from tasks.tracking import client as connection
        from tasks.tracking import publish as publishing
        from tasks.tracking import runs as tracking

        with connection.mlflow_client(settings) as client:
            return publishing.publish_training(client, settings, output, tracking.About(config, recipe, upstream))

    return run_stage("finetune", config, upstream, rerun, work, publish)


def _device(settings: Settings, stop: StopRequest) -> contextlib.AbstractContextManager[None]:
    """The right to train on this device: two trainings beside each other take longer than one after the other."""
    if settings.parallel_trainings:
        return contextlib.nullcontext()
    waiting = "finetune: waiting for another training on this device (NLI_PARALLEL_TRAININGS=1: not to wait)"
    return settings.store.alone(settings.training_lock, waiting, LOGGER.info, stop)
