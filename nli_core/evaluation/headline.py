"""The headline of a run: its figures in short, and as markdown for Prefect's artifact and MLflow's description."""

from collections.abc import Mapping
from typing import Any


def headline_markdown(recipe: str, metrics: Mapping[str, float], training: Mapping[str, Any]) -> str:
    """Render a table of dev and test, and how the model was trained."""
    figures = {split: headline_figures(metrics, split) for split in ("dev", "test")}
    header = ["split", *(f"{name} (95 % interval)" for name in figures["test"])]
    rows = [[split, *texts.values()] for split, texts in figures.items()]
    for name, shown in {"macro_f1": "macro-F1", "loss": "loss", "ece": "ECE"}.items():
        header.append(shown)
        for row in rows:
            row.append(f"{metrics[f'{row[0]}/{name}']:.4f}")
    header.append("examples")
    for row in rows:
        row.append(f"{metrics[f'{row[0]}/examples']:,.0f}")
    return "\n".join(
        [
            f"## {recipe}",
            "",
            *(f"| {' | '.join(cells)} |" for cells in (header, ["---"] * len(header), *rows)),
            "",
            f"Epoch {training['best_epoch']} of {training['epochs']}, chosen on dev, after {training['steps']:,} steps "
            f"in {training['precision']} on {training['device']}. Test was read once, at the end.",
        ]
    )


def headline_figures(metrics: Mapping[str, float], split: str) -> dict[str, str]:
    """Format the accuracy of a split with its interval, and of a multi-label model its micro-F1."""
    shown = {"accuracy": "accuracy", "micro_f1": "micro-F1"}
    return {
        text: with_interval(metrics, f"{split}/{name}") for name, text in shown.items() if f"{split}/{name}" in metrics
    }


def with_interval(metrics: Mapping[str, float], name: str) -> str:
    """Format a metric with its interval: `0.8123 [0.8044, 0.8199]`."""
    return f"{metrics[name]:.4f} [{metrics[f'{name}_low']:.4f}, {metrics[f'{name}_high']:.4f}]"
