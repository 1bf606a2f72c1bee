import csv
import gzip
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nli_core.data.corpus.cleaning import CleanTable, clean_tables, count_labels
from nli_core.data.corpus.layout import CorpusLayout, TableFormat
from nli_core.data.corpus.locate import Source
from nli_core.errors import UserError

pytestmark = pytest.mark.faults("inputs tried")

HEADER = "premise,hypothesis,label\n"


def _layout(name: str, format_: TableFormat = "csv", **fields: Any) -> CorpusLayout:
    values = {
        "premise": ("premise",),
        "hypothesis": "hypothesis",
        "label": "label",
        "labels": ("no", "yes"),
        "section": "corpus",
    }
    return CorpusLayout(format=format_, files={"train": name}, **{**values, **fields})


def _clean(folder: Path, layout: CorpusLayout, empty_text: Any = "error") -> CleanTable:
    out = folder / "out"
    out.mkdir(exist_ok=True)
    return clean_tables(layout, folder, out, empty_text=empty_text, names={})["train"]


def _refusal(folder: Path, text: str | bytes, layout: CorpusLayout | None = None) -> str:
    layout = layout or _layout("t.csv")
    path = folder / layout.files["train"]
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(UserError) as error:
        _clean(folder, layout)
    message = str(error.value)
    assert message.startswith(path.name)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("name", "format_"), [("t.csv", "csv"), ("t.tsv", "tsv"), ("t.jsonl", "jsonl"), ("t.parquet", "parquet")]
)
def test_every_format_gives_the_same_rows(
    tmp_path: Path, write_rows: Callable[..., Path], name: str, format_: TableFormat
) -> None:
    rows = [
        {"premise": 'Quotes " and, commas', "hypothesis": "tab\tinside", "label": "yes"},
        {"premise": "Umlauts äöü", "hypothesis": "two\nlines", "label": "no"},
    ]
    write_rows(name, rows)
    table = pl.read_ipc(_clean(tmp_path, _layout(name, format_)).path)
    assert table.to_dicts() == [{**rows[0], "id": 0, "label": 1}, {**rows[1], "id": 1, "label": 0}]
    assert table.schema["label"] == pl.UInt16


def test_numbers_can_be_labels(tmp_path: Path, write_rows: Callable[..., Path]) -> None:
    write_rows("t.jsonl", [{"text": "a", "label": 1}, {"text": "b", "label": 0}])
    layout = _layout("t.jsonl", "jsonl", premise=("text",), hypothesis=None, labels=("0", "1"))
    assert pl.read_ipc(_clean(tmp_path, layout).path)["label"].to_list() == [1, 0]


def test_a_column_named_id_does_not_disturb(tmp_path: Path, write_rows: Callable[..., Path]) -> None:
    write_rows("t.csv", [{"id": "x", "premise": "a", "hypothesis": "b", "label": "no"}])
    assert pl.read_ipc(_clean(tmp_path, _layout("t.csv")).path)["id"].to_list() == [0]


def test_an_unknown_label_is_named_with_its_line(tmp_path: Path) -> None:
    message = _refusal(tmp_path, HEADER + '"two\nlines",b,yes\na,b,maybe\n')
    assert "line 4" in message
    assert (
        "'maybe' is not one of 'no', 'yes'; add it to corpus.drop_labels, or set corpus.labels=[maybe, yes]" in message
    )
    assert "the column has maybe (1), yes (1)" in message


def test_a_label_that_is_spelled_alike_is_suggested_and_others_are_quoted_for_yaml(tmp_path: Path) -> None:
    message = _refusal(tmp_path, HEADER + "a,b,yes\na,b,yess\na,b,1\na,b,a: b\n")
    assert "; did you mean yes?" in message
    assert 'corpus.labels=["1", "a: b", yes, yess]' in message


def test_labels_are_counted_and_sorted_as_numbers_where_all_are(
    tmp_path: Path, write_rows: Callable[..., Path]
) -> None:
    source = Source(write_rows("t.csv", [{"text": "a", "label": label} for label in (10, 9, 10, 2)]), "t.csv")
    layout = _layout("t.csv", premise=("text",), hypothesis=None)
    assert list(count_labels(source, layout).items()) == [("2", 1), ("9", 1), ("10", 2)]


def test_a_missing_label_is_named_with_its_line(tmp_path: Path) -> None:
    assert "line 3" in _refusal(tmp_path, HEADER + "a,b,yes\na,b,\n")


