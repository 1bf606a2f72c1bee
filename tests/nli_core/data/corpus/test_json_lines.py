"""Python's json module is the oracle: equal rows, or a refusal that names the line; never other rows."""

import json
import re
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nli_core.data.corpus.json_lines import json_columns, json_parts
from nli_core.data.corpus.locate import Source
from nli_core.errors import UserError

pytestmark = pytest.mark.faults("inputs tried")

COLUMNS = ("a", "ä b")
KEYS = st.sampled_from(['"a"', '"\\u0061"', '"ä b"', '"other"'])
VALUES = st.sampled_from(
    [
        *['"x"', '"\\n\\"a\\": ["', '"\\ud83d\\ude00"', '"\\ud83d"', '"\\udc00x"', '"\\\\ud800"'],
        *["1", "1.5", "-3", "true", "null", "[]", '["x"]', '{"a": "y"}', "NaN", "1 2", ""],
    ]
)
LINES = st.lists(st.tuples(KEYS, VALUES), max_size=3).map(
    lambda pairs: "{" + ", ".join(f"{key}: {value}" for key, value in pairs) + "}"
)


def _read(path: Path, part: int = 1 << 20) -> list[dict[str, str | None]]:
    source = Source(path, "t")
    assert json_columns(source, 1 << 20)
    parts = list(json_parts(source, COLUMNS, part, 1 << 20))
    return pl.concat(parts).to_dicts() if parts else []


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value)


def _expected(line: str) -> dict[str, str | None] | None:
    """The row of a line by the json module; None for a line that is to be refused."""
    try:
        pairs = json.loads(line, object_pairs_hook=list, parse_constant=lambda _: 1 / 0)
    except (ValueError, ZeroDivisionError):
        return None
    wanted = [(name, value) for name, value in pairs if name in COLUMNS]
    row = dict(wanted)
    texts = {name: _text(value) for name, value in row.items()}
    try:
        json.dumps(pairs, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return None
    nested = any(isinstance(value, list) for value in row.values())
    return None if nested or len(row) < len(wanted) else {name: texts.get(name) for name in COLUMNS}


@given(lines=st.lists(LINES, min_size=1, max_size=4), part=st.integers(2, 60))
@example(lines=['{"a": "x", "a": "y"}'], part=9)
@example(lines=['{"a": "x", "ä b": "x", "ä b": "x"}'], part=52)  # while the first line lacks the key
@example(lines=['{"a": "x"}', '{"other": 1, "\\u0061": 1, "a": 2}'], part=60)
@settings(max_examples=600)
def test_rows_are_those_of_the_json_module_or_refused(lines: list[str], part: int) -> None:
    expected = [_expected(line) for line in lines]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "t"
        path.write_text('{"a": "first"}\n' + "\n".join(lines) + "\n", encoding="utf-8")
        if None in expected:
            with pytest.raises(UserError) as error:
                _read(path, part)
            faulty = "|".join(str(number) for number, row in enumerate(expected, 2) if row is None)
            assert re.match(rf"t, line ({faulty}): ", str(error.value))
            return
        assert _read(path, part)[1:] == expected


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ('{"a": "x", "a": "y"}', "has the key 'a' 2 times; leave one"),
        ('{"a": "x\\ud800y"}', "the text in 'a' has half of a surrogate pair"),
        ('{"a": ["x"]}', "the column 'a' holds a list, and not text"),
        ('{"a": {"x": 1}}', "the column 'a' holds an object, and not text"),
        ('["a"]', "is not a JSON object"),
        ('{"a": NaN}', "is not valid JSON (NaN)"),
        ('{"a": 1e999}', "the number in 'a' is too large; write it as text"),
        ('{"a": "x"', "is not valid JSON"),
        ('{"a": "x", "b": ' + "9" * 5000 + "}", "has a number of thousands of digits"),
    ],
)
def test_a_fault_far_behind_is_named_with_its_line(tmp_path: Path, line: str, named: str) -> None:
    (tmp_path / "t").write_text('{"a": "x"}\n' * 1500 + f"\n{line}\n" + '{"a": "x"}\n' * 10)
    with pytest.raises(UserError) as error:
        _read(tmp_path / "t", 4000)
    assert str(error.value).startswith(f"t, line 1502: {named}")


def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path: Path) -> None:
    (tmp_path / "t").write_text('{"a": "x"}\n{"a": "y"}\n', encoding="utf-8-sig")
    assert [row["a"] for row in _read(tmp_path / "t", 4000)] == ["x", "y"]


def test_numbers_after_texts_are_text(tmp_path: Path) -> None:
    (tmp_path / "t").write_text('{"a": "x"}\n' * 1500 + '{"a": 7}\n')
    assert _read(tmp_path / "t")[-1]["a"] == "7"


def test_a_line_beyond_the_limit_is_named(tmp_path: Path) -> None:
    for before in (1, 1500):
        (tmp_path / "t").write_text('{"a": "x"}\n' * before + json.dumps({"a": "x" * (1 << 21)}))
        with pytest.raises(UserError, match=rf"^t, line {before + 1}: is longer than 1,048,576 bytes; shorten it"):
            _read(tmp_path / "t", 1000)
