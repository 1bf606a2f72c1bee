import polars as pl
import pytest

from nli_core.evaluation.comparison import compare
from nli_core.evaluation.promotion_rules import Margins, failed_checks

OTHER = {"a": "b", "b": "a"}


def _predictions(right: dict[str, int], each: int = 500, overconfidence: float = 0.0) -> pl.DataFrame:
    """`each` examples of both labels, of which so many are right; as sure of each answer as they are right, or more."""
    rows = [(label, place < count) for label, count in right.items() for place in range(each)]
    predicted = [label if is_right else OTHER[label] for label, is_right in rows]
    sure = sum(right.values()) / len(rows) + overconfidence
    return pl.DataFrame(
        {
            "id": range(len(rows)),
            "label": [label for label, _ in rows],
            "predicted": predicted,
            "probability/a": [sure if label == "a" else 1 - sure for label in predicted],
            "probability/b": [sure if label == "b" else 1 - sure for label in predicted],
        }
    )


@pytest.mark.parametrize(
    ("right", "overconfidence", "expected"),
    [
        ({"a": 420, "b": 420}, 0.0, []),
        ({"a": 470, "b": 395}, 0.0, []),  # b falls by 1 point
        ({"a": 470, "b": 394}, 0.0, ["drops by 1.20 points on label b, more than 1"]),
        ({"a": 420, "b": 420}, 0.0099, []),
        ({"a": 420, "b": 420}, 0.0101, ["its calibration error is 0.0101 higher, more than 0.01"]),
        ({"a": 402, "b": 401}, 0.0, ["not better by the paired test: +0.30 points, p = 0.2500"]),
        ({"a": 380, "b": 380}, 0.0, ["not better", "label a", "label b"]),
    ],
)
def test_what_speaks_against_a_promotion(right: dict[str, int], overconfidence: float, expected: list[str]) -> None:
    second = _predictions(right, overconfidence=overconfidence)
    broken = failed_checks(compare(_predictions({"a": 400, "b": 400}), second), Margins())
    assert len(broken) == len(expected)
    for found, words in zip(broken, expected, strict=True):
        assert words in found


def test_a_fall_that_could_be_chance_is_none() -> None:
    """5 of 60 examples are 8 points, and p is 0.0625; 6 are not chance any more."""
    first = _predictions({"a": 0, "b": 60}, each=60)
    assert failed_checks(compare(first, _predictions({"a": 60, "b": 55}, each=60)), Margins(calibration=1)) == []
    (rule,) = failed_checks(compare(first, _predictions({"a": 60, "b": 54}, each=60)), Margins(calibration=1))
    assert "drops by 10.00 points on label b" in rule
