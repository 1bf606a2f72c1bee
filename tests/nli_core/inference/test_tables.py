import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import polars.testing
import pytest
import torch

from nli_core.config import PackConfig
from nli_core.data.corpus import reading
from nli_core.errors import UserError
from nli_core.inference.predictor import Predictor
from nli_core.inference.tables import predict_table
from nli_core.model.classifier import Classifier
from nli_core.model.saved import save_classifier
from nli_core.model.weights import load_encoder

COLUMNS = ("premise", "hypothesis")
PAIRS = [{"premise": f"a child number {'so ' * (row % 9)}{row}", "hypothesis": "a girl"} for row in range(40)]


@pytest.fixture
def predictor(tiny_encoder: Path, tmp_path: Path) -> Predictor:
    torch.manual_seed(0)
    model = Classifier(load_encoder(tiny_encoder)[0], ("no", "yes"))
    save_classifier(model, tiny_encoder, tiny_encoder, tmp_path / "model", pack=PackConfig(max_length=64), pairs=True)
    return Predictor(tmp_path / "model")


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_PART_BYTES", 300)
    monkeypatch.setattr(reading, "_PART_ROWS", 11)


@pytest.mark.parametrize("name", ["pairs.csv", "pairs.tsv", "pairs.jsonl", "pairs.parquet"])
def test_every_row_is_predicted_in_its_order(
    predictor: Predictor, write_rows: Callable[..., Path], tmp_path: Path, name: str
) -> None:
    told: list[int] = []
    facts = predict_table(
        predictor,
        write_rows(name, PAIRS),
        tmp_path / "out.parquet",
        columns=COLUMNS,
        model="m",
        progress=lambda done, total, _: told.append(done) or None,
    )
    assert facts == {"rows": 40, "kept_rows": 0}
    assert len(told) > 2
    assert told[-1] == 40
    found = pl.read_parquet(tmp_path / "out.parquet")
    expected = predictor.probabilities([row["premise"] for row in PAIRS], [row["hypothesis"] for row in PAIRS])
    assert found["row"].to_list() == list(range(40))
    np.testing.assert_allclose(found.select("probability/no", "probability/yes").to_numpy(), expected, atol=1e-6)
    np.testing.assert_allclose(found["probability"].to_numpy(), expected.max(axis=1), atol=1e-6)
    assert found["label"].to_list() == [("no", "yes")[place] for place in expected.argmax(axis=1)]
    assert not (tmp_path / "out.parquet.parts").exists()


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl"])
def test_text_files_hold_the_same_predictions(
    predictor: Predictor, write_rows: Callable[..., Path], tmp_path: Path, ending: str
) -> None:
    source = write_rows("pairs.csv", PAIRS)
    for name in ("out.parquet", f"out.{ending}"):
        predict_table(predictor, source, tmp_path / name, columns=COLUMNS, model="m")
    expected, path = pl.read_parquet(tmp_path / "out.parquet"), tmp_path / f"out.{ending}"
    found = pl.read_ndjson(path) if ending == "jsonl" else pl.read_csv(path, separator=",\t"[ending == "tsv"])
    polars.testing.assert_frame_equal(found, expected)


@pytest.mark.parametrize("name", ["pairs.csv", "pairs.jsonl", "pairs.parquet"])
def test_the_columns_of_the_table_are_kept_if_asked_for(
    predictor: Predictor, write_rows: Callable[..., Path], tmp_path: Path, name: str
) -> None:
    rows = [{**row, "label": f"of the user {place}"} for place, row in enumerate(PAIRS)]
    source, target = write_rows(name, rows), tmp_path / "out.parquet"
    predict_table(predictor, source, target, columns=COLUMNS, model="m", keep_columns=True)
    found = pl.read_parquet(target)
    own = ["label", "probability", "row", "probability/no", "probability/yes"]
    assert found.columns[:5] == own
    assert set(found.columns[5:]) == {"premise", "hypothesis", "input/label"}
    assert found["input/label"].to_list() == [row["label"] for row in rows]
    assert found["premise"].to_list() == [row["premise"] for row in rows]
    predict_table(predictor, source, target, columns=COLUMNS, model="m")
    assert pl.read_parquet(target).equals(found.select(own))


