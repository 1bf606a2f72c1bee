"""The task of the evaluate stage."""

from prefect import State, task
from prefect.artifacts import create_markdown_artifact

from nli_core.config import RunConfig
from nli_core.manifest import Output
from nli_core.outputs import MODEL
from nli_core.plan import Outputs
from nli_core.store import Claim
from nli_core.training.history import read_history
from tasks.headline import headline_markdown
from tasks.progress import StageProgress, artifact_key
from tasks.settings import Settings
from tasks.stage import StageResult, run_stage
from tasks.stopping import StopRequest
from tasks.tracked import RunLink, tracked_run


@task(name="evaluate")
def evaluate(config: RunConfig, upstream: Outputs, recipe: str, rerun: bool = False) -> State[StageResult]:
    """Have the model's metrics, predictions and figures in the store, in its MLflow run and in a Prefect artifact."""
    trained = upstream["finetune"]

    def work(claim: Claim, settings: Settings) -> dict[str, object]:
        from nli_core.evaluation.evaluate import evaluate as measure

        with StopRequest() as stop, StageProgress("evaluate", stop) as progress:
            return measure(
                trained.folder / MODEL,
                upstream["pack"].folder,
                read_history(trained.folder),
                config.evaluate,
                out=claim.partial,
                progress=progress,
            )

    def publish(settings: Settings, output: Output) -> RunLink:
        run = tracked_run(settings, trained, output)
        if run is None:
            from tasks import connection, publishing, tracking

            about = tracking.About(config, recipe, upstream)
            with connection.mlflow_client(settings) as client:
                run = publishing.publish_evaluation(client, settings, trained, output, about)
        markdown = f"{headline_markdown(recipe, output.facts['metrics'], trained.facts)}\n\nMLflow run {run.markdown}"
        create_markdown_artifact(markdown, key=artifact_key(recipe, "headline"), description=f"{recipe}: headline")
        return run

    return run_stage("evaluate", config, upstream, rerun, work, publish)
