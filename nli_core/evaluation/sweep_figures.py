"""Figures of a sweep: its trials, what each field does to dev's accuracy, and how much each field matters."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter
from scipy import stats

from nli_core.evaluation.style import ACCENT, MOST_INCHES, MOST_ROWS, SECOND, SERIES, plain, save
from nli_core.evaluation.sweep import SweepResult, values_text
from nli_core.intervals import CONFIDENCE

_PANEL_INCHES = 3.2
_MOST_COLUMNS = 3


def save_trials(result: SweepResult, path: Path) -> None:
    """Draw dev accuracies by the values tried: a dot for each run, a bar at their mean; the first on top.

    Of very many trials, the first are drawn.
    """
    rows = [values_text(trial.values) for trial in result.trials][:MOST_ROWS]
    figure = Figure(figsize=(8, 0.45 * len(rows) + 1.4), layout="constrained")
    axes = figure.subplots()
    for row, values in enumerate(rows):
        devs = [run.dev for run in result.runs if values_text(run.values) == values]
        axes.plot(devs, [row] * len(devs), "o", color=ACCENT, markersize=5, alpha=0.7)
        axes.plot([fmean(devs)], [row], "|", color=SECOND, markersize=18, markeredgewidth=2)
    axes.set_yticks(range(len(rows)), [plain(values) for values in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set(xlabel="accuracy on dev; each seed a dot, their mean a bar")
    save(figure, path)


def save_epochs(result: SweepResult, curves: Mapping[str, Sequence[float]], path: Path) -> None:
    """Draw dev's accuracy by epoch: of each trial the mean over its seeds, with the 95 % interval of that mean (t).

    `curves` has the accuracy after each epoch of runs, by their ids. Of many trials, the first are drawn.
    """
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for trial, colour in zip(result.trials, SERIES, strict=False):
        values = values_text(trial.values)
        of_seeds = [curves[run.run_id] for run in result.runs if values_text(run.values) == values]
        longest = max(map(len, of_seeds))
        by_epoch = [[curve[epoch] for curve in of_seeds if epoch < len(curve)] for epoch in range(longest)]
        epochs, means = range(1, len(by_epoch) + 1), [fmean(accuracies) for accuracies in by_epoch]
        axes.plot(epochs, means, color=colour, marker="o", markersize=4, label=plain(values or "all seeds"))
        spread = [_half_interval(accuracies) for accuracies in by_epoch]
        lows, highs = ([mean + sign * half for mean, half in zip(means, spread, strict=True)] for sign in (-1, 1))
        axes.fill_between(epochs, lows, highs, color=colour, alpha=0.15, linewidth=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="epoch", ylabel="accuracy on dev", title="Mean over seeds, with the 95 % interval of the mean")
    axes.legend(frameon=False, fontsize="small")
    save(figure, path)


def _half_interval(values: Sequence[float]) -> float:
    """Compute half the width of the 95 % interval of a mean (Student's t); 0 for a single value."""
    if len(values) < 2:
        return 0.0
    quantile = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1))
    return quantile * stdev(values) / math.sqrt(len(values))


def save_slices(result: SweepResult, scales: Mapping[str, str], path: Path) -> None:
    """Draw dev's mean accuracy against the values of each field, in a panel each; pruned trials are crosses.

    `scales` has the axis' scale, linear or log, of the fields with numbers from an interval; the values of others have
    places side by side. Of very many fields, the first are drawn.
    """
    fields = list(result.trials[0].values)[: _MOST_COLUMNS * int(MOST_INCHES / _PANEL_INCHES)]
    columns = min(len(fields), _MOST_COLUMNS)
    rows = -(-len(fields) // columns)
    figure = Figure(figsize=(1.2 * _PANEL_INCHES * columns, _PANEL_INCHES * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True).flat
    for axes, name in zip(panels, fields, strict=False):
        finished = [(trial.values[name], trial.dev) for trial in result.trials]
        pruned = [(trial.values[name], trial.dev) for trial in result.pruned]
        if name in scales:
            axes.set_xscale(scales[name])
            axes.xaxis.set_minor_formatter(NullFormatter())  # they overlap
        else:
            finished, pruned = _side_by_side(axes, finished, pruned)
        axes.plot(*_columns(pruned), "x", color=SECOND, markersize=5, label="pruned")
        axes.plot(*_columns(finished), "o", color=ACCENT, markersize=5, alpha=0.7, label="finished")
        axes.plot(*finished[0], "o", color=ACCENT, markersize=11, markerfacecolor="none", label="chosen")
        axes.set(xlabel=plain(name))
    for axes in list(panels)[len(fields) :]:
        axes.remove()
    figure.supylabel("accuracy on dev", fontsize="medium")
    handles, names = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper right", ncols=len(names), frameon=False, fontsize="small")
    save(figure, path)


def _side_by_side(axes: Axes, *groups: Sequence[tuple[Any, float]]) -> list[list[tuple[Any, float]]]:
    """Give each value a place on the x axis; return the points at their places."""
    values = {str(value): value for points in groups for value, _ in points}
    is_number = all(isinstance(value, int | float) for value in values.values())
    order = sorted(values, key=lambda text: values[text] if is_number else text)
    axes.set_xticks(range(len(order)), [plain(text) for text in order])
    axes.margins(x=0.3)
    return [[(order.index(str(value)), dev) for value, dev in points] for points in groups]


def _columns(points: Sequence[tuple[Any, float]]) -> tuple[list[Any], list[float]]:
    return [x for x, _ in points], [y for _, y in points]


def save_importance(importance: Mapping[str, float], path: Path) -> None:
    """Draw the part of dev's variance that each field explains, the largest on top."""
    shares = sorted(importance.items(), key=lambda item: item[1])[-MOST_ROWS:]
    figure = Figure(figsize=(7, 0.4 * len(shares) + 1.2), layout="constrained")
    axes = figure.subplots()
    bars = axes.barh([plain(name) for name, _ in shares], [share for _, share in shares], color=ACCENT)
    axes.bar_label(bars, [f" {share:.0%}" for _, share in shares])
    axes.margins(x=0.12)
    axes.set(xlabel="part of dev's variance that the field explains (fANOVA)", xticks=[])
    save(figure, path)
