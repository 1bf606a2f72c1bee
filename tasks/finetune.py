"""The task of the finetune stage: one MLflow run a training."""

from dataclasses import replace

from prefect import State, task

from nli_core.config import RunConfig
from nli_core.outputs import CHECKPOINTS, ENCODER
from nli_core.plan import Outputs
from nli_core.store import Claim
from tasks.progress import StageProgress
from tasks.settings import Settings
from tasks.stage import StageResult, final_state, run_stage
from tasks.tracked import RUN_ID_FACT, tracked_run


@task(name="finetune")
def finetune(config: RunConfig, upstream: Outputs, recipe: str, rerun: bool = False) -> State[StageResult]:
    """Have a fine-tuned model in the store and its run in MLflow: reuse it, resume a half-done one, or start."""

    def work(claim: Claim, settings: Settings) -> dict[str, object]:
        from nli_core.training.finetune import finetune as train
        from tasks import tracking

        resumes = (claim.partial / CHECKPOINTS).exists()
        with (
            tracking.training_run(
                settings, claim.key, tracking.About(config, recipe, upstream), resumes=resumes
            ) as run,
            StageProgress("finetune") as progress,
        ):
            facts = train(
                upstream["pack"].folder,
                upstream["download"].folder / ENCODER,
                config.finetune,
                out=claim.partial,
                log_metrics=run.log_metrics,
                progress=progress,
            )
            return {**facts, RUN_ID_FACT: run.run_id}

    result = run_stage("finetune", config, upstream, rerun, work)
    settings = Settings.from_environment()
    run = tracked_run(settings, result.output)
    if run is None:
        from tasks import tracking

        run = tracking.publish_training(settings, result.output, tracking.About(config, recipe, upstream))
    return final_state(replace(result, mlflow_run_id=run.run_id))
