"""The task of the evaluate stage."""

from prefect import State, task
from prefect.artifacts import create_markdown_artifact

from nli_core.config import RunConfig
from nli_core.evaluation.headline import headline_markdown
from nli_core.filenames import MODEL
from nli_core.run.plan import Outputs
from nli_core.store.manifest import Output
from nli_core.store.store import Claim
from nli_core.training.curves import read_history
from tasks.runtime.cancellation import StopRequest
from tasks.runtime.progress import StageProgress, artifact_key
from tasks.settings import Settings
from tasks.stages.base import StageResult, run_stage
from tasks.tracking.sqlite_lookup import RunLink, tracked_run


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
            from tasks.tracking import client as connection
            from tasks.tracking import publish as publishing
            from tasks.tracking import runs as tracking

            about = tracking.About(config, recipe, upstream)
            with connection.mlflow_client(settings) as client:
                run = publishing.publish_evaluation(client, settings, trained, output, about)
        markdown = f"{headline_markdown(recipe, output.facts['metrics'], trained.facts)}\n\nMLflow run {run.markdown}"
        create_markdown_artifact(markdown, key=artifact_key(recipe, "headline"), description=f"{recipe}: headline")
        return run

    return run_stage("evaluate", config, upstream, rerun, work, publish)
