import pytest

from nli_core.errors import UserError, reason_of


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("no answer from http://me:p@ss@host:5000/api, try later", "no answer from http://host:5000/api, try later"),
        ("postgresql://me:secret@db/mlflow and s3://bucket/a@b", "postgresql://db/mlflow and s3://bucket/a@b"),
        ("http://bob:S3cr3t/PW@127.0.0.1:1/snli.zip: no", "http://127.0.0.1:1/snli.zip: no"),
        ("ftp://bob:secret@host/x, ['http://bob:secret@h']", "ftp://host/x, ['http://h']"),
        ("https://hub.mirror:8080/owner/name@main: 404", "https://hub.mirror:8080/owner/name@main: 404"),
        ("first line\nmore", "first line"),
        ("", "ValueError"),
    ],
)
def test_a_reason_is_one_line_without_passwords(message: str, told: str) -> None:
    assert reason_of(ValueError(message)) == told


def test_a_users_error_is_one_line_without_passwords() -> None:
    assert str(UserError("one\n  two http://me:secret@host")) == "one two http://host"
