"""What the runs of a sweep say together: mean and standard deviation over seeds; dev chooses, test reports."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

HEADER = ("values", "runs", "dev accuracy", "deviation", "test accuracy", "deviation")


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
    """Group trials by values, the best mean accuracy on dev first; ties keep their order."""
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


def sweep_markdown(found: Sequence[Choice]) -> str:
    """Render the table, and which values dev chooses."""
    lines = [f"| {' | '.join(HEADER)} |", "|---|---|---|---|---|---|"]
    lines += [f"| {' | '.join(row)} |" for row in sweep_rows(found)]
    return "\n".join([*lines, "", f"{chosen(found)} Deviations are over seeds."])


def chosen(found: Sequence[Choice]) -> str:
    """Say which values dev chooses, and whether that is clear."""
    first, rest = found[0], found[1:]
    reach = first.dev_deviation or 0.0
    near = [choice.values for choice in rest if first.dev - choice.dev <= max(reach, choice.dev_deviation or 0.0)]
    doubt = f", though no better than {'; '.join(near)} by more than a deviation" if near else ""
    return f"Chosen by the mean on dev: {first.values}{doubt}."


def sweep_rows(found: Sequence[Choice]) -> list[tuple[str, ...]]:
    """Return the table's rows, in the columns of `HEADER`."""
    return [
        (
            choice.values,
            str(choice.runs),
            f"{choice.dev:.4f}",
            _deviation_text(choice.dev_deviation),
            f"{choice.test:.4f}",
            _deviation_text(choice.test_deviation),
        )
        for choice in found
    ]


def _deviation_text(deviation: float | None) -> str:
    return "" if deviation is None else f"{deviation:.4f}"
