"""The checks that a model must pass to become champion, over its comparison with the present one."""

from dataclasses import dataclass

from nli_core.evaluation.comparison import ALL, Comparison
from nli_core.evaluation.seeds import GroupDifference
from nli_core.evaluation.significance import SIGNIFICANT


@dataclass(frozen=True)
class Margins:
    """How much worse a better model may be: accuracy on a part, or F1, in points, calibration error as such."""

    part_points: float = 1.0
    calibration: float = 0.01


def failed_group_checks(found: GroupDifference) -> list[str]:
    """List the checks that a candidate group of seeds fails against the baseline; empty if it passes all."""
    if found.difference > 0 and found.p_value < SIGNIFICANT:
        return []
    points = f"{found.difference * 100:+.2f} points, p = {found.p_value:.4f}"
    could = f"{found.detectable * 100:.2f} points could have been shown"
    return [f"not better over seeds: {points}, wanted above 0 with p below {SIGNIFICANT}; {could}"]


def failed_checks(comparison: Comparison, margins: Margins) -> list[str]:
    """List the checks that the candidate fails against the baseline; empty if it passes all.

    A drop on a part, or of a multi-label model's F1, counts only if it is significant: on few examples even a better
    model drops now and then.
    """
    everything = comparison.parts[0].paired
    failed = []
    if not (everything.difference > 0 and everything.p_value < SIGNIFICANT):
        points = f"{everything.difference * 100:+.2f} points, p = {everything.p_value:.4f}"
        failed.append(f"not better by the paired test: {points}, wanted above 0 with p below {SIGNIFICANT}")
    for part in comparison.parts:
        fall = -100 * part.paired.difference
        if part.name != ALL and part.paired.p_value < SIGNIFICANT and fall > margins.part_points:
            failed.append(f"drops by {fall:.2f} points on {part.name}, more than {margins.part_points:g}")
    for score in comparison.scores:
        if score.high < 0 and -100 * score.value > margins.part_points:
            name = score.name.replace("_f1", "-F1")
            failed.append(f"its {name} drops by {-100 * score.value:.2f} points, more than {margins.part_points:g}")
    worse = comparison.second_ece - comparison.first_ece
    if worse > margins.calibration:
        failed.append(f"its calibration error is {worse:.4f} higher, more than {margins.calibration:g}")
    return failed
