"""What multi-label answers are worth: F1 over all labels together and each alone, and thresholds that serve it."""

from dataclasses import dataclass

import numpy as np
from sklearn.metrics import average_precision_score, precision_recall_fscore_support

from nli_core.arrays import Bools, Floats
from nli_core.data.examples.targets import Targets
from nli_core.evaluation.metrics import accuracy_metrics, calibration_error
from nli_core.evaluation.outcomes import Outcomes
from nli_core.intervals import CONFIDENCE, draw_again
from nli_core.model.answers import HALF

_LEAST_POSITIVES = 5  # of dev, to fit a label's threshold to
_MOST_DRAWN, _LEAST_RESAMPLES, _MOST_RESAMPLES = 100_000_000, 200, 1000
_CHUNK = 100
_TAIL = (1 - CONFIDENCE) / 2


def fit_thresholds(probabilities: Floats, targets: Bools) -> list[float]:
    """Find for each label the threshold with the best F1 on dev (Fan and Lin, 2007: SCut), from [examples, labels].

    It is one half for a label that fewer than five examples of dev have.
    """
    return [_threshold(*column) for column in zip(probabilities.T, targets.T, strict=True)]


def _threshold(probabilities: Floats, targets: Bools) -> float:
    if targets.sum() < _LEAST_POSITIVES:
        return HALF
    order = np.argsort(-probabilities, kind="stable")
    sorted_, hits = probabilities[order], np.cumsum(targets[order])
    f1 = 2 * hits / (np.arange(1, len(order) + 1) + targets.sum())
    f1[:-1][sorted_[:-1] == sorted_[1:]] = -1.0  # equal ones are answered alike
    last = int(f1.argmax())
    after = sorted_[last + 1] if last + 1 < len(order) else 0.0
    return float((sorted_[last] + after) / 2)


def multi_label_metrics(outcomes: Outcomes, labels: tuple[str, ...], *, bins: int) -> dict[str, float]:
    """Compute the metrics of a split.

    There are accuracy with its interval (all labels of an example are right: scikit-learn's subset accuracy), micro and
    macro F1 with theirs, loss and ECE over all labels, and precision, recall, F1 and average precision of each label.
    Where no example has a label, it has no average precision, and its F1 is 0.
    """
    targets, chosen = outcomes.targets, outcomes.chosen
    precision, recall, f1, support = precision_recall_fscore_support(targets, chosen, average=None, zero_division=0.0)
    metrics = {"examples": float(len(targets)), **accuracy_metrics(outcomes.right)}
    for score in f1_intervals(chosen, targets):
        metrics |= {score.name: score.value, f"{score.name}_low": score.low, f"{score.name}_high": score.high}
    metrics |= {
        "loss": float(outcomes.losses.mean()),
        "ece": calibration_error(outcomes.claims, outcomes.truths, bins=bins),
    }
    found = {}
    for index, label in enumerate(labels):
        metrics[f"precision/{label}"] = float(precision[index])
        metrics[f"recall/{label}"] = float(recall[index])
        metrics[f"f1/{label}"] = float(f1[index])
        if support[index]:
            found[label] = float(average_precision_score(targets[:, index], outcomes.probabilities[:, index]))
            metrics[f"average_precision/{label}"] = found[label]
    if found:
        metrics["mean_average_precision"] = float(np.mean([*found.values()]))
    return metrics


@dataclass(frozen=True)
class Score:
    """A score of answers, or a difference of two, with its 95 % bootstrap interval over examples."""

    name: str
    value: float
    low: float
    high: float


def f1_intervals(chosen: Bools, targets: Targets) -> list[Score]:
    """Compute micro and macro F1 of answers [examples, labels]."""
    value, drawn = _f1(chosen, targets)
    return _scores(value, drawn)


def f1_differences(first: Bools, second: Bools, targets: Targets) -> list[Score]:
    """Compute how much better the second answers are than the first, by micro and macro F1 on the same examples."""
    (value, drawn), (other, others) = _f1(first, targets), _f1(second, targets)
    return _scores(other - value, others - drawn)


def _scores(value: Floats, drawn: Floats) -> list[Score]:
    ends = np.quantile(drawn, [_TAIL, 1 - _TAIL], axis=0).T
    named = zip(("micro_f1", "macro_f1"), value.tolist(), ends.tolist(), strict=True)
    return [Score(name, each, low, high) for name, each, (low, high) in named]


def _f1(chosen: Bools, targets: Targets) -> tuple[Floats, Floats]:
    """Compute micro and macro F1 [2], and those of examples drawn again [resamples, 2], from a fixed seed."""
    examples, chance = len(targets), np.random.default_rng(0)
    resamples = int(np.clip(_MOST_DRAWN // targets.size, _LEAST_RESAMPLES, _MOST_RESAMPLES)) // _CHUNK * _CHUNK
    hits, sizes = (chosen & targets).astype(np.float32), chosen.astype(np.float32) + targets
    drawn = []
    for _ in range(resamples // _CHUNK):
        weights = draw_again(chance, examples, _CHUNK).astype(np.float32)
        drawn.append(_micro_and_macro(*((weights @ each).astype(np.float64) for each in (hits, sizes))))
    whole = (each.sum(axis=0, keepdims=True, dtype=np.float64) for each in (hits, sizes))
    return _micro_and_macro(*whole)[0], np.concatenate(drawn)


def _micro_and_macro(hits: Floats, sizes: Floats) -> Floats:
    """Compute F1 [resamples, 2] from sums of hits and of sizes, of answers and truth together [resamples, labels]."""
    micro = 2 * hits.sum(axis=1) / np.maximum(sizes.sum(axis=1), 1)
    return np.stack([micro, (2 * hits / np.maximum(sizes, 1)).mean(axis=1)], axis=1)
