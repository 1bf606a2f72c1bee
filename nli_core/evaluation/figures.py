"""Figures of a run, as PNG files. Uses no pyplot, and so no global state."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

from matplotlib.figure import Figure

from nli_core.arrays import Floats, Ints
from nli_core.evaluation.significance import SIGNIFICANT, Paired

_DPI = 130
_ACCENT = "#2f6db5"
_SECOND = "#c8553d"
_MOST_INCHES = 20.0


def save_confusion_matrix(counts: Ints, labels: tuple[str, ...], title: str, path: Path) -> None:
    """Draw counts [true label, predicted label]; the shade is the share of the true label."""
    side = max(4.0, 1.1 * len(labels) + 2)
    figure = Figure(figsize=(side, side * 0.85), layout="constrained")
    axes = figure.subplots()
    share = counts / counts.sum(axis=1, keepdims=True).clip(min=1)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for row in range(len(labels)):
        for column in range(len(labels)):
            colour = "white" if share[row, column] > 0.6 else "black"
            text = f"{counts[row, column]:,}\n{share[row, column]:.0%}"
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=9)
    axes.set_xticks(range(len(labels)), labels, rotation=30, ha="right")
    axes.set_yticks(range(len(labels)), labels)
    axes.set(xlabel="predicted", ylabel="true", title=title)
    figure.savefig(path, dpi=_DPI)


def save_reliability_diagram(confidence: Floats, accuracy: Floats, share: Floats, title: str, path: Path) -> None:
    """Draw accuracy against confidence [bins], with the share of examples in each bin below."""
    figure = Figure(figsize=(5, 5.4), layout="constrained")
    above, below = figure.subplots(2, 1, height_ratios=(4, 1), sharex=True)
    above.plot([0, 1], [0, 1], color="grey", linestyle="--", linewidth=1, label="calibrated")
    above.plot(confidence, accuracy, color=_ACCENT, marker="o", markersize=4, label="model")
    above.set(ylabel="accuracy", xlim=(0, 1), ylim=(0, 1), title=title)
    above.legend(frameon=False)
    width = 1 / len(share)
    below.bar([(index + 0.5) * width for index in range(len(share))], share, width=width * 0.9, color=_ACCENT)
    below.set(xlabel="confidence", ylabel="share")
    figure.savefig(path, dpi=_DPI)


def save_learning_curves(
    train: Sequence[tuple[int, float]], dev: Sequence[tuple[int, float, float]], path: Path
) -> None:
    """Train loss (step, loss) against dev loss and accuracy (step, loss, accuracy), by optimiser step."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    losses, accuracies = figure.subplots(1, 2)
    losses.plot([step for step, _ in train], [loss for _, loss in train], color=_ACCENT, linewidth=1, label="train")
    steps = [step for step, _, _ in dev]
    losses.plot(steps, [loss for _, loss, _ in dev], color=_SECOND, marker="o", label="dev")
    losses.set(xlabel="step", ylabel="loss", title="Loss")
    losses.legend(frameon=False)
    accuracies.plot(steps, [accuracy for _, _, accuracy in dev], color=_SECOND, marker="o", label="dev")
    accuracies.set(xlabel="step", ylabel="accuracy", title="Dev accuracy by epoch")
    figure.savefig(path, dpi=_DPI)


def save_attention(weights: Floats, tokens: Sequence[str], title: str, path: Path) -> None:
    """Draw attention weights [token that attends, token that is attended to], with the tokens on both axes."""
    inches = min(0.28, _MOST_INCHES / len(tokens))  # of one token
    side = max(4.0, inches * len(tokens) + 1.5)
    figure = Figure(figsize=(side + 0.8, side), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(weights, cmap="Blues", vmin=0)
    size = min(10.0, 36 * inches)  # in points, of 72 to an inch
    axes.set_xticks(range(len(tokens)), tokens, rotation=90, fontsize=size)
    axes.set_yticks(range(len(tokens)), tokens, fontsize=size)
    axes.set(xlabel="attended to", ylabel="attending token", title=title)
    figure.colorbar(image, ax=axes, shrink=0.7, label="attention weight")
    figure.savefig(path, dpi=_DPI)


def save_differences(parts: Sequence[tuple[str, Paired]], path: Path) -> None:
    """Draw the difference in accuracy on each part, in points, with its interval; to the right, the second is better.

    What could be chance (McNemar's test) is grey.
    """
    figure = Figure(figsize=(7.5, 0.42 * len(parts) + 1.2), layout="constrained")
    axes = figure.subplots()
    for row, (_, paired) in enumerate(parts):
        better, worse = paired.difference > 0, paired.difference < 0
        shown = paired.p_value < SIGNIFICANT
        colour = _ACCENT if shown and better else _SECOND if shown and worse else "grey"
        axes.plot([100 * paired.low, 100 * paired.high], [row, row], color=colour, linewidth=2)
        axes.plot(100 * paired.difference, row, color=colour, marker="o")
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(range(len(parts)), [f"{name} ({paired.examples:,})" for name, paired in parts])
    axes.invert_yaxis()
    axes.set(xlabel="difference in accuracy, points (95 % bootstrap intervals)")
    figure.savefig(path, dpi=_DPI)


def save_sweep(accuracies: Mapping[str, Sequence[float]], path: Path) -> None:
    """Draw dev accuracies by the values tried: a dot for each run, a bar at their mean; the first on top."""
    figure = Figure(figsize=(8, 0.45 * len(accuracies) + 1.4), layout="constrained")
    axes = figure.subplots()
    for row, runs in enumerate(accuracies.values()):
        axes.plot(runs, [row] * len(runs), "o", color=_ACCENT, markersize=5, alpha=0.7)
        axes.plot([fmean(runs)], [row], "|", color=_SECOND, markersize=18, markeredgewidth=2)
    axes.set_yticks(range(len(accuracies)), list(accuracies))
    axes.set_ylim(len(accuracies) - 0.5, -0.5)
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set(xlabel="accuracy on dev; each seed a dot, their mean a bar")
    figure.savefig(path, dpi=_DPI)
