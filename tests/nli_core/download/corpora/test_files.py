import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from nli_core.data.corpus.cleaning import clean_tables
from nli_core.data.corpus.labels import with_labels
from nli_core.data.corpus.locate import Source
from nli_core.download.corpora.files import FileCorpus
from nli_core.download.origin import Origin
from nli_core.errors import UserError

pytestmark = pytest.mark.faults("inputs tried")

ROWS = [{"text": f"text {place}", "class": "yes" if place % 2 else "no"} for place in range(10)]


def _file_corpus(path: Path, **fields: Any) -> FileCorpus:
    return FileCorpus(train=str(path), premise="text", hypothesis=None, label="class", labels=("no", "yes"), **fields)


def test_gzipped_files_arrive_plain(tmp_path: Path, out: Path, download: Callable[[Any], Origin]) -> None:
    path = tmp_path / "rows.jsonl.gz"
    text = "".join(json.dumps(row) + "\n" for row in ROWS)
    path.write_bytes(gzip.compress(text.encode()))
    corpus = _file_corpus(path)
    download(corpus)
    layout = corpus.layout
    assert (out / layout.files["train"]).read_text() == text
    assert layout.format == "jsonl"
    assert layout.carve == {"dev": 0.05, "test": 0.1}


def test_a_name_that_says_compressed_is_another_corpus(tmp_path: Path) -> None:
    paths = [tmp_path / "rows.csv", tmp_path / "rows.csv.gz"]
    for path in paths:
        path.write_bytes(gzip.compress(b"text,class\n"))
    plain, packed = (_file_corpus(path).identity() for path in paths)
    assert plain != packed


def test_a_truncated_gzip_is_refused(tmp_path: Path, download: Callable[[Any], Origin]) -> None:
    path = tmp_path / "rows.csv.gz"
    path.write_bytes(gzip.compress(b"text,class\n" * 1000)[:-20])
    with pytest.raises(UserError, match="not an intact gzip file"):
        download(_file_corpus(path))


def test_user_files_are_known_by_contents_and_not_by_path(write_rows: Callable[..., Path]) -> None:
    one, two = write_rows("one.csv", ROWS), write_rows("two.csv", ROWS)
    assert _file_corpus(one).identity() == _file_corpus(two).identity()
    assert _file_corpus(one).identity() != _file_corpus(write_rows("three.csv", ROWS[:9])).identity()


def test_user_files_that_cannot_be_read_are_named(write_rows: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"corpus\.train: there is no file"):
        _file_corpus(tmp_path / "none.csv").identity()
    with pytest.raises(UserError, match="its name must end in"):
        _file_corpus(write_rows("rows.txt", ROWS)).identity()


def test_the_first_line_may_hold_a_row_and_labels_may_be_those_of_train(
    tmp_path: Path, out: Path, download: Callable[[Any], Origin]
) -> None:
    path = tmp_path / "news.csv"
    path.write_text('"10","Rain","It rains."\n"9","Sun","It shines."\n')
    corpus = FileCorpus(
        train=str(path), columns=("class", "title", "body"), premise=("title", "body"), hypothesis=None, label="class"
    )
    assert download(corpus).source == str(path)
    layout = with_labels(corpus.layout, Source(out / "train.csv", "train"))
    assert layout.labels == ("9", "10")
    assert layout.columns == ("class", "title", "body")
    texts = clean_tables(layout, out, tmp_path, empty_text="error", names={})["train"].path
    assert pl.read_ipc(texts)["premise"].to_list() == ["Rain It rains.", "Sun It shines."]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"premise": ("texts",)}, r"rows\.csv: has no column 'texts', only 'text', 'class'; did you mean text\?"),
        ({"label": "klass"}, r"rows\.csv: has no column 'klass', only .*; set corpus\.label"),
        ({"labels": ("no", "maybe")}, r"rows\.csv, line 3: the label 'yes' is .*; the column has no \(5\), yes \(5\)"),
        (
            {"labels": None, "drop_labels": ("yes",)},
            r"the column 'class' has one of the values alone; set corpus\.label",
        ),
        ({"columns": ("a", "b", "c")}, r"has no column 'text'"),
    ],
)
def test_a_fault_is_found_before_anything_is_copied(
    write_rows: Callable[..., Path], out: Path, download: Callable[[Any], Origin], fields: dict[str, Any], reason: str
) -> None:
    with pytest.raises(UserError, match=reason):
        download(_file_corpus(write_rows("rows.csv", ROWS)).model_copy(update=fields))
    assert not any(out.iterdir())
