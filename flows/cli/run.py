"""How a run ends for whoever started it: a short table, or one JSON object."""

from typing import Any

from flows.cli.output import print_rows, say
from flows.pipeline import RunSummary
from nli_core.evaluation.headline import accuracy_text


def as_json(summary: RunSummary) -> dict[str, Any]:
    """The summary as plain values."""
    return {
        "recipe": summary.recipe,
        "status": "Completed",
        "flow_run_id": summary.flow_run_id,
        "mlflow_run_id": summary.mlflow_run_id,
        "tracking_uri": summary.tracking_uri,
        "stages": {
            stage: {
                "key": result.output.key,
                "state": result.state_name,
                "seconds": result.seconds,
                "path": str(result.output.folder),
            }
            for stage, result in summary.stages.items()
        },
        "metrics": summary.metrics,
        "promotion": summary.promotion,
    }


def print_summary(summary: RunSummary) -> None:
    """Print stages, states and seconds, the headline figures, and where to look next."""
    stages = [
        (stage, result.state_name, f"{result.seconds:.1f}", result.output.key[:12])
        for stage, result in summary.stages.items()
    ]
    print_rows(("stage", "state", "seconds", "key"), stages)
    if all(result.cached for result in summary.stages.values()):
        say("Nothing to do: every stage was cached.")
    say()
    figures: list[tuple[str, str]] = []
    if "evaluate" in summary.stages:
        for split in ("dev", "test"):
            figures.append((f"{split} accuracy", f"{accuracy_text(summary.metrics, split)}  (95 % interval)"))
    if "finetune" in summary.stages:
        facts = summary.stages["finetune"].output.facts
        speed = f"{facts['examples_per_second']} examples/s, {facts['precision']} on {facts['device']}"
        figures.append(("training", speed))
    if "download" in summary.stages:
        for name, origin in summary.stages["download"].output.facts.items():
            figures.append((name, f"{origin['source']} ({'verified' if origin['verified'] else 'unverified'})"))
    if summary.mlflow_run_id:
        figures.append(("MLflow run", summary.mlflow_run_id))
    if summary.promotion:
        figures.append(("champion", summary.promotion))
    print_rows((), figures)
    say("\nLook next: `make ui` opens the flow run in Prefect and the curves and figures in MLflow.")
