import polars as pl
import pytest

from nli_core.evaluation.comparison import compare
from nli_core.evaluation.promotion import Margins, broken_rules

CALIBRATED = {"test/ece": 0.02}


def _predictions(right: dict[str, int], each: int = 500) -> pl.DataFrame:
    """`each` examples of every label, of which so many are right."""
    rows = [(label, place < count) for label, count in right.items() for place in range(each)]
    return pl.DataFrame(
        {
            "id": range(len(rows)),
            "label": [label for label, _ in rows],
            "predicted": [label if is_right else "wrong" for label, is_right in rows],
            "probability/a": 0.5,
        }
    )


@pytest.mark.parametrize(
    ("right", "ece", "expected"),
    [
        ({"a": 420, "b": 420}, 0.02, []),
        ({"a": 470, "b": 396}, 0.02, []),  # b falls by 0.8 points
        ({"a": 470, "b": 394}, 0.02, ["it falls by 1.20 points on label b, more than 1"]),
        ({"a": 420, "b": 420}, 0.0301, ["its calibration error is 0.0101 higher, more than 0.01"]),
        ({"a": 402, "b": 401}, 0.02, ["it is not better by the paired test: +0.30 points, p = 0.2500"]),
        ({"a": 380, "b": 380}, 0.02, ["not better", "label a", "label b"]),
    ],
)
def test_what_speaks_against_a_promotion(right: dict[str, int], ece: float, expected: list[str]) -> None:
    compared = compare(_predictions({"a": 400, "b": 400}), _predictions(right))
    broken = broken_rules(compared, CALIBRATED, {"test/ece": ece}, Margins())
    assert len(broken) == len(expected)
    for found, words in zip(broken, expected, strict=True):
        assert words in found


def test_parts_of_few_examples_say_nothing() -> None:
    first, second = _predictions({"a": 0, "b": 99}, each=99), _predictions({"a": 99, "b": 90}, each=99)
    assert broken_rules(compare(first, second), CALIBRATED, CALIBRATED, Margins()) == []
    assert broken_rules(compare(first, second), CALIBRATED, CALIBRATED, Margins(fewest=99)) != []
