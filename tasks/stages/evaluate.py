"""The task of the evaluate stage."""

from prefect import State, task
from prefect.artifacts import create_markdown_artifact

from nli_core.evaluation.headline import headline_markdown
from nli_core.evaluation.requirements import missed_requirements, requirements_sentence
from nli_core.filenames import MODEL
from nli_core.run.plan import StageRequest
from nli_core.store.claim import Claim
from nli_core.store.manifest import Output
from nli_core.training.curves import read_history
from tasks.runtime.cancellation import CancellationToken
from tasks.runtime.progress import StageProgress, artifact_key
from tasks.settings import Settings
from tasks.stages.base import StageResult, run_stage
from tasks.tracking.sqlite_lookup import tracked_run
from tasks.tracking.tags import RunLink


@task(name="evaluate")
def evaluate(request: StageRequest) -> State[StageResult]:
    """Bring the model's metrics, predictions and figures to the store, MLflow and a Prefect artifact."""
    trained, packed, audited = (request.upstream[kind] for kind in ("finetune", "pack", "audit"))
    challenges = request.upstream.get("challenge_shards")

    def work(claim: Claim, settings: Settings) -> dict[str, object]:
        from nli_core.evaluation.evaluate import evaluate as measure

        with CancellationToken() as stop, StageProgress("evaluate", stop) as progress:
            return measure(
                trained.folder / MODEL,
                packed.folder,
                audited.folder,
                read_history(trained.folder),
                request.config.evaluate,
                out=claim.partial,
                challenges=challenges.folder if challenges else None,
                progress=progress,
            )

    def publish(settings: Settings, output: Output) -> RunLink:
        verdict = _verdict(request, output)
        run = tracked_run(settings, trained, output, verdict)
        if run is None:
            from tasks.tracking.client import mlflow_client
            from tasks.tracking.publish import publish_evaluation

            with mlflow_client(settings) as client:
                run = publish_evaluation(client, settings, trained, output, request, verdict)
            from tasks.models.trust_report import publish_trust_report

            create_markdown_artifact(
                publish_trust_report(settings, run.run_id, output.key),
                key=artifact_key(request.recipe, "report"),
                description=f"{request.recipe}: trust report in short",
            )
        headline = headline_markdown(request.recipe, output.facts["metrics"], trained.facts)
        create_markdown_artifact(
            f"{headline}\n\nMLflow run {run.markdown}",
            key=artifact_key(request.recipe, "headline"),
            description=f"{request.recipe}: headline",
        )
        return run

    return run_stage("evaluate", request, work, publish)


def _verdict(request: StageRequest, output: Output) -> str | None:
    """Say whether the model meets what the config requires; None if that is nothing."""
    requirements = request.config.evaluate.requirements
    if requirements.is_empty:
        return None
    return requirements_sentence(missed_requirements(requirements, output.facts["metrics"]))
