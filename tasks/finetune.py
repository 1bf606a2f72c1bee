"""The task of the finetune stage: one MLflow run a training."""

from prefect import State, task

from nli_core.config import RunConfig
from nli_core.outputs import CHECKPOINTS, ENCODER
from nli_core.plan import Outputs
from nli_core.store import Claim
from tasks import tracking
from tasks.progress import StageProgress
from tasks.settings import Settings
from tasks.stage import StageResult, final_state, run_stage


@task(name="finetune")
def finetune(config: RunConfig, upstream: Outputs, recipe: str, rerun: bool = False) -> State[StageResult]:
    """Have a fine-tuned model in the store and its run in MLflow: reuse it, resume a half-done one, or start."""
    about = tracking.About(config, recipe, upstream)

    def work(claim: Claim, settings: Settings) -> dict[str, object]:
        from nli_core.training.finetune import finetune as train

        resumes = (claim.partial / CHECKPOINTS).exists()
        with (
            tracking.training_run(settings, claim.key, about, resumes=resumes) as run,
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
            return {**facts, tracking.RUN_ID_FACT: run.run_id}

    result = run_stage("finetune", config, upstream, rerun, work)
    tracking.publish_training(Settings.from_environment(), result.output, about)
    return final_state(result)
