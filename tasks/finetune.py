"""The task of the finetune stage: one MLflow run a training."""

from dataclasses import replace

from prefect import State, task
from prefect.states import Cancelled

from nli_core.config import RunConfig
from nli_core.outputs import CHECKPOINTS, ENCODER
from nli_core.plan import Outputs
from nli_core.progress import StoppedError, Watch
from nli_core.store import Claim
from tasks.progress import LOGGER, StageProgress
from tasks.settings import Settings
from tasks.stage import StageResult, final_state, run_stage
from tasks.stopping import StopRequest
from tasks.tracked import RUN_ID_FACT, tracked_run


@task(name="finetune")
def finetune(config: RunConfig, upstream: Outputs, recipe: str, rerun: bool = False) -> State[StageResult]:
    """Have a fine-tuned model in the store and its run in MLflow: reuse it, resume a half-done one, or start."""

    def work(claim: Claim, settings: Settings) -> dict[str, object]:
        from nli_core.training.finetune import finetune as train
        from tasks import tracking

        resumes, about = (claim.partial / CHECKPOINTS).exists(), tracking.About(config, recipe, upstream)
        with (
            StopRequest() as stop,
            tracking.training_run(settings, claim.key, about, resumes=resumes) as run,
            StageProgress("finetune") as progress,
        ):
            watch = Watch(run.log_metrics, progress, run.flush, stop, LOGGER.warning)
            facts = train(
                upstream["pack"].folder,
                upstream["download"].folder / ENCODER,
                config.finetune,
                out=claim.partial,
                watch=watch,
            )
            return {**facts, RUN_ID_FACT: run.run_id}

    try:
        result = run_stage("finetune", config, upstream, rerun, work)
    except StoppedError as stopped:
        return Cancelled(message=str(stopped))
    settings = Settings.from_environment()
    run = tracked_run(settings, result.output)
    if run is None:
        from tasks import tracking

        with tracking.answering(settings):
            run = tracking.publish_training(settings, result.output, tracking.About(config, recipe, upstream))
    return final_state(replace(result, mlflow_run_id=run.run_id))
