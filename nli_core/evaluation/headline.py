"""The headline of a run, as markdown for Prefect's artifact and MLflow's description."""

from collections.abc import Mapping
from typing import Any


def headline_markdown(recipe: str, metrics: Mapping[str, float], training: Mapping[str, Any]) -> str:
    """Render a table of dev and test, and how the model was trained."""
    rows = [
        f"| {split} | {accuracy_text(metrics, split)} | {metrics[f'{split}/macro_f1']:.4f} "
        f"| {metrics[f'{split}/loss']:.4f} | {metrics[f'{split}/ece']:.4f} | {metrics[f'{split}/examples']:,.0f} |"
        for split in ("dev", "test")
    ]
    return "\n".join(
        [
            f"## {recipe}",
            "",
            "| split | accuracy (95 % interval) | macro-F1 | loss | ECE | examples |",
            "|---|---|---|---|---|---|",
            *rows,
            "",
            f"Epoch {training['best_epoch']} of {training['epochs']}, chosen on dev, after {training['steps']:,} steps "
            f"in {training['precision']} on {training['device']}. Test was read once, at the end.",
        ]
    )


def accuracy_text(metrics: Mapping[str, float], split: str) -> str:
    """Format the accuracy of a split with its interval: `0.8123 [0.8044, 0.8199]`."""
    name = f"{split}/accuracy"
    return f"{metrics[name]:.4f} [{metrics[f'{name}_low']:.4f}, {metrics[f'{name}_high']:.4f}]"