def test_what_was_predicted_can_be_predicted_again(
    predictor: Predictor, write_rows: Callable[..., Path], tmp_path: Path
) -> None:
    source = write_rows("pairs.csv", [{**row, "label": "of the user"} for row in PAIRS])
    for name in ("once.csv", "twice.csv"):
        predict_table(predictor, source, tmp_path / name, columns=COLUMNS, model="m", keep_columns=True)
        source = tmp_path / name
    found = pl.read_csv(source)
    assert {"label", "input/label", "input/input/label"} <= set(found.columns)
    assert set(found["input/label"]) | set(found["input/input/label"]) >= {"of the user"}


def test_columns_that_cannot_be_kept_are_named(
    predictor: Predictor, tmp_path: Path, logged: list[str], write_rows: Callable[..., Path]
) -> None:
    source = tmp_path / "pairs.parquet"
    pl.DataFrame([{**row, "annotators": ["a"]} for row in PAIRS]).write_parquet(source)
    predict_table(predictor, source, tmp_path / "out.csv", columns=COLUMNS, model="m", keep_columns=True)
    assert logged == [f"{source}: annotators is left out, for it holds neither text nor numbers"]


@pytest.mark.parametrize("rest", [0, 3, 40])
def test_a_file_that_changes_meanwhile_is_named(
    predictor: Predictor, write_rows: Callable[..., Path], tmp_path: Path, rest: int
) -> None:
    source, other = write_rows("pairs.csv", PAIRS), [{**row, "hypothesis": "a boy"} for row in PAIRS]

    def change(done: int, total: int, note: str) -> None:
        write_rows("pairs.csv", other[:rest]) if rest else source.write_text("")

    with pytest.raises(UserError, match=r"pairs\.csv: changed while it was predicted; rerun"):
        predict_table(predictor, source, tmp_path / "out.parquet", columns=COLUMNS, model="m", progress=change)
    assert not (tmp_path / "out.parquet").exists()
    assert not list((tmp_path / "out.parquet.parts").glob("*.parquet"))


class _DyingPredictor(Predictor):
    """Dies in its third part."""

    calls = 0

    def probabilities(self, premises: Sequence[str], hypotheses: Sequence[str] | None = None) -> Any:
        self.calls += 1
        if self.calls == 3:
            raise KeyboardInterrupt
        return super().probabilities(premises, hypotheses)


def test_a_prediction_that_died_goes_on_and_comes_to_the_same(
    predictor: Predictor, write_rows: Callable[..., Path], tmp_path: Path
) -> None:
    source = write_rows("pairs.csv", PAIRS)
    predict_table(predictor, source, tmp_path / "whole.parquet", columns=COLUMNS, model="m")
    target = tmp_path / "out.parquet"
    with pytest.raises(KeyboardInterrupt):
        predict_table(_DyingPredictor(tmp_path / "model"), source, target, columns=COLUMNS, model="m")
    assert not target.exists()
    unfinished = tmp_path / ".out.parquet.4711.partial"  # of a process that was killed while it joined the parts
    unfinished.touch()
    facts = predict_table(predictor, source, target, columns=COLUMNS, model="m")
    assert not unfinished.exists()
    assert 0 < facts["kept_rows"] < 40
    assert target.read_bytes() == (tmp_path / "whole.parquet").read_bytes()


def test_what_another_model_or_another_file_left_is_not_used(
    predictor: Predictor, write_rows: Callable[..., Path], tmp_path: Path
) -> None:
    source, target = write_rows("pairs.csv", PAIRS), tmp_path / "out.parquet"
    for change in ("model", "file"):
        with pytest.raises(KeyboardInterrupt):
            predict_table(_DyingPredictor(tmp_path / "model"), source, target, columns=COLUMNS, model="m")
        if change == "file":
            write_rows("pairs.csv", PAIRS[1:])
        facts = predict_table(predictor, source, target, columns=COLUMNS, model="other" if change == "model" else "m")
        assert facts["kept_rows"] == 0


