"""What `guess_columns` makes of tables as users have them."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from nli_core.data.corpus.guess import guess_columns
from nli_core.data.corpus.layout import TableFormat, format_of
from nli_core.data.corpus.locate import Source
from nli_core.errors import UserError

pytestmark = pytest.mark.faults("inputs tried")

WriteRows = Callable[..., Path]
REVIEW = "a film that nobody who saw it will forget"


def _source(path: Path) -> tuple[Source, TableFormat]:
    return Source(path, path.name), format_of(path)


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.jsonl", "t.parquet"])
@pytest.mark.parametrize(
    ("columns", "premise", "hypothesis", "label"),
    [
        (("text", "label"), ("text",), None, "label"),
        (("id", "Review", "Sentiment"), ("Review",), None, "Sentiment"),
        (("premise", "hypothesis", "gold_label"), ("premise",), "hypothesis", "gold_label"),
        (("id", "question1", "question2", "is_duplicate"), ("question1",), "question2", "is_duplicate"),
        (("title", "body", "category"), ("title", "body"), None, "category"),
        (("what they wrote", "verdict"), ("what they wrote",), None, "verdict"),
    ],
)
def test_columns_are_known_by_their_names_and_contents(
    write_rows: WriteRows,
    name: str,
    columns: tuple[str, ...],
    premise: tuple[str, ...],
    hypothesis: str | None,
    label: str,
) -> None:
    rows = [
        {column: number if column == "id" else "yes" if number % 2 else "no" for column in columns}
        | {column: f"{REVIEW} {number} {column}" for column in (*premise, hypothesis) if column}
        for number in range(20)
    ]
    guess = guess_columns(*_source(write_rows(name, rows)))
    assert (guess.premise, guess.hypothesis, guess.label) == (premise, hypothesis, label)
    assert guess.columns is None


@pytest.mark.parametrize("first", ['"3","Fears for pensions",', "positive,", "sport,Rain,"])
def test_a_first_line_that_is_a_row_names_no_columns(tmp_path: Path, first: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text("".join(f"{first}{REVIEW} {number}\n" for number in range(20)))
    with pytest.raises(UserError, match="no column looks like a label"):
        guess_columns(*_source(path))  # all rows have the same one
    other = first.replace("3", "1").replace("positive", "negative").replace("sport", "world")
    path.write_text(path.read_text() + f"{other}{REVIEW}\n")
    guess = guess_columns(*_source(path))
    assert guess.columns == tuple(f"column_{number + 1}" for number in range(first.count(",") + 1))
    assert guess.label == "column_1"
    assert guess.premise[-1] == guess.columns[-1]


def test_what_the_user_names_is_taken(write_rows: WriteRows) -> None:
    rows = [{"text": REVIEW, "note": f"{REVIEW} {number}", "a": number % 3, "b": number % 2} for number in range(9)]
    source = _source(write_rows("t.csv", rows))
    assert guess_columns(*source).label == "b"
    guess = guess_columns(*source, premise=["note"], hypothesis="text", label="a")
    assert (guess.premise, guess.hypothesis, guess.label) == (("note",), "text", "a")
    with pytest.raises(UserError, match=r"t\.csv: has no column 'nots', only .*; did you mean note\?"):
        guess_columns(*source, premise=["nots"])


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([{"text": f"{REVIEW} {number}"} for number in range(9)], "no column looks like a label; name it with --label"),
        (
            [{"label": "ab"[number % 2], "n": number % 7} for number in range(9)] * 9,
            "t.csv: no column looks like a text",
        ),
    ],
)
def test_a_table_without_label_or_text_is_refused(
    write_rows: WriteRows, rows: list[dict[str, object]], reason: str
) -> None:
    rows = [{**row, "other": row.get("n", 0)} for row in rows] if "label" in rows[0] else rows
    with pytest.raises(UserError, match=reason):
        guess_columns(*_source(write_rows("t.csv", rows)))


def test_nested_columns_are_left_out(tmp_path: Path) -> None:
    rows = [{"text": f"{REVIEW} {n}", "label": "ab"[n % 2], "annotators": ["a", "b"]} for n in range(9)]
    pl.DataFrame(rows).write_parquet(tmp_path / "t.parquet")
    pl.DataFrame(rows).write_ndjson(tmp_path / "t.jsonl")
    for name in ("t.parquet", "t.jsonl"):
        assert guess_columns(*_source(tmp_path / name)).head.columns == ["text", "label"]
        with pytest.raises(UserError, match="the column 'annotators' holds neither text nor numbers"):
            guess_columns(*_source(tmp_path / name), premise=["annotators"])


def test_another_delimiter_is_named(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("text;label\na;b\n")
    with pytest.raises(UserError, match="has a single column, 'text;label'; rename the file by its delimiter"):
        guess_columns(*_source(tmp_path / "t.csv"))


def test_equal_values_in_a_first_row_are_columns_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("".join(f"{n % 2},{n % 2},{REVIEW} {n}\n" for n in range(20)))
    assert guess_columns(*_source(tmp_path / "t.csv")).columns == ("column_1", "column_2", "column_3")


@pytest.mark.parametrize(("words", "length"), [(5, 32), (30, 64), (1000, 512)])
def test_the_length_holds_most_examples(write_rows: WriteRows, words: int, length: int) -> None:
    rows = [{"text": "word " * words + str(number), "label": "ab"[number % 2]} for number in range(20)]
    assert guess_columns(*_source(write_rows("t.csv", rows))).max_length() == length


@pytest.mark.parametrize("content", [b"", b"\n", b"text,label\n", b"\xff\xfe", b'"open', b"PAR1"])
@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.parquet"])
def test_a_file_that_is_no_table_is_one_line(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UserError, match=rf"^{name}[^\n]*$"):
        guess_columns(*_source(path))


@pytest.mark.parametrize("name", ["t.jsonl", "t.parquet"])
@pytest.mark.parametrize("named", [None, "topics"])
def test_a_column_of_lists_holds_several_labels(write_rows: WriteRows, name: str, named: str | None) -> None:
    column = named or "labels"
    rows = [{"text": REVIEW, column: labels, "other": [1, 2]} for labels in (["x"], [], ["y", "x"])]
    guess = guess_columns(*_source(write_rows(name, rows)), label=named)
    assert (guess.premise, guess.label, guess.separator) == (("text",), column, ",")
    assert guess.head[column].to_list() == ["x", "", "y,x"]
    assert "other" not in guess.head.columns


def test_the_only_column_of_lists_holds_labels_unless_another_is_named_so(write_rows: WriteRows) -> None:
    rows = [{"text": REVIEW, "tags": labels} for labels in (["x"], ["y", "x"])]
    assert guess_columns(*_source(write_rows("t.jsonl", rows))).label == "tags"
    named = guess_columns(*_source(write_rows("t.jsonl", [{**row, "label": str(n)} for n, row in enumerate(rows)])))
    assert (named.label, named.separator) == ("label", None)


def test_a_named_separator_says_that_rows_have_several_labels(write_rows: WriteRows) -> None:
    path = write_rows("t.csv", [{"text": REVIEW, "label": labels} for labels in ("x|y", "x", "y")])
    assert guess_columns(*_source(path), separator="|").separator == "|"
    assert guess_columns(*_source(path)).separator is None