def test_a_missing_column_is_named_with_those_that_are_there(tmp_path: Path) -> None:
    message = _refusal(tmp_path, "premise,text,label\na,b,yes\n")
    assert "no column 'hypothesis'" in message
    assert "'text'" in message
    assert "set corpus.hypothesis" in message


@pytest.mark.parametrize("text", ["", "   "])
def test_an_empty_text_is_an_error_or_dropped_and_counted(tmp_path: Path, text: str) -> None:
    message = _refusal(tmp_path, f"{HEADER}a,b,yes\na,{text},no\n")
    assert "line 3" in message
    assert "no text in the column 'hypothesis'" in message
    assert "pack.empty_text=drop" in message
    table = _clean(tmp_path, _layout("t.csv"), "drop")
    assert (table.rows, table.dropped) == (1, {"empty text": 1})


def test_unlabelled_rows_are_dropped_and_counted(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(HEADER + "a,b,-\na,b,yes\n,,-\n")
    table = _clean(tmp_path, _layout("t.csv", drop_labels=("-",)))
    assert (table.rows, table.dropped) == (1, {"label -": 2})
    assert pl.read_ipc(table.path)["id"].to_list() == [1]


def test_bytes_that_are_not_utf8_are_named_with_their_line(tmp_path: Path) -> None:
    message = _refusal(tmp_path, HEADER.encode() + b"a,b,yes\na,caf\xe9,no\n")
    assert "line 3" in message
    assert "0xe9" in message


def test_a_row_with_too_many_fields_is_named_with_its_line(tmp_path: Path) -> None:
    message = _refusal(tmp_path, HEADER + "a,b,yes\na,b,c,no\n")
    assert "line 3" in message
    assert "4 fields, the header 3" in message


def test_a_quote_that_never_closes_is_named_with_its_line(tmp_path: Path) -> None:
    rows = [f"p {number},h,yes" for number in range(50)]
    rows[20] = '"p 20,h,yes'
    message = _refusal(tmp_path, HEADER + "\n".join(rows) + "\n")
    assert "line 22: has 1 fields, the header 3; add or remove a quote" in message


def test_another_delimiter_shows_in_the_columns_that_there_are(tmp_path: Path) -> None:
    message = _refusal(tmp_path, "premise;hypothesis;label\na;b;yes\n")
    assert "no column 'premise', only 'premise;hypothesis;label'" in message


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32"])
def test_utf16_is_named(tmp_path: Path, encoding: str) -> None:
    assert "UTF-8" in _refusal(tmp_path, (HEADER + "a,b,yes\n" * 3).replace("a", "ä").encode(encoding))


def test_a_byte_order_mark_and_windows_line_ends_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"\xef\xbb\xbf" + (HEADER + "a,b,yes\nc,d,no\n").replace("\n", "\r\n").encode())
    rows = pl.read_ipc(_clean(tmp_path, _layout("t.csv")).path)
    assert rows.to_dict(as_series=False) == {
        "id": [0, 1],
        "label": [1, 0],
        "premise": ["a", "c"],
        "hypothesis": ["b", "d"],
    }


