"""Figures of a run, as PNG files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from nli_core.arrays import Floats, Ints
from nli_core.evaluation.metrics import f1_interval, f1_scores
from nli_core.evaluation.significance import SIGNIFICANT, Paired
from nli_core.evaluation.style import ACCENT, MOST_INCHES, MOST_ROWS, SECOND, SPLIT_COLOURS, plain, save

_MOST_LABELS = 30  # that a matrix shows
_MOST_BARS = 25
_INCHES_A_CHARACTER = 0.07


def save_confusions(counts: Ints, labels: tuple[str, ...], title: str, path: Path) -> None:
    """Draw counts [true label, predicted label] as a matrix, or the most frequent errors of many labels as bars."""
    draw = _draw_matrix if len(labels) <= _MOST_LABELS else _draw_most_confused
    figure = draw(counts, [plain(label) for label in labels])
    figure.axes[0].set_title(plain(title))
    save(figure, path)


def _draw_matrix(counts: Ints, labels: list[str]) -> Figure:
    """Draw each count; the shade is the share of the true label."""
    side = min(max(4.0, 1.1 * len(labels) + 2), MOST_INCHES)
    figure = Figure(figsize=(side, side * 0.85), layout="constrained")
    axes = figure.subplots()
    share = counts / counts.sum(axis=1, keepdims=True).clip(min=1)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    size = min(9.0, 9 * side / (1.1 * len(labels) + 2))
    for row in range(len(labels)):
        for column in range(len(labels)):
            colour = "white" if share[row, column] > 0.6 else "black"
            text = f"{counts[row, column]:,}\n{share[row, column]:.0%}"
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=size)
    axes.set_xticks(range(len(labels)), labels, rotation=30, ha="right")
    axes.set_yticks(range(len(labels)), labels)
    axes.set(xlabel="predicted", ylabel="true")
    return figure


def _draw_most_confused(counts: Ints, labels: list[str]) -> Figure:
    """Draw the pairs of a true and another predicted label with the most examples, and their share of the true one."""
    errors = counts.copy()
    np.fill_diagonal(errors, 0)
    order = np.argsort(-errors, axis=None, kind="stable")[:_MOST_BARS]
    pairs = [
        (int(true), int(predicted)) for true, predicted in zip(*np.unravel_index(order, errors.shape), strict=True)
    ]
    pairs = [pair for pair in pairs if errors[pair]]
    figure = Figure(figsize=(9, 0.3 * len(pairs) + 1.6), layout="constrained")
    axes = figure.subplots()
    for row, (true, predicted) in enumerate(pairs):
        bar = axes.barh(row, errors[true, predicted], color=ACCENT)
        axes.bar_label(bar, [f" {errors[true, predicted]:,} ({errors[true, predicted] / counts[true].sum():.0%})"])
    axes.set_yticks(range(len(pairs)), [f"{labels[true]} → {labels[predicted]}" for true, predicted in pairs])
    axes.invert_yaxis()
    axes.margins(x=0.2)
    axes.set(xlabel="examples (share of the true label), true → predicted", xticks=[])
    return figure


def save_reliability_diagram(confidence: Floats, accuracy: Floats, share: Floats, title: str, path: Path) -> None:
    """Draw accuracy against confidence [bins], with the share of examples in each bin below."""
    figure = Figure(figsize=(5, 5.4), layout="constrained")
    above, below = figure.subplots(2, 1, height_ratios=(4, 1), sharex=True)
    above.plot([0, 1], [0, 1], color="grey", linestyle="--", linewidth=1, label="calibrated")
    above.plot(confidence, accuracy, color=ACCENT, marker="o", markersize=4, label="model")
    above.set(ylabel="accuracy", xlim=(0, 1), ylim=(0, 1), title=plain(title))
    above.legend(frameon=False)
    width = 1 / len(share)
    below.bar([(index + 0.5) * width for index in range(len(share))], share, width=width * 0.9, color=ACCENT)
    below.set(xlabel="confidence", ylabel="share")
    save(figure, path)


def save_risk_coverage(coverage: Floats, risk: Floats, title: str, path: Path) -> None:
    """Draw how many of the surest answers are wrong, against how many examples are answered."""
    figure = Figure(figsize=(5, 3.6), layout="constrained")
    axes = figure.subplots()
    axes.plot(coverage, risk, color=ACCENT)
    axes.fill_between(coverage, risk, color=ACCENT, alpha=0.15, linewidth=0)
    axes.set(xlabel="part that is answered, the surest first", ylabel="wrong answers", title=plain(title))
    axes.set(xlim=(0, 1), ylim=(0, None))
    save(figure, path)


def save_label_counts(counts: Ints, labels: tuple[str, ...], title: str, path: Path) -> None:
    """Draw how many answers of each label are right, missed and wrong, from `label_counts`.

    Of very many labels, those with the lowest F1 are drawn.
    """
    shown = _lowest(counts)
    figure = Figure(figsize=(7, 0.42 * len(shown) + 1.6), layout="constrained")
    axes = figure.subplots()
    left = np.zeros(len(shown), np.int64)
    for place, (name, colour) in enumerate((("right", ACCENT), ("missed", "#b8bec6"), ("wrong", SECOND))):
        width = counts[shown, place]
        axes.barh(range(len(shown)), width, left=left, color=colour, label=name)
        left += width
    axes.set_yticks(range(len(shown)), [plain(labels[index]) for index in shown])
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.set(xlabel="examples with the label, and wrong answers", title=plain(title))
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    save(figure, path)


def _lowest(counts: Ints) -> list[int]:
    """Return the numbers of the labels in their order, or of very many those with the lowest F1."""
    f1, every = f1_scores(counts), list(range(len(counts)))
    return every if len(every) <= MOST_ROWS else sorted(every, key=lambda index: f1[index])[:MOST_ROWS]


def save_f1(counts: Ints, examples: int, labels: tuple[str, ...], title: str, path: Path) -> None:
    """Draw the F1 of each label with its bootstrap interval over so many examples, from `label_counts`.

    Of very many labels, those with the lowest F1 are drawn.
    """
    f1, shown = f1_scores(counts), _lowest(counts)
    figure = Figure(figsize=(7, 0.42 * len(shown) + 1.4), layout="constrained")
    axes = figure.subplots()
    for row, index in enumerate(shown):
        axes.plot(f1_interval(counts[index], examples), [row, row], color=ACCENT, linewidth=2)
        axes.plot(f1[index], row, color=ACCENT, marker="o")
    names = [f"{plain(labels[index])} ({counts[index, :2].sum():,})" for index in shown]
    axes.set_yticks(range(len(shown)), names)
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.set(xlabel="F1 (95 % bootstrap intervals), examples in parentheses", title=plain(title))
    save(figure, path)


def save_data(splits: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Draw the labels and the lengths of each split, as shares of its examples, from what pack reports of them."""
    names = list(next(iter(splits.values()))["labels"])[:MOST_ROWS]
    figure = Figure(figsize=(9, max(3.6, 0.3 * len(names) + 1.4)), layout="constrained")
    by_label, by_length = figure.subplots(1, 2)
    height = 0.8 / len(splits)
    for number, (split, facts) in enumerate(splits.items()):
        places = [row + (number - (len(splits) - 1) / 2) * height for row in range(len(names))]
        shares = [facts["labels"][name] / facts["rows"] for name in names]
        by_label.barh(places, shares, height * 0.9, color=SPLIT_COLOURS[split], label=f"{split} ({facts['rows']:,})")
        starts, counts = zip(*facts["length_histogram"], strict=True)
        by_length.step(starts, [count / facts["rows"] for count in counts], where="post", color=SPLIT_COLOURS[split])
    by_label.set_yticks(range(len(names)), [plain(name) for name in names])
    by_label.set_ylim(len(names) - 0.5, -0.5)
    by_label.set(xlabel="share of the split", title="Labels")
    by_length.set(xlabel="tokens", ylabel="share of the split", title="Lengths", ylim=(0, None))
    figure.legend(loc="outside lower center", ncols=len(splits), frameon=False)
    save(figure, path)


