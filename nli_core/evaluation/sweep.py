"""What the runs of a sweep say together: mean and standard deviation over seeds; dev chooses, test reports."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Trial:
    """One run: the values that it was given, its seed, and its accuracies."""

    values: str
    seed: int
    run_id: str
    dev: float
    test: float


@dataclass(frozen=True)
class Choice:
    """All runs with the same values. The deviations are those of a sample; None of a single run."""

    values: str
    runs: int
    dev: float
    dev_deviation: float | None
    test: float
    test_deviation: float | None


def choices(trials: Sequence[Trial]) -> list[Choice]:
    """The values that were tried, the best mean accuracy on dev first; equals stay in their order."""
    groups: dict[str, list[Trial]] = {}
    for trial in trials:
        groups.setdefault(trial.values, []).append(trial)
    found = []
    for values, group in groups.items():
        dev, test = [trial.dev for trial in group], [trial.test for trial in group]
        means = statistics.fmean(dev), statistics.fmean(test)
        found.append(Choice(values, len(group), means[0], _deviation(dev), means[1], _deviation(test)))
    return sorted(found, key=lambda choice: -choice.dev)


def _deviation(values: Sequence[float]) -> float | None:
    return statistics.stdev(values) if len(values) > 1 else None
