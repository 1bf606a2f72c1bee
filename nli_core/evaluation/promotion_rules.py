"""Whether a model may take the place of another: rules over their comparison on the same test examples."""

from dataclasses import dataclass

from nli_core.evaluation.comparison import ALL, Comparison
from nli_core.evaluation.significance import SIGNIFICANT


@dataclass(frozen=True)
class Margins:
    """How much worse a better model may be at something: accuracy on a part in points, calibration error as such."""

    part_points: float = 1.0
    calibration: float = 0.01


def failed_checks(comparison: Comparison, margins: Margins) -> list[str]:
    """What speaks against the second taking the place of the first; nothing if it may.

    A fall on a part counts only if it is no chance: on few examples even a better model falls now and then.
    """
    everything = comparison.parts[0].paired
    broken = []
    if not (everything.difference > 0 and everything.p_value < SIGNIFICANT):
        points = f"{everything.difference * 100:+.2f} points, p = {everything.p_value:.4f}"
        broken.append(f"it is not better by the paired test: {points}, wanted above 0 with p below {SIGNIFICANT}")
    for part in comparison.parts:
        fall = -100 * part.paired.difference
        if part.name != ALL and part.paired.p_value < SIGNIFICANT and fall > margins.part_points:
            broken.append(f"it falls by {fall:.2f} points on {part.name}, more than {margins.part_points:g}")
    worse = comparison.second_ece - comparison.first_ece
    if worse > margins.calibration:
        broken.append(f"its calibration error is {worse:.4f} higher, more than {margins.calibration:g}")
    return broken