def test_foreign_files_beside_a_prediction_stay(
    predictor: Predictor, write_rows: Callable[..., Path], tmp_path: Path
) -> None:
    source, target = write_rows("pairs.csv", PAIRS), tmp_path / "out.parquet"
    parts = tmp_path / "out.parquet.parts"
    parts.mkdir()
    (parts / "mine.txt").write_text("keep")
    with pytest.raises(UserError, match=r"out\.parquet\.parts: holds other files; move them"):
        predict_table(predictor, source, target, columns=COLUMNS, model="m")
    (parts / "mine.txt").unlink()
    with pytest.raises(KeyboardInterrupt):
        predict_table(_DyingPredictor(tmp_path / "model"), source, target, columns=COLUMNS, model="m")
    (parts / "mine.txt").write_text("keep")
    predict_table(predictor, source, target, columns=COLUMNS, model="m")
    assert [path.name for path in parts.iterdir()] == ["mine.txt"]


@pytest.fixture
def single(tiny_encoder: Path, tmp_path: Path) -> Predictor:
    """A predictor of single texts."""
    model = Classifier(load_encoder(tiny_encoder)[0], ("no", "yes"))
    pack = PackConfig(max_length=64)
    save_classifier(model, tiny_encoder, tiny_encoder, tmp_path / "single", pack=pack, pairs=False)
    return Predictor(tmp_path / "single")


def test_single_texts_have_one_column(single: Predictor, write_rows: Callable[..., Path], tmp_path: Path) -> None:
    source = write_rows("texts.csv", [{"text": "a child"}, {"text": "a girl"}])
    predict_table(single, source, tmp_path / "out.parquet", model="m")
    expected = single.probabilities(["a child", "a girl"])
    found = pl.read_parquet(tmp_path / "out.parquet").select("probability/no", "probability/yes").to_numpy()
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_what_the_model_does_not_take_is_refused(
    predictor: Predictor, single: Predictor, write_rows: Callable[..., Path], tmp_path: Path
) -> None:
    source = write_rows("pairs.csv", PAIRS)
    with pytest.raises(UserError, match="takes text, and not premise, hypothesis: name one column"):
        predict_table(single, source, tmp_path / "out.parquet", columns=COLUMNS, model="m")
    with pytest.raises(UserError, match="takes premise and hypothesis, and not premise: name both columns"):
        predict_table(predictor, source, tmp_path / "out.parquet", columns=["premise"], model="m")
    with pytest.raises(UserError, match="for pairs: give a hypothesis too"):
        predictor.probabilities(["a child"])
    with pytest.raises(UserError, match="for single texts: leave out the hypothesis"):
        single.probabilities(["a child"], ["a girl"])


def test_a_blank_line_of_a_single_column_is_named(single: Predictor, tmp_path: Path) -> None:
    source = tmp_path / "texts.csv"
    source.write_text("text\na\n\nb\n")
    with pytest.raises(UserError, match=r"line 3: has no text in text"):
        predict_table(single, source, tmp_path / "out.parquet", model="m")


