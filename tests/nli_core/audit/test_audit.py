"""What audit finds in a corpus with planted faults, and that it finds nothing in one without."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from nli_core.audit.audit import audit
from nli_core.callbacks import StoppedError
from nli_core.data.corpus.layout import SPLITS, CorpusLayout
from nli_core.download.corpora.sample import SampleCorpus
from nli_core.download.corpora.snli import SNLI_LAYOUT, SnliCorpus
from nli_core.download.fetch import Fetcher
from nli_core.intervals import proportion_interval

LABELS = ("entailment", "contradiction", "neutral")
LAYOUT = CorpusLayout(
    format="jsonl",
    files={split: f"{split}.jsonl" for split in SPLITS},
    premise=("premise",),
    hypothesis="hypothesis",
    label="label",
    labels=LABELS,
)
Row = dict[str, str]
Audit = Callable[..., tuple[dict[str, Any], dict[str, pl.DataFrame]]]


@pytest.fixture
def run_audit(tmp_path: Path) -> Audit:
    """Audits a folder of tables; gives the facts, and the rows of dev and test."""

    def run(corpus: Path, layout: CorpusLayout = LAYOUT, annotators: tuple[str, ...] = ()) -> Any:
        out = tmp_path / "audit"
        out.mkdir(exist_ok=True)
        facts = audit(corpus, layout, annotators, empty_text="error", out=out)
        assert json.loads((out / "audit.json").read_text()) == facts
        return facts, {split: pl.read_parquet(out / f"audit-{split}.parquet") for split in ("dev", "test")}

    return run


def _sentence(chance: random.Random, words: int) -> str:
    return " ".join(
        f"{chance.choice('bdfgklmnprst')}{chance.choice('aeiou')}{chance.randrange(400)}" for _ in range(words)
    )


def _rows(chance: random.Random, count: int) -> list[Row]:
    """Pairs of words without a meaning, whose labels nothing gives away."""
    return [
        {"premise": _sentence(chance, 12), "hypothesis": _sentence(chance, 7), "label": chance.choice(LABELS)}
        for _ in range(count)
    ]


def _write(folder: Path, **splits: list[Row]) -> Path:
    folder.mkdir(exist_ok=True)
    for split, rows in splits.items():
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


def _with_another_word(text: str, chance: random.Random, words: int = 1) -> str:
    changed = text.split()
    for place in chance.sample(range(len(changed)), words):
        changed[place] = f"new{chance.randrange(10_000)}"
    return " ".join(changed)


@pytest.fixture
def planted(tmp_path: Path) -> tuple[Path, dict[int, str]]:
    """A corpus with duplicates of train among the first rows of test, and how each of these is one."""
    chance = random.Random(0)
    train, dev, test = (_rows(chance, count) for count in (3000, 300, 600))
    for row in train:  # a word that gives neutral away, and one that is as common and says nothing
        if row["label"] == "neutral" and chance.random() < 0.2:
            row["hypothesis"] += " tournament"
        if chance.random() < 0.07:
            row["hypothesis"] += " chair"
    kinds: dict[int, str] = {}
    for number in range(120):
        row = dict(train[number])
        kind = ("exact", "normalised", "near", "no")[number % 4]
        if kind == "normalised":
            row |= {"premise": row["premise"].capitalize() + ".", "hypothesis": f"  {row['hypothesis']}!"}
        if kind == "near":
            row["premise"] = _with_another_word(row["premise"], chance)
        if kind == "no":  # the same premise alone, and half of a hypothesis
            row["hypothesis"] = _with_another_word(row["hypothesis"], chance, words=4)
        test[number] = row
        kinds[number] = kind
    return _write(tmp_path / "planted", train=train, dev=dev, test=test), kinds


def test_planted_duplicates_are_found_and_nothing_else(planted: tuple[Path, dict[int, str]], run_audit: Audit) -> None:
    corpus, kinds = planted
    facts, rows = run_audit(corpus)
    found = dict(enumerate(rows["test"]["in_train"]))
    expected = {number: kinds.get(number, "no") for number in found}
    hits = sum(found[number] == kind for number, kind in expected.items() if kind != "no")
    raised = sum(kind != "no" for kind in found.values())
    recall, precision = hits / 90, hits / raised
    assert {number for number in found if found[number] != expected[number]} <= {
        number for number, kind in kinds.items() if kind == "near"
    }
    assert (precision, recall) >= (1.0, 0.95)
    assert facts["in_train"]["test"]["near"] >= 0.95 * 30
    assert set(rows["dev"]["in_train"]) == {"no"}
    assert facts["in_train"]["test"]["exact"] == facts["in_train"]["test"]["normalised"] == 30
    assert facts["premises_in_train"] == {"dev": 0, "test": 90}  # all but the near ones
    assert facts["near"]["complete"]
    assert len(facts["samples"]["in_train"]["test"]) == 5


def test_the_planted_word_gives_its_label_away_and_no_other_does(
    planted: tuple[Path, dict[int, str]], run_audit: Audit
) -> None:
    facts, rows = run_audit(planted[0])
    (word,) = facts["giveaways"]
    assert (word["word"], word["label"], word["share"]) == ("tournament", "neutral", 1.0)
    assert word["low"] > word["expected"]
    assert word["high"] == 1.0
    assert set(facts["lengths"]) == set(LABELS)
    assert rows["test"]["baseline"].is_in(LABELS).all()


def test_texts_with_two_labels_and_repeated_rows_are_counted(tmp_path: Path, run_audit: Audit) -> None:
    chance = random.Random(1)
    train, dev, test = (_rows(chance, count) for count in (900, 90, 90))
    others = {"entailment": "neutral", "neutral": "contradiction", "contradiction": "entailment"}
    train += [{**row, "label": others[row["label"]]} for row in train[:7]]  # within train
    train += [dict(row) for row in train[10:15]]
    test += [{**row, "label": others[row["label"]]} for row in train[20:23]]  # across splits
    facts, _ = run_audit(_write(tmp_path / "twice", train=train, dev=dev, test=test))
    assert facts["duplicates"]["train"] == {"rows": 912, "exact": 12, "normalised": 12, "two_labels": 14 + 3}
    assert facts["duplicates"]["test"] == {"rows": 93, "exact": 0, "normalised": 0, "two_labels": 3}
    assert facts["duplicates"]["dev"]["two_labels"] == 0
    shown = {row["hypothesis"] for row in facts["samples"]["two_labels"]["test"]}
    assert shown == {row["hypothesis"] for row in train[20:23]}


def test_the_sample_corpus_gives_nothing_away(tmp_path: Path, run_audit: Audit) -> None:
    """It is made so that a hypothesis alone predicts nothing."""
    (tmp_path / "sample").mkdir()
    sample = SampleCorpus()
    sample.download(tmp_path / "sample", Fetcher(tmp_path, tmp_path))
    facts, rows = run_audit(tmp_path / "sample", sample.layout)
    labels = [json.loads(line)["label"] for line in (tmp_path / "sample" / "test.jsonl").read_text().splitlines()]
    right = int((rows["test"]["baseline"] == pl.Series(labels)).sum())
    low, high = proportion_interval(right, len(labels))
    assert low <= 1 / 3 <= high
    assert facts["giveaways"] == []
    assert facts["lengths"]["entailment"] == facts["lengths"]["neutral"]


def test_snlis_hypotheses_alone_give_more_than_half_of_the_labels(
    tmp_path: Path, shared_data: Path, run_audit: Audit
) -> None:
    """Gururangan et al. (2018) report 67 % for all of train; the subset has a 25th of it."""
    snli = SnliCorpus(source=str(shared_data / "snli_1.0_subset.zip"))
    (tmp_path / "snli").mkdir()
    (tmp_path / "scratch").mkdir()
    snli.download(tmp_path / "snli", Fetcher(tmp_path, tmp_path / "scratch"))
    facts, rows = run_audit(tmp_path / "snli", snli.layout, snli.annotators)
    texts = pl.read_csv(tmp_path / "snli" / "snli_1.0_test.txt", separator="\t", quote_char=None)
    labels = texts["gold_label"].filter(texts["gold_label"] != "-")
    assert 0.57 < (labels == rows["test"]["baseline"]).mean() < 0.67
    words = {(word["word"], word["label"]) for word in facts["giveaways"]}
    # Of the paper's table 4.
    assert {("outdoors", "entailment"), ("nobody", "contradiction"), ("sleeping", "contradiction")} <= words
    assert {("vacation", "neutral"), ("sad", "neutral"), ("cat", "contradiction")} <= words
    assert rows["test"]["agreement"].is_null().all()  # the subset's labels of annotators are empty
    assert facts["in_train"]["test"] == {"no": 9824}


def test_agreement_is_the_part_of_annotators_who_chose_the_label(
    tmp_path: Path, shared_data: Path, run_audit: Audit
) -> None:
    rows = (shared_data / "snli_release_fixtures" / "snli_1.0_dev.partA.txt").read_text().splitlines(keepends=True)
    corpus = tmp_path / "release"
    corpus.mkdir()
    for split, lines in {"train": rows[1:800], "dev": rows[800:1000], "test": rows[1000:]}.items():
        (corpus / f"snli_1.0_{split}.txt").write_text("".join([rows[0], *lines]))
    _, found = run_audit(corpus, SNLI_LAYOUT, SnliCorpus.annotators)
    expected = []
    for line in rows[1000:]:
        gold, *fields = line.rstrip("\n").split("\t")
        chosen = [label for label in fields[-5:] if label]
        if gold != "-":
            expected.append(chosen.count(gold) / len(chosen) if len(chosen) > 1 else None)
    assert found["test"]["agreement"].to_list() == expected
    assert 0.3 < (found["test"]["agreement"] == 1).mean() < 0.9
    assert found["test"]["agreement"].min() >= 0.5  # type: ignore[operator]  # three of five, or two of four and the author


def test_single_texts_have_a_bag_of_words(tmp_path: Path, run_audit: Audit) -> None:
    chance = random.Random(2)
    rows = [{"text": f"{_sentence(chance, 8)} {word}", "label": word} for word in ("sports", "world") * 200]
    layout = LAYOUT.model_copy(
        update={
            "premise": ("text",),
            "hypothesis": None,
            "labels": ("sports", "world"),
            "files": {"train": "train.jsonl"},
        }
    )
    layout = layout.model_copy(update={"carve": {"dev": 0.2, "test": 0.2}})
    folder = tmp_path / "texts"
    folder.mkdir()
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    facts, found = run_audit(folder, layout)
    assert (facts["baseline"], facts["reads"]) == ("bag_of_words", "text")
    assert "premises_in_train" not in facts
    expected = [rows[number]["label"] for number in found["test"]["id"]]
    assert (found["test"]["baseline"] == pl.Series(expected)).mean() > 0.95


def test_parts_of_a_file_without_a_usable_row_are_passed_over(
    tmp_path: Path, run_audit: Audit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files are read in parts, and of each part rows are dropped or carved."""
    monkeypatch.setattr("nli_core.data.corpus.reading._PART_BYTES", 2000)
    chance = random.Random(3)
    rows = _rows(chance, 400)
    for row in rows[100:200]:
        row["label"] = "-"
    layout = LAYOUT.model_copy(
        update={"files": {"train": "train.jsonl"}, "drop_labels": ("-",), "carve": {"dev": 0.02, "test": 0.02}}
    )
    facts, found = run_audit(_write(tmp_path / "parts", train=rows), layout)
    assert sum(split["rows"] for split in facts["duplicates"].values()) == 300
    assert found["dev"].height == facts["duplicates"]["dev"]["rows"] == 6


def test_an_audit_can_be_stopped(planted: tuple[Path, dict[int, str]], tmp_path: Path) -> None:
    def stop(done: int, total: int, note: str) -> None:
        if done == 3:
            raise StoppedError(note)

    (tmp_path / "out").mkdir()
    with pytest.raises(StoppedError):
        audit(planted[0], LAYOUT, (), empty_text="error", out=tmp_path / "out", progress=stop)
