"""What a set of predictions is worth.

Metric names have the shape `<split>/<metric>`, and `<split>/<metric>/<label>` for what belongs to one class.
"""

import numpy as np
from sklearn.metrics import confusion_matrix, log_loss, precision_recall_fscore_support

from nli_core.arrays import Bools, Floats, Ints
from nli_core.evaluation.outcomes import Outcomes
from nli_core.intervals import CONFIDENCE, proportion_interval

_DRAWS = 2000


def classification_metrics(outcomes: Outcomes, labels: tuple[str, ...], *, bins: int) -> dict[str, float]:
    """Compute accuracy with its interval, macro-F1, loss and ECE, and precision, recall and F1 of each class.

    A class that is never predicted has precision 0, and one without examples recall 0.
    """
    label_ids, predicted = outcomes.targets, outcomes.chosen.argmax(axis=1)
    every = np.arange(len(labels))
    precision, recall, f1, _ = precision_recall_fscore_support(label_ids, predicted, labels=every, zero_division=0.0)
    metrics = {
        "examples": float(len(label_ids)),
        **accuracy_metrics(outcomes.right),
        "macro_f1": float(np.mean(f1)),
        "loss": float(log_loss(label_ids, outcomes.probabilities, labels=every)),
        "ece": calibration_error(outcomes.claims, outcomes.truths, bins=bins),
    }
    for index, label in enumerate(labels):
        metrics[f"precision/{label}"] = float(precision[index])
        metrics[f"recall/{label}"] = float(recall[index])
        metrics[f"f1/{label}"] = float(f1[index])
    return metrics


def accuracy_metrics(right: Bools) -> dict[str, float]:
    """Compute the share of right answers [examples] and its 95 % interval; there must be one answer at least."""
    correct, examples = int(right.sum()), len(right)
    low, high = proportion_interval(correct, examples)
    return {"accuracy": correct / examples, "accuracy_low": low, "accuracy_high": high}


def f1_scores(counts: Ints) -> Floats:
    """Compute the F1 of each label [labels] from `label_counts`."""
    hits, missed, wrong = counts.T.astype(float)
    found: Floats = 2 * hits / np.maximum(2 * hits + missed + wrong, 1)
    return found


def f1_interval(counts: Ints, examples: int) -> tuple[float, float]:
    """Compute the ends of the 95 % bootstrap interval of a label's F1, from what is right, missed and wrong [3] of it.

    So many `examples` are drawn again 2,000 times, from a fixed seed.
    """
    part = counts.astype(float)
    shares = [*(part / examples), max(0.0, 1 - part.sum() / examples)]
    drawn = np.random.default_rng(0).multinomial(examples, shares, size=_DRAWS)[:, :3]
    low, high = np.quantile(f1_scores(drawn), [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def label_counts(outcomes: Outcomes) -> Ints:
    """Count the right, missed and wrong answers of each label [labels, 3]."""
    targets, chosen = outcomes.targets, outcomes.chosen
    truths = targets if targets.ndim == 2 else np.arange(chosen.shape[1]) == targets[:, None]
    counts: Ints = np.stack([(truths & chosen).sum(0), (truths & ~chosen).sum(0), (chosen & ~truths).sum(0)], axis=1)
    return counts


def confusion(outcomes: Outcomes) -> Ints:
    """Count examples [true label, predicted label]."""
    every = np.arange(outcomes.chosen.shape[1])
    counts: Ints = confusion_matrix(outcomes.targets, outcomes.chosen.argmax(axis=1), labels=every)
    return counts


def calibration_bins(claims: Floats, truths: Bools, *, bins: int) -> tuple[Floats, Floats, Floats]:
    """Compute mean probability, share of truths and share of claims [bins] over equal bins of probability.

    Those of empty bins are NaN.
    """
    confidence, correct = claims.ravel(), truths.ravel().astype(float)
    bin_of = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    counts = np.bincount(bin_of, minlength=bins)
    with np.errstate(invalid="ignore"):
        mean_confidence = np.bincount(bin_of, weights=confidence, minlength=bins) / counts
        accuracy = np.bincount(bin_of, weights=correct, minlength=bins) / counts
    return mean_confidence, accuracy, counts / len(confidence)


def calibration_error(claims: Floats, truths: Bools, *, bins: int) -> float:
    """Compute the expected calibration error (Guo et al., 2017): the mean gap of confidence and accuracy over bins."""
    confidence, accuracy, share = calibration_bins(claims, truths, bins=bins)
    return float(np.nansum(np.abs(confidence - accuracy) * share))