def test_nul_bytes_stay_where_they_are(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(HEADER.encode() + b"a\0b,c,yes\nd,e,no\n")
    assert pl.read_ipc(_clean(tmp_path, _layout("t.csv")).path)["premise"].to_list() == ["a\0b", "d"]


@pytest.mark.parametrize("row", ["a,yes", "a,b", "yes", ",,", '"a,b",yes'])
def test_a_row_that_ends_early_is_named_with_its_line(tmp_path: Path, row: str) -> None:
    assert "line 3" in _refusal(tmp_path, f"{HEADER}a,b,yes\n{row}\nc,d,no\n")


@pytest.mark.parametrize("label", ["Yes", "yes ", " yes", "2", "YES", "null"])
def test_labels_are_taken_as_they_are_written(tmp_path: Path, label: str) -> None:
    message = _refusal(tmp_path, f"{HEADER}a,b,yes\na,b,{label}\n")
    assert f"line 3: the label {label!r} is not one of 'no', 'yes'" in message


@pytest.mark.parametrize("column", ["premise", "hypothesis", "label"])
@pytest.mark.parametrize("name", ["t.jsonl", "t.parquet"])
def test_a_column_of_nulls_is_named_with_its_first_row(
    tmp_path: Path, write_rows: Callable[..., Path], name: str, column: str
) -> None:
    write_rows(name, [{"premise": "a", "hypothesis": "b", "label": "yes", column: None}] * 3)
    format_: TableFormat = "jsonl" if name.endswith("jsonl") else "parquet"
    with pytest.raises(UserError, match=rf"{name}, (line 1|row 0): has no (text|value) in the column '{column}'"):
        _clean(tmp_path, _layout(name, format_))


@pytest.mark.parametrize("value", [["a", "list"], {"a": "struct"}])
@pytest.mark.parametrize("name", ["t.jsonl", "t.parquet"])
def test_a_column_of_another_type_is_named(
    tmp_path: Path, write_rows: Callable[..., Path], name: str, value: object
) -> None:
    write_rows(name, [{"premise": value, "hypothesis": "b", "label": "yes"}])
    format_: TableFormat = "jsonl" if name.endswith("jsonl") else "parquet"
    with pytest.raises(UserError, match=rf"^{name}(, line 1)?: the column 'premise' holds .*; write it as text"):
        _clean(tmp_path, _layout(name, format_))


@pytest.mark.parametrize("text", ["\n\n\n", "\ufeff", "\ufeff\n", '""\n', ",,\n"])
def test_a_file_without_a_header_is_named(tmp_path: Path, text: str) -> None:
    assert "t.csv: has no header; name the columns in its first line" in _refusal(tmp_path, text)


@pytest.mark.parametrize("end", ["", "\n", "\n\n"])
def test_a_header_alone_has_no_rows(tmp_path: Path, end: str) -> None:
    assert "t.csv: has no rows" in _refusal(tmp_path, HEADER.rstrip() + end)


def test_a_line_of_a_hundred_megabytes_is_a_row(tmp_path: Path) -> None:
    long = "word " * 20_000_000
    (tmp_path / "t.csv").write_text(f"{HEADER}a,b,yes\n{long},b,no\nc,d,no\n")
    rows = pl.read_ipc(_clean(tmp_path, _layout("t.csv")).path)
    assert rows["premise"].str.len_bytes().to_list() == [1, 100_000_000, 1]


def test_a_column_that_occurs_twice_is_refused(tmp_path: Path) -> None:
    message = _refusal(tmp_path, "premise,hypothesis,label,premise\na,b,yes,c\n")
    assert "has 2 columns 'premise'; rename all but one" in message


def test_a_fault_behind_a_long_field_is_named_with_its_line(tmp_path: Path) -> None:
    assert "line 3: the label 'maybe'" in _refusal(tmp_path, f"{HEADER}{'x' * 200_000},b,yes\na,b,maybe\n")


def test_a_line_that_is_no_json_is_named(tmp_path: Path) -> None:
    good = '{"premise": "a", "hypothesis": "b", "label": "yes"}\n'
    assert "line 2" in _refusal(tmp_path, good + '{"premise": \n', _layout("t.jsonl", "jsonl"))


def test_what_is_no_parquet_file_is_refused(tmp_path: Path) -> None:
    assert "not a readable Parquet file" in _refusal(tmp_path, "text", _layout("t.parquet", "parquet"))


def test_errors_call_a_file_what_its_user_calls_it(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(HEADER + "a,b,maybe\n")
    with pytest.raises(UserError, match=r"^mine/rows\.csv, line 2: "):
        clean_tables(_layout("t.csv"), tmp_path, tmp_path, empty_text="error", names={"train": "mine/rows.csv"})


@pytest.mark.parametrize("text", ["", HEADER])
def test_a_table_without_rows_is_refused(tmp_path: Path, text: str) -> None:
    _refusal(tmp_path, text)


def test_snli_rows_are_read_raw_with_their_parses(shared_data: Path, tmp_path: Path) -> None:
    from nli_core.download.corpora.snli import SNLI_LAYOUT

    release = shared_data / "snli_release_fixtures" / "snli_1.0_dev.partA.txt"
    (tmp_path / "snli_1.0_train.txt").write_bytes(release.read_bytes())
    table = _clean(tmp_path, SNLI_LAYOUT.model_copy(update={"files": {"train": "snli_1.0_train.txt"}}))
    assert (table.rows, table.dropped) == (1273, {"label -": 16})
    first = pl.read_ipc(table.path).row(0, named=True)
    assert first["premise"] == "Two women are embracing while holding to go packages."
    assert first["premise_parse"].startswith("( ( Two women )")
    assert first["label"] == SNLI_LAYOUT.labels.index("neutral")


NEWS = {
    "columns": ("class", "title", "description"),
    "premise": ("title", "description"),
    "hypothesis": None,
    "label": "class",
    "labels": ("World", "Sports"),
    "label_values": ("1", "2"),
    "section": None,
}


def test_text_in_two_columns_without_a_header_is_joined(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('"2","A title","and ""more"""\n"1","","alone"\n')
    table = pl.read_ipc(_clean(tmp_path, _layout("t.csv", **NEWS)).path)
    assert table.to_dicts() == [
        {"id": 0, "label": 1, "premise": 'A title and "more"'},
        {"id": 1, "label": 0, "premise": "alone"},
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('"1","a","b"\n"3","a","b"\n', "t.csv, line 2: the label '3' is not one of '1', '2'; is this a file"),
        ('"1","a","b"\n"1","a"\n', "t.csv, line 2: has 2 fields, the corpus 3"),
        ('"1","a","b"\n"1","",""\n', "t.csv, line 2: has no text in the column 'title' or 'description'"),
        ('"1","a","b"\n"1","a"\n"1","a","b","c"\n', "t.csv, line 2: has 2 fields, the corpus 3"),
    ],
)
def test_a_fault_without_a_header_is_named_by_its_line(tmp_path: Path, text: str, message: str) -> None:
    assert message in _refusal(tmp_path, text, _layout("t.csv", **NEWS))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\n\n\n", "t.csv"),
        ("premise;hypothesis;label\na;b;yes\n", "rename the file by its delimiter"),
        (HEADER, "t.csv: has no rows"),
        (gzip.compress(HEADER.encode(), mtime=0), "is compressed with gzip; let its name end in .gz"),
    ],
)
def test_odd_files_are_one_line(tmp_path: Path, text: str | bytes, message: str) -> None:
    assert message in _refusal(tmp_path, text)


