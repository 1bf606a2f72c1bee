"""What is a metric in MLflow, and what a tag."""

import pytest

from tasks.tracking.run_contents import is_charted


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("test/accuracy", True),
        ("test/accuracy_low", False),
        ("dev/ece", False),
        ("test/f1/ece", True),  # of classes that are called so
        ("test/recall/examples", True),
    ],
)
def test_constants_are_no_charts_whatever_classes_are_called(metric: str, expected: bool) -> None:
    assert is_charted(metric) == expected
