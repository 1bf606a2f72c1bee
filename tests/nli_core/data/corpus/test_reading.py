"""Reading part by part gives what reading at once gives, wherever the parts end."""

import csv
import io
import json
import os
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nli_core.data.corpus import reading
from nli_core.data.corpus.layout import CorpusLayout, TableFormat
from nli_core.data.corpus.locate import Source
from nli_core.errors import UserError

pytestmark = pytest.mark.faults("inputs tried")

TEXTS = st.text(st.sampled_from("ab ,\t\"\n\r'äé漢\U0001f600\u2028"), min_size=1, max_size=12)
Rows = list[dict[str, str]]


def _layout(format_: TableFormat, columns: tuple[str, ...] | None = None) -> CorpusLayout:
    return CorpusLayout(
        format=format_,
        files={"train": "t"},
        columns=columns,
        premise=("premise",),
        hypothesis="hypothesis",
        label="label",
        labels=("a", "b"),
    )


def _write(path: Path, format_: TableFormat, rows: Rows, *, header: bool = True) -> None:
    if format_ == "parquet":
        pl.DataFrame(rows).write_parquet(path)
        return
    with path.open("w", encoding="utf-8", newline="") as file:
        if format_ == "jsonl":
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            return
        # A carriage return is quoted, as RFC 4180 wants it; Python's writer quotes it because its line end has one.
        writer = csv.DictWriter(file, list(rows[0]), delimiter="," if format_ == "csv" else "\t")
        if header:
            writer.writeheader()
        writer.writerows(rows)


def _read(path: Path, layout: CorpusLayout, part: int) -> list[pl.DataFrame]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "_PART_BYTES", part)
        patch.setattr(reading, "_PART_ROWS", part)
        return list(reading.read_parts(Source(path, path.name), layout.table))


@pytest.mark.parametrize("format_", ["csv", "tsv", "jsonl", "parquet"])
@given(texts=st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=12), part=st.integers(2, 80))
@settings(max_examples=200)
def test_parts_hold_every_row_once_and_in_order(format_: TableFormat, texts: list[tuple[str, str]], part: int) -> None:
    rows = [{"premise": first, "other": "x", "hypothesis": second, "label": "a"} for first, second in texts]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "t"
        _write(path, format_, rows)
        parts = _read(path, _layout(format_), part)
    columns = ["premise", "hypothesis", "label"]
    assert pl.concat(parts).select(columns).to_dicts() == [{name: row[name] for name in columns} for row in rows]


def test_raw_files_have_quotes_without_meaning(tmp_path: Path) -> None:
    rows = [f'say "{number}\tyes\ta' for number in range(50)]
    (tmp_path / "t").write_text("\n".join(["premise\thypothesis\tlabel", *rows]))
    parts = _read(tmp_path / "t", _layout("raw_tsv"), 64)
    assert len(parts) > 5
    assert pl.concat(parts)["premise"].to_list() == [f'say "{number}' for number in range(50)]


def test_a_file_without_a_header_names_a_row_that_ends_early(tmp_path: Path) -> None:
    layout = _layout("csv", columns=("label", "premise", "hypothesis"))
    rows = [{"label": "a", "premise": f"p {number}", "hypothesis": "h"} for number in range(50)]
    _write(tmp_path / "t", "csv", rows, header=False)
    assert pl.concat(_read(tmp_path / "t", layout, 64))["premise"].to_list() == [row["premise"] for row in rows]
    with (tmp_path / "t").open("a") as file:
        file.write("a,only two\n")
    with pytest.raises(UserError, match="t, line 51: has 2 fields, the corpus 3"):
        _read(tmp_path / "t", layout, 64)


SILENT_MERGE = 'label,premise,hypothesis\npos,"Best" 5" nails,x\nneg,my 7",x\npos,c,x\n'
ANY_QUOTING = st.text(st.sampled_from('x",\n \r'), min_size=1, max_size=40)