def test_json_that_is_nested_too_deeply_is_named_with_its_line(tmp_path: Path) -> None:
    deep = '{"premise": ' + "[" * 100_000 + "]" * 100_000 + "}\n"
    assert "line 1: is nested too deeply" in _refusal(tmp_path, deep, _layout("t.jsonl", "jsonl"))


FIELDS = st.text(st.sampled_from('ab ,"\n\u00e9'), max_size=6).map(lambda text: f"x{text}")  # never empty


@given(
    rows=st.lists(st.tuples(FIELDS, FIELDS, st.sampled_from(["yes", "no"])), min_size=1, max_size=8),
    ragged=st.none() | st.tuples(st.integers(0, 7), st.sampled_from([1, 2, 4, 5])),
)
def test_a_row_of_another_width_is_named_and_never_shifted(
    rows: list[tuple[str, str, str]], ragged: tuple[int, int] | None
) -> None:
    written: list[Sequence[str]] = list(rows)
    place, fields = ragged or (0, 3)
    place %= len(rows)
    written[place] = (*rows[place], "x", "y")[:fields]
    lines = ["premise,hypothesis,label\n", *map(_csv_line, written)]
    with TemporaryDirectory() as name:
        folder = Path(name)
        if ragged:
            line = 1 + sum(text.count("\n") for text in lines[: place + 1])
            assert f"line {line}: " in _refusal(folder, "".join(lines))
        else:
            (folder / "t.csv").write_text("".join(lines), encoding="utf-8", newline="")
            table = pl.read_ipc(_clean(folder, _layout("t.csv")).path)
            assert [(*row[2:], ("no", "yes")[row[1]]) for row in table.rows()] == rows


def _csv_line(fields: Sequence[str]) -> str:
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerow(fields)
    return file.getvalue()


def test_the_digest_of_examples_does_not_depend_on_the_order_of_labels(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(f"{HEADER}a,b,yes\nc,d,no\n")
    digests = set()
    for labels in (("yes", "no"), ("no", "yes")):
        digests.add(_clean(tmp_path, _layout("t.csv", labels=labels)).sha256(labels))
    assert len(digests) == 1
    (tmp_path / "t.csv").write_text(f"{HEADER}a,b,no\nc,d,yes\n")
    assert _clean(tmp_path, _layout("t.csv", labels=labels)).sha256(labels) not in digests