def test_parts_of_another_cut_are_made_again(
    predictor: Predictor, write_rows: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = write_rows("pairs.csv", PAIRS), tmp_path / "out.parquet"
    with pytest.raises(KeyboardInterrupt):
        predict_table(_DyingPredictor(tmp_path / "model"), source, target, columns=COLUMNS, model="m")
    monkeypatch.setattr(reading, "_PART_BYTES", 500)
    predict_table(predictor, source, target, columns=COLUMNS, model="m")
    assert pl.read_parquet(target)["row"].to_list() == list(range(40))


@pytest.mark.parametrize("name", ["000000.parquet", "000000.sha256", "plan.json"])
@pytest.mark.parametrize("damage", [b"", b"\xff\xfe", "other"])
def test_altered_parts_are_predicted_again(
    predictor: Predictor, write_rows: Callable[..., Path], tmp_path: Path, name: str, damage: bytes | str
) -> None:
    source, target = write_rows("pairs.csv", PAIRS), tmp_path / "out.parquet"
    predict_table(predictor, source, tmp_path / "whole.parquet", columns=COLUMNS, model="m")
    with pytest.raises(KeyboardInterrupt):
        predict_table(_DyingPredictor(tmp_path / "model"), source, target, columns=COLUMNS, model="m")
    part = tmp_path / "out.parquet.parts" / name
    if isinstance(damage, bytes):
        part.write_bytes(damage)
    else:
        height = pl.read_parquet(part.with_name("000000.parquet")).height
        pl.DataFrame({"x": range(height)}).write_parquet(part)
    predict_table(predictor, source, target, columns=COLUMNS, model="m")
    assert target.read_bytes() == (tmp_path / "whole.parquet").read_bytes()
    assert not part.parent.exists()


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        *(("id2label", value, "id2label does not number the labels") for value in (None, [], {"0": "no", "2": "yes"})),
        ("id2label", {"0": "no", "1": "no"}, "id2label has a duplicate label"),
        *(("nli_pack", value, "nli_pack lacks fields") for value in (None, [1], {})),
        ("nli_pack.max_length", -1, "nli_pack.max_length: Input should be greater than or equal to 8"),
        ("nli_pack.max_length", "abc", "nli_pack.max_length: Input should be a valid integer"),
    ],
)
def test_an_altered_description_of_a_model_is_one_line(
    predictor: Predictor, tmp_path: Path, field: str, value: object, message: str
) -> None:
    path = tmp_path / "model" / "config.json"
    described = json.loads(path.read_text(encoding="utf-8"))
    section, _, name = field.partition(".")
    described = {**described, section: {**described[section], name: value} if name else value}
    path.write_text(json.dumps(described), encoding="utf-8")
    with pytest.raises(UserError, match=rf"config\.json: {re.escape(message)}.*; export the model again$"):
        Predictor(tmp_path / "model")


def test_two_predictions_into_one_file_do_not_mix(
    predictor: Predictor, write_rows: Callable[..., Path], tmp_path: Path
) -> None:
    source, target = write_rows("pairs.csv", PAIRS), tmp_path / "out.parquet"

    def another(_done: int, _total: int, _note: str) -> None:
        predict_table(predictor, source, target, columns=COLUMNS, model="m")

    with pytest.raises(UserError, match="another process is predicting into it"):
        predict_table(predictor, source, target, columns=COLUMNS, model="m", progress=another)


def test_a_place_that_takes_no_file_is_one_line(
    predictor: Predictor, write_rows: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        predict_table(
            predictor, write_rows("pairs.csv", PAIRS), tmp_path / "file" / "out.parquet", columns=COLUMNS, model="m"
        )


@pytest.mark.faults("inputs tried")
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("premise,other\na,b\n", "has no column 'hypothesis', only 'premise', 'other'; name the columns"),
        ("premise,hypothesis\na,b\nc,\n", r"line 3: has no text in premise or hypothesis"),
        ("premise,hypothesis\n" + "aaaa,bbbb\n" * 100 + ",b\n", r"line 102: has no text"),
        ("premise,hypothesis\na,b\nc,d,e\n", r"line 3: has 3 fields, the header 2"),
        ("premise,hypothesis\n", "has no rows"),
        ("", "is empty"),
    ],
)
def test_what_cannot_be_predicted_is_named_before_anything_is(
    predictor: Predictor, tmp_path: Path, text: str, message: str
) -> None:
    source = tmp_path / "pairs.csv"
    source.write_text(text)
    with pytest.raises(UserError, match=message):
        predict_table(predictor, source, tmp_path / "out.parquet", columns=COLUMNS, model="m")
    assert not list(tmp_path.glob("out*"))