def save_learning_curves(
    train: Sequence[tuple[int, float]], dev: Sequence[tuple[int, float, float]], path: Path
) -> None:
    """Train loss (step, loss) against dev loss and accuracy (step, loss, accuracy), by optimiser step."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    losses, accuracies = figure.subplots(1, 2)
    losses.plot([step for step, _ in train], [loss for _, loss in train], color=ACCENT, linewidth=1, label="train")
    steps = [step for step, _, _ in dev]
    losses.plot(steps, [loss for _, loss, _ in dev], color=SECOND, marker="o", label="dev")
    losses.set(xlabel="step", ylabel="loss", title="Loss")
    losses.legend(frameon=False)
    accuracies.plot(steps, [accuracy for _, _, accuracy in dev], color=SECOND, marker="o", label="dev")
    accuracies.set(xlabel="step", ylabel="accuracy", title="Dev accuracy by epoch")
    save(figure, path)


def save_attention(weights: Floats, tokens: Sequence[str], title: str, path: Path) -> None:
    """Draw attention weights [token that attends, token that is attended to], with the tokens on both axes."""
    inches = min(0.28, MOST_INCHES / len(tokens))  # of one token
    tokens = [plain(token) for token in tokens]
    side = max(4.0, inches * len(tokens) + 1.5) + _INCHES_A_CHARACTER * max(map(len, tokens))
    figure = Figure(figsize=(side + 0.8, side), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(weights, cmap="Blues", vmin=0)
    size = min(10.0, 36 * inches)  # in points, of 72 to an inch
    axes.set_xticks(range(len(tokens)), tokens, rotation=90, fontsize=size)
    axes.set_yticks(range(len(tokens)), tokens, fontsize=size)
    axes.set(xlabel="attended to", ylabel="attending token", title=plain(title))
    figure.colorbar(image, ax=axes, shrink=0.7, label="attention weight")
    save(figure, path)


def save_differences(parts: Sequence[tuple[str, Paired]], path: Path) -> None:
    """Draw the difference in accuracy on each part, in points, with its interval; to the right, the second is better.

    What could be chance (McNemar's test) is grey. Of very many parts, the first and the surest differences are drawn.
    """
    if len(parts) > MOST_ROWS:
        surest = sorted(range(1, len(parts)), key=lambda index: parts[index][1].p_value)[: MOST_ROWS - 1]
        parts = [parts[index] for index in (0, *sorted(surest))]
    figure = Figure(figsize=(7.5, 0.42 * len(parts) + 1.2), layout="constrained")
    axes = figure.subplots()
    for row, (_, paired) in enumerate(parts):
        better, worse = paired.difference > 0, paired.difference < 0
        shown = paired.p_value < SIGNIFICANT
        colour = ACCENT if shown and better else SECOND if shown and worse else "grey"
        axes.plot([100 * paired.low, 100 * paired.high], [row, row], color=colour, linewidth=2)
        axes.plot(100 * paired.difference, row, color=colour, marker="o")
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(range(len(parts)), [f"{plain(name)} ({paired.examples:,})" for name, paired in parts])
    axes.invert_yaxis()
    axes.set(xlabel="difference in accuracy to A, points (95 % bootstrap intervals)")
    save(figure, path)
