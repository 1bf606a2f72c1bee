"""What the runs of a sweep say together: mean and standard deviation over seeds; dev chooses, test reports."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

HEADER = ("values", "runs", "dev accuracy", "deviation", "test accuracy", "deviation")

Values = Mapping[str, Any]
"""What a trial tries: a value for each field."""


@dataclass(frozen=True)
class TrialRun:
    """One run of a trial: the values that it was given, its seed, and its accuracies."""

    values: Values
    seed: int
    run_id: str
    dev: float
    test: float


@dataclass(frozen=True)
class Trial:
    """All runs with the same values. The deviations are those of a sample; None of a single run."""

    values: Values
    runs: int
    dev: float
    dev_deviation: float | None
    test: float
    test_deviation: float | None


@dataclass(frozen=True)
class PrunedTrial:
    """A trial that was stopped early, after this epoch, and its accuracy on dev there."""

    values: Values
    epoch: int
    dev: float


@dataclass(frozen=True)
class SweepResult:
    """What a sweep found: its runs, its trials with the best on dev first, and those that were stopped early.

    `importance` is the part of dev's variance that each field explains; it is empty where that cannot be estimated.
    """

    runs: Sequence[TrialRun]
    pruned: Sequence[PrunedTrial] = ()
    importance: Mapping[str, float] = field(default_factory=dict)

    @property
    def trials(self) -> list[Trial]:
        """The runs grouped by values, the best mean accuracy on dev first; ties keep their order."""
        groups: dict[str, list[TrialRun]] = {}
        for run in self.runs:
            groups.setdefault(values_text(run.values), []).append(run)
        return sorted(map(_trial, groups.values()), key=lambda trial: -trial.dev)


def values_text(values: Values) -> str:
    """Write a trial's values in one line."""
    return ", ".join(f"{name}={value}" for name, value in values.items()) or "as it is"


def sweep_markdown(result: SweepResult) -> str:
    """Render the table, which values dev chooses, and what was stopped early."""
    lines = [f"| {' | '.join(HEADER)} |", "|---|---|---|---|---|---|"]
    lines += [f"| {' | '.join(row)} |" for row in sweep_rows(result)]
    lines += ["", f"{chosen(result)} Deviations are over seeds."]
    if result.pruned:
        lines += ["", "| pruned | epoch | dev accuracy |", "|---|---|---|"]
        lines += [f"| {values_text(each.values)} | {each.epoch} | {each.dev:.4f} |" for each in result.pruned]
    return "\n".join(lines)


def chosen(result: SweepResult) -> str:
    """Say which values dev chooses, and whether that is clear."""
    first, *rest = result.trials
    reach = first.dev_deviation or 0.0
    near = [trial for trial in rest if first.dev - trial.dev <= max(reach, trial.dev_deviation or 0.0)]
    names = "; ".join(values_text(trial.values) for trial in near)
    doubt = f", though no better than {names} by more than a deviation" if near else ""
    return f"Chosen by the mean on dev: {values_text(first.values)}{doubt}."


def sweep_rows(result: SweepResult) -> list[tuple[str, ...]]:
    """Return the table's rows, in the columns of `HEADER`."""
    return [
        (
            values_text(trial.values),
            str(trial.runs),
            f"{trial.dev:.4f}",
            _deviation_text(trial.dev_deviation),
            f"{trial.test:.4f}",
            _deviation_text(trial.test_deviation),
        )
        for trial in result.trials
    ]


def _trial(runs: Sequence[TrialRun]) -> Trial:
    dev, test = [run.dev for run in runs], [run.test for run in runs]
    means = statistics.fmean(dev), statistics.fmean(test)
    return Trial(runs[0].values, len(runs), means[0], _deviation(dev), means[1], _deviation(test))


def _deviation(values: Sequence[float]) -> float | None:
    return statistics.stdev(values) if len(values) > 1 else None


def _deviation_text(deviation: float | None) -> str:
    return "" if deviation is None else f"{deviation:.4f}"
