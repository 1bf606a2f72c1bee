import logging

import pytest

from nli_core.errors import UserError
from nli_core.log import LOGGER
from nli_core.printable import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain été 世界 🙂 a\u3000b", "plain été 世界 🙂 a\u3000b"),
        ("👩\u200d👧", "👩\u200d👧"),
        ("red \x1b[31m", "red \\x1b[31m"),
        ("two\nlines\r\t", "two\\nlines\\r\\t"),
        ("\u202eevil \u2028 \x9b1m \x00", "\\u202eevil \\u2028 \\x9b1m \\x00"),
    ],
)
def test_what_steers_a_terminal_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert str(UserError(f"label {text!s}")).isprintable() or shown == text


def test_a_log_line_is_one_line(logged: list[str]) -> None:
    LOGGER.log(logging.INFO, "label %s", "a\n\x1b[2J")
    assert logged == ["label a\\n\\x1b[2J"]
