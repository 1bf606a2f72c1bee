"""Tables whose rows have any number of labels: as a list, or in one text with a separator between them."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nli_core.data.corpus.cleaning import CleanTable, check_labels, clean_tables
from nli_core.data.corpus.labels import count_labels, with_labels
from nli_core.data.corpus.layout import CorpusLayout, TableFormat
from nli_core.data.corpus.locate import Source
from nli_core.data.corpus.splitting import carve
from nli_core.errors import UserError

LABELS = ("fear", "joy", "love")
SETS = [["joy"], [], ["love", "fear"], ["joy", "love", "fear"], ["fear"]]
NUMBERS = [[1], [], [0, 2], [0, 1, 2], [0]]


def _layout(name: str, format_: TableFormat, **fields: Any) -> CorpusLayout:
    values = {"premise": ("text",), "hypothesis": None, "label": "label", "labels": LABELS, "section": "corpus"}
    return CorpusLayout(format=format_, files={"train": name}, separator="|", **{**values, **fields})


def _clean(folder: Path, layout: CorpusLayout) -> CleanTable:
    (folder / "out").mkdir(exist_ok=True)
    return clean_tables(layout, folder, folder / "out", empty_text="error", names={})["train"]


def _write_csv(folder: Path, labels: list[str]) -> CorpusLayout:
    rows = [f"text {number},{label}" for number, label in enumerate(labels)]
    (folder / "t.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    return _layout("t.csv", "csv")


def _write_jsonl(folder: Path, labels: list[str]) -> CorpusLayout:
    rows = [f'{{"text": "text {number}", "label": {label}}}' for number, label in enumerate(labels)]
    (folder / "t.jsonl").write_text("\n".join(rows))
    return _layout("t.jsonl", "jsonl")


def _write_parquet(folder: Path, labels: list[list[str]]) -> CorpusLayout:
    texts = [f"text {number}" for number in range(len(labels))]
    column = pa.array(labels, pa.list_(pa.string()))
    pq.write_table(pa.table({"text": texts, "label": column}), folder / "t.parquet")
    return _layout("t.parquet", "parquet")


WAYS: dict[str, Callable[[Path], CorpusLayout]] = {
    "separated": lambda folder: _write_csv(folder, ["|".join(each) for each in SETS]),
    "with spaces, twice": lambda folder: _write_csv(
        folder, [" joy |joy", " ", "love||fear", "fear | love|joy", "fear|"]
    ),
    "lists in JSON": lambda folder: _write_jsonl(
        folder, ['["joy", "joy"]', "null", '["love", "fear"]', '["joy","love", "fear"]', '["fear"]']
    ),
    "texts in JSON": lambda folder: _write_jsonl(folder, ['"joy"', '""', '"love|fear"', '"joy|love|fear"', '"fear"']),
    "lists in JSON with spaces": lambda folder: _write_jsonl(
        folder, ['[" joy"]', '["", " "]', '["love", null, "fear "]', '["joy", "love", "fear"]', '["fear", ""]']
    ),
    "lists in Parquet": lambda folder: _write_parquet(folder, SETS),
    "lists in Parquet with spaces": lambda folder: _write_parquet(
        folder, [["joy ", ""], [], ["love", " fear"], ["joy", "love", "fear"], ["fear"]]
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_all_ways_to_write_labels_say_the_same(tmp_path: Path, way: str) -> None:
    layout = WAYS[way](tmp_path)
    source = Source(tmp_path / layout.files["train"], "t")
    check_labels(source, layout)
    assert count_labels(source, layout) == {"fear": 3, "joy": 2, "love": 2}
    assert with_labels(layout.model_copy(update={"labels": ()}), source).labels == LABELS
    table = _clean(tmp_path, layout)
    assert pl.concat([pl.DataFrame(batch) for batch in table.batches()])["label"].to_list() == NUMBERS
    other = tmp_path / "other"
    other.mkdir()
    assert table.sha256(LABELS) == _clean(other, WAYS["separated"](other)).sha256(LABELS)
    reordered = WAYS["separated"](other).model_copy(update={"labels": LABELS[::-1]})
    assert table.sha256(LABELS) == _clean(other, reordered).sha256(LABELS[::-1])


def test_the_digest_of_labels_tells_lists_apart(tmp_path: Path) -> None:
    digests = {
        _clean(tmp_path, _write_csv(tmp_path, rows)).sha256(LABELS)
        for rows in (["joy|love", "fear"], ["joy", "love|fear"])
    }
    assert len(digests) == 2


@pytest.mark.faults("inputs tried")
@pytest.mark.parametrize(
    ("write", "fault"),
    [
        (lambda folder: _write_csv(folder, ["joy", "fear|hate"]), r"t\.csv, line 3: the label 'hate' is not one of"),
        (lambda folder: _write_csv(folder, ["joy", "fear,hate"]), r"line 3: has 3 fields, the header 2"),
        (lambda folder: _write_jsonl(folder, ['["joy"]', '["hate"]']), r"t\.jsonl, line 2: the label 'hate'"),
        (
            lambda folder: _write_jsonl(folder, ['["joy"]', '[["joy"]]']),
            r"line 2: 'label' has lists of texts elsewhere",
        ),
        (
            lambda folder: _write_jsonl(folder, ['["joy"]', '"joy"', "null"]),
            r"line 2: 'label' has lists .* and is 'joy' here",
        ),
        (lambda folder: _write_jsonl(folder, ['["joy"]', '{"joy": 1}']), "holds an object, and not text"),
        (lambda folder: _write_parquet(folder, [["joy"], ["hate"]]), r"t\.parquet, row 1: the label 'hate'"),
    ],
)
def test_a_wrong_label_is_named_with_its_line(
    tmp_path: Path, write: Callable[[Path], CorpusLayout], fault: str
) -> None:
    with pytest.raises(UserError, match=fault):
        _clean(tmp_path, write(tmp_path))


def test_numbers_and_truth_values_in_lists_are_labels(tmp_path: Path) -> None:
    layout = _write_jsonl(tmp_path, ["[1, true]", "[2.5]", "[false]"])
    assert count_labels(Source(tmp_path / "t.jsonl", "t"), layout) == {"1": 1, "2.5": 1, "false": 1, "true": 1}


@pytest.mark.parametrize(("rows", "warned"), [(["joy", "fear", ""], True), (["joy|fear"], False)])
def test_a_separator_that_separates_nothing_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, rows: list[str], warned: bool
) -> None:
    layout = _write_csv(tmp_path, rows)
    check_labels(Source(tmp_path / "t.csv", "t.csv"), layout)
    assert ("t.csv: no row has more than one label; is '|' between them?" in caplog.text) == warned


@pytest.mark.faults("inputs tried")
def test_lists_elsewhere_say_what_they_are_for(tmp_path: Path) -> None:
    for layout in (_write_jsonl(tmp_path, ['["joy"]']), _write_parquet(tmp_path, [["joy"]])):
        with pytest.raises(UserError, match=r"(write it as text; lists are for|lists of them for) corpus\.multi_label"):
            _clean(tmp_path, layout.model_copy(update={"separator": None}))


@pytest.mark.faults("inputs tried")
def test_a_label_with_the_separator_in_it_is_refused(tmp_path: Path) -> None:
    layout = _write_parquet(tmp_path, [["joy|love"], ["fear"]]).model_copy(update={"labels": ()})
    with pytest.raises(UserError, match=r"the label 'joy\|love' has '\|' in it; set corpus.label_separator"):
        with_labels(layout, Source(tmp_path / "t.parquet", "t.parquet"))


def test_rows_with_a_dropped_label_are_dropped(tmp_path: Path) -> None:
    layout = _write_csv(tmp_path, ["joy", "joy|?", "", "?"]).model_copy(update={"drop_labels": ("?",)})
    table = _clean(tmp_path, layout)
    assert (table.rows, table.dropped) == (2, {"label ?": 2})


def test_every_label_gives_its_share_to_a_carved_split(tmp_path: Path) -> None:
    source = random.Random(0)
    rare = [["joy", "love"] if source.random() < 0.5 else ["love"] for _ in range(100)]
    sets = [*rare, *([["joy"]] * 300), *([["fear", "joy"]] * 200), *([[]] * 400)]
    source.shuffle(sets)
    texts = ["|".join(each) for each in sets]
    carved = []
    for labels in (LABELS, LABELS[::-1]):
        layout = _write_csv(tmp_path, texts).model_copy(update={"labels": labels})
        tables = carve(_clean(tmp_path, layout), {"dev": 0.1, "test": 0.2}, 0, labels)
        frames = {split: pl.read_ipc(table.path) for split, table in tables.items()}
        ids = {split: frame["id"].to_list() for split, frame in frames.items()}
        assert sorted(np.concatenate([*ids.values()])) == list(range(1000))
        counts = [sum(label in sets[row] for row in ids["dev"]) for label in LABELS]
        assert counts == [20, pytest.approx(55, abs=6), 10]
        assert sum(not sets[row] for row in ids["test"]) == 80
        carved.append(ids)
    assert carved[0] == carved[1]