@given(body=st.lists(ANY_QUOTING, min_size=1, max_size=6).map("".join), part=st.integers(2, 64))
@example(body=SILENT_MERGE.partition("\n")[2], part=1 << 20)
@example(body='a,"b""c",d\n', part=4)
@settings(max_examples=600)
def test_rows_are_those_of_the_csv_module_or_refused(body: str, part: int) -> None:
    text = "label,premise,hypothesis\n" + body
    rows = [row for row in csv.reader(io.StringIO(text, newline="")) if row][1:]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "t"
        path.write_bytes(text.encode())
        if any(len(row) != 3 for row in rows):
            with pytest.raises(UserError, match=r"^t, line \d+: "):
                _read(path, _layout("csv"), part)
            return
        parts = _read(path, _layout("csv"), part)
    read = pl.concat(parts).select("label", "premise", "hypothesis").fill_null("") if parts else pl.DataFrame()
    assert [list(row) for row in read.rows()] == rows


def test_a_quote_inside_a_field_does_not_merge_rows(tmp_path: Path) -> None:
    (tmp_path / "t").write_text(SILENT_MERGE)
    (part,) = _read(tmp_path / "t", _layout("csv"), 1 << 20)
    assert part["premise"].to_list() == ['Best 5" nails', 'my 7"', "c"]


def test_blank_lines_at_the_end_of_one_column_are_no_rows(tmp_path: Path) -> None:
    layout = CorpusLayout(format="csv", files={}, premise=("t",), hypothesis=None, label="t", labels=("a", "b"))
    for body, rows in (("a\n\nb\n\n\n", ["a", None, "b"]), ('a\n""\n', ["a", ""]), ("\n\n", [])):
        (tmp_path / "t").write_text("t\n" + body)
        for part in (2, 3, 1 << 20):
            parts = _read(tmp_path / "t", layout, part)
            assert [row for each in parts for row in each["t"].to_list()] == rows


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        (pa.array([b"x"]), "binary"),
        (pa.array([timedelta(1)]), r"duration\[us\]"),
        (pa.array([Decimal("1.50")]), r"decimal128\(3, 2\)"),
        (pa.array([date(2026, 1, 1)]), r"date32\[day\]"),
        (pa.array([["x"]]), "list"),
    ],
)
def test_a_parquet_column_of_another_type_is_named(tmp_path: Path, column: pa.Array, kind: str) -> None:
    pq.write_table(pa.table({"label": ["a"], "premise": column, "hypothesis": ["x"]}), tmp_path / "t")
    with pytest.raises(
        UserError, match=rf"^t: the column 'premise' holds {kind}.*; text, numbers and booleans are read"
    ):
        _read(tmp_path / "t", _layout("parquet"), 64)


def test_parquet_text_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    offsets = pa.array([0, 1, 3], pa.int32()).buffers()[1]
    bad = pa.Array.from_buffers(pa.string(), 2, [None, offsets, pa.py_buffer(b"a\xff\xfe")])
    pq.write_table(pa.table({"premise": bad, "hypothesis": ["a", "b"], "label": ["a", "b"]}), tmp_path / "t")
    with pytest.raises(UserError, match=r"rows 0 to 1: hold text that is not UTF-8"):
        _read(tmp_path / "t", _layout("parquet"), 64)


def test_words_of_a_parquet_dictionary_are_text(tmp_path: Path) -> None:
    words = pa.array(["a", "b", "a"]).dictionary_encode()
    pq.write_table(pa.table({"label": words, "premise": words, "hypothesis": words}), tmp_path / "t")
    assert pl.concat(_read(tmp_path / "t", _layout("parquet"), 2))["label"].cast(pl.String).to_list() == ["a", "b", "a"]


def test_long_texts_of_a_parquet_file_come_in_small_parts(tmp_path: Path) -> None:
    texts = [os.urandom(1 << 22).hex() for _ in range(10)]
    pq.write_table(pa.table({"label": ["a"] * 10, "premise": texts, "hypothesis": ["b"] * 10}), tmp_path / "t")
    parts = _read(tmp_path / "t", _layout("parquet"), 100_000)
    assert max(part.height for part in parts) < 6
    assert [text for part in parts for text in part["premise"]] == texts
