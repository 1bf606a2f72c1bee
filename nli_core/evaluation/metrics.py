"""What a set of predictions is worth.

Metric names have the shape `<split>/<metric>`, and `<split>/<metric>/<label>` for what belongs to one class.
"""

import numpy as np
from sklearn.metrics import confusion_matrix, log_loss, precision_recall_fscore_support

from nli_core.arrays import Bools, Floats, Ints
from nli_core.intervals import CONFIDENCE, proportion_interval

_DRAWS = 2000


def classification_metrics(
    probabilities: Floats, label_ids: Ints, labels: tuple[str, ...], *, bins: int
) -> dict[str, float]:
    """Compute accuracy with its interval, macro-F1, loss and ECE, and precision, recall and F1 of each class.

    `probabilities` [examples, labels] has rows that sum to 1; `label_ids` [examples] are indices in `labels`. A class
    that is never predicted has precision 0, and one without examples recall 0.
    """
    predicted = probabilities.argmax(axis=1)
    every = np.arange(len(labels))
    precision, recall, f1, _ = precision_recall_fscore_support(label_ids, predicted, labels=every, zero_division=0.0)
    metrics = {
        "examples": float(len(label_ids)),
        **accuracy_metrics(predicted == label_ids),
        "macro_f1": float(np.mean(f1)),
        "loss": float(log_loss(label_ids, probabilities, labels=every)),
        "ece": calibration_error(probabilities, label_ids, bins=bins),
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
    """Compute the F1 of each class [labels] from counts [true label, predicted label]."""
    return _f1(_parts(counts))


def f1_interval(counts: Ints, index: int) -> tuple[float, float]:
    """Compute the ends of the 95 % bootstrap interval of a class' F1.

    `counts` [true label, predicted label] is drawn again as so many examples, 2,000 times, from a fixed seed; only
    right, missed, wrongly predicted and other examples matter.
    """
    total, part = int(counts.sum()), _parts(counts)[index]
    shares = [*(part / total), max(0.0, 1 - part.sum() / total)]
    drawn = np.random.default_rng(0).multinomial(total, shares, size=_DRAWS)[:, :3]
    low, high = np.quantile(_f1(drawn.astype(float)), [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def _parts(counts: Ints) -> Floats:
    """Count what is right, missed and wrongly predicted of each class [labels, 3]."""
    hits = np.diag(counts)
    return np.stack([hits, counts.sum(axis=1) - hits, counts.sum(axis=0) - hits], axis=1).astype(float)


def _f1(parts: Floats) -> Floats:
    hits, missed, wrong = parts[:, 0], parts[:, 1], parts[:, 2]
    found: Floats = 2 * hits / np.maximum(2 * hits + missed + wrong, 1)
    return found


def confusion(probabilities: Floats, label_ids: Ints, labels: tuple[str, ...]) -> Ints:
    """Count examples [true label, predicted label]."""
    counts: Ints = confusion_matrix(label_ids, probabilities.argmax(axis=1), labels=np.arange(len(labels)))
    return counts


def calibration_bins(probabilities: Floats, label_ids: Ints, *, bins: int) -> tuple[Floats, Floats, Floats]:
    """Compute mean confidence, accuracy and share of examples [bins] over equal bins of confidence; NaN if empty."""
    confidence = probabilities.max(axis=1)
    correct = (probabilities.argmax(axis=1) == label_ids).astype(float)
    bin_of = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    counts = np.bincount(bin_of, minlength=bins)
    with np.errstate(invalid="ignore"):
        mean_confidence = np.bincount(bin_of, weights=confidence, minlength=bins) / counts
        accuracy = np.bincount(bin_of, weights=correct, minlength=bins) / counts
    return mean_confidence, accuracy, counts / len(label_ids)


def calibration_error(probabilities: Floats, label_ids: Ints, *, bins: int) -> float:
    """Compute the expected calibration error (Guo et al., 2017): the mean gap of confidence and accuracy over bins."""
    confidence, accuracy, share = calibration_bins(probabilities, label_ids, bins=bins)
    return float(np.nansum(np.abs(confidence - accuracy) * share))
