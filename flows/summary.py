"""What a run did: for the terminal, for `--json`, and as an artifact in Prefect."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactCreate
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.runtime import flow_run

from nli_core.config import OutputKind, RequirementsConfig
from nli_core.evaluation.headline import headline_figures
from nli_core.evaluation.requirements import missed_requirements, requirements_sentence
from tasks.runtime.progress import alone, artifact_key
from tasks.settings import Settings
from tasks.stages.base import StageResult

_MLFLOW_RUN = "mlflow_run_id"  # in the metadata of a summary's artifact
Results = Mapping[OutputKind, StageResult]


@dataclass(frozen=True)
class RunSummary:
    """What a run did: its outputs in order, its metrics, and where to find it."""

    recipe: str
    flow_run_id: str
    mlflow_run_id: str | None
    tracking_uri: str
    outputs: dict[OutputKind, StageResult]
    metrics: dict[str, float]
    promotion: str | None
    missed: list[str] | None = None
    """The requirements that the model misses; None: nothing is required, or it was not evaluated."""

    def as_json(self) -> dict[str, Any]:
        """Return the summary as plain values."""
        return {
            "recipe": self.recipe,
            "status": "Completed",
            "flow_run_id": self.flow_run_id,
            "mlflow_run_id": self.mlflow_run_id,
            "tracking_uri": self.tracking_uri,
            "outputs": {
                kind: {
                    "key": result.output.key,
                    "state": result.state_name,
                    "seconds": result.seconds,
                    "path": str(result.output.folder),
                }
                for kind, result in self.outputs.items()
            },
            "metrics": self.metrics,
            "promotion": self.promotion,
            "missed_requirements": self.missed,
        }


def summarize(
    recipe: str, results: Results, requirements: RequirementsConfig, promotion: str | None = None
) -> RunSummary:
    """Summarize the stages of a run, and leave the summary in Prefect too."""
    measured: dict[str, Any] = results["evaluate"].output.facts["metrics"] if "evaluate" in results else {}
    missed = missed_requirements(requirements, measured) if measured and not requirements.is_empty else None
    runs = [result.mlflow_run_id for result in results.values() if result.mlflow_run_id]
    mlflow_run_id = runs[-1] if runs else None
    _leave_artifact(recipe, _markdown(recipe, results, promotion, missed), mlflow_run_id)
    return RunSummary(
        recipe=recipe,
        flow_run_id=str(flow_run.id),
        mlflow_run_id=mlflow_run_id,
        tracking_uri=Settings.from_environment().shown_tracking_uri,
        outputs=dict(results),
        metrics=measured,
        promotion=promotion,
        missed=missed,
    )


def _leave_artifact(recipe: str, text: str, mlflow_run_id: str | None) -> None:
    # Why the MLflow run is no label of the flow run: a server with SQLite often refuses labels while it stores events,
    # and Prefect's client then waits two seconds.
    summary = ArtifactCreate(
        key=artifact_key(recipe, *alone(str(flow_run.flow_name)), "run"),
        type="markdown",
        description=f"{recipe}: summary",
        data=text,
        metadata_={_MLFLOW_RUN: mlflow_run_id} if mlflow_run_id else None,
        flow_run_id=UUID(str(flow_run.id)),
    )
    with get_client(sync_client=True) as client:
        client.create_artifact(summary)


def read_mlflow_run(flow_run_id: UUID) -> str | None:
    """Return the MLflow run of a flow run of the pipeline, if it left a summary."""
    of_run = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[flow_run_id]))
    with get_client(sync_client=True) as client:
        artifacts = client.read_artifacts(artifact_filter=of_run)
    named = (artifact.metadata_ for artifact in artifacts if artifact.metadata_)
    return next((metadata[_MLFLOW_RUN] for metadata in named if _MLFLOW_RUN in metadata), None)


def _markdown(recipe: str, results: Results, promotion: str | None, missed: list[str] | None) -> str:
    """Show which stages ran, which were cached, where their outputs are, and how the run compares to the champion.

    `promotion` replaces the comparison for a run that was to become champion.
    """
    lines = [f"## {recipe}", ""]
    if all(result.state_name == "Cached" for result in results.values()):
        lines += ["Nothing changed: every stage was cached.", ""]
    lines += ["| output | state | seconds | folder |", "|---|---|---|---|"]
    for kind, result in results.items():
        lines.append(f"| {kind} | {result.state_name} | {result.seconds:.1f} | `{result.output.folder}` |")
    if evaluated := results.get("evaluate"):
        metrics = evaluated.output.facts["metrics"]
        lines.append("")
        for split in ("dev", "test"):
            lines += [f"- {split} {name} {text}" for name, text in headline_figures(metrics, split).items()]
        if missed is not None:
            lines.append(f"- {requirements_sentence(missed)}")
        if evaluated.run:
            lines.append(f"- MLflow run {evaluated.run.markdown}")
        if promotion or not evaluated.is_reused:
            lines.append(f"- {promotion or _against_champion(evaluated)}")
    return "\n".join(lines)


def _against_champion(evaluated: StageResult) -> str:
    from tasks.models.trust_report import read_standing  # imports MLflow, which a cached run does without

    return read_standing(Settings.from_environment(), str(evaluated.mlflow_run_id))
