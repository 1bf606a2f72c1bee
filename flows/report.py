"""How a run ends for whoever started it: a short table, or one JSON object."""

from typing import Any

from rich.console import Console
from rich.table import Table

from flows.pipeline import RunSummary
from tasks.headline import accuracy_text


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
    console = Console(soft_wrap=True, highlight=False)
    stages = Table("stage", "state", "seconds", "key", box=None, pad_edge=False)
    for stage, result in summary.stages.items():
        stages.add_row(stage, result.state_name, f"{result.seconds:.1f}", result.output.key[:12])
    console.print(stages)
    if all(result.cached for result in summary.stages.values()):
        console.print("Nothing to do: every stage was cached.")
    console.print()
    figures = Table(box=None, pad_edge=False, show_header=False)
    if "evaluate" in summary.stages:
        for split in ("dev", "test"):
            figures.add_row(f"{split} accuracy", f"{accuracy_text(summary.metrics, split)}  (95 % interval)")
    if "finetune" in summary.stages:
        facts = summary.stages["finetune"].output.facts
        figures.add_row(
            "training", f"{facts['examples_per_second']} examples/s, {facts['precision']} on {facts['device']}"
        )
    if "download" in summary.stages:
        for name, origin in summary.stages["download"].output.facts.items():
            figures.add_row(name, f"{origin['source']} ({'verified' if origin['verified'] else 'unverified'})")
    if summary.mlflow_run_id:
        figures.add_row("MLflow run", summary.mlflow_run_id)
    if summary.promotion:
        figures.add_row("champion", summary.promotion)
    console.print(figures)
    console.print("\nLook next: `make ui` opens the flow run in Prefect and the curves and figures in MLflow.")
