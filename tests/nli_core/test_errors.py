import pytest

from nli_core.errors import UserError, reason_of


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("no answer from http://me:p@ss@host:5000/api, try later", "no answer from http://host:5000/api, try later"),
        ("postgresql://me:secret@db/mlflow and s3://bucket/a@b", "postgresql://db/mlflow and s3://bucket/a@b"),
        ("first line\nmore", "first line"),
        ("", "ValueError"),
    ],
)
def test_a_reason_is_one_line_without_passwords(message: str, told: str) -> None:
    assert reason_of(ValueError(message)) == told


def test_a_users_error_is_one_line() -> None:
    assert str(UserError("one\n  two")) == "one two"
