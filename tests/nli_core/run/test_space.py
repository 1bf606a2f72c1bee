"""What a search may try, as text."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nli_core.errors import UserError
from nli_core.run.space import Interval, parse_space

ENDS = st.floats(1e-9, 1e9)


def test_intervals_and_values_are_read() -> None:
    texts = {
        "a.rate": " log (1e-5, 5e-4)",
        "a.dropout": "uniform(-0.5,0.3)",
        "a.size": "int(8,64)",
        "a.loss": "mean,sum",
    }
    assert parse_space(texts) == {
        "a.rate": Interval(1e-5, 5e-4, log=True),
        "a.dropout": Interval(-0.5, 0.3),
        "a.size": Interval(8, 64, whole=True),
        "a.loss": ["mean", "sum"],
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        *[
            (text, "write log(LOW,HIGH)")
            for text in (
                "log(1",
                "log(1,2),3",
                "int(1," + "9" * 400 + ")",
                "log(1)",
                "loguniform(1,2)",
                "log(a,b)",
                "int(1.5,2)",
                "log(1,2,3)",
            )
        ],
        *[(text, "the first below the second") for text in ("log(2,1)", "int(1,1)", "uniform(0,inf)")],
        *[(text, "the first below the second") for text in ("uniform(nan,1)", "uniform(-inf,0)")],
        *[(text, "log needs numbers above 0") for text in ("log(0,1)", "log(-1,1)")],
        ("", "has no values"),
        ("16,16", "has a duplicate value"),
    ],
)
def test_a_malformed_space_is_refused_by_name(text: str, message: str) -> None:
    with pytest.raises(UserError, match=rf"^--search finetune\.x={re.escape(text)}: .*{re.escape(message)}"):
        parse_space({"finetune.x": text})


@given(ENDS, ENDS, st.floats(0, 1))
def test_a_rounded_number_has_four_digits_and_stays_within_the_ends(one: float, other: float, part: float) -> None:
    low, high = sorted((one, other))
    number = low + part * (high - low)
    rounded = Interval(low, high).rounded(number)
    assert low <= rounded <= high
    assert rounded == pytest.approx(number, rel=1e-3)
    assert rounded in (low, high) or rounded == float(f"{rounded:.3e}")
