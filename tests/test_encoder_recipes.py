"""Recipes of other encoders and of long texts run from end to end, on small local files and random small weights."""

import csv
import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import polars as pl
import pytest

from flows.pipeline import RunSummary
from nli_core.filenames import MODEL
from nli_core.inference.predictor import Predictor

FolderOf = Callable[[str], Path]


@pytest.mark.parametrize(
    ("recipe", "family"),
    [
        ("snli-modernbert", "modernbert"),
        pytest.param("snli-roberta", "roberta", marks=pytest.mark.slow),
        pytest.param("ag-news-distilbert", "distilbert", marks=pytest.mark.slow),
    ],
)
def test_a_recipe_of_another_encoder_runs(
    recipe: str,
    family: str,
    run_recipe: Callable[..., RunSummary],
    small_snli: Path,
    small_news: Path,
    family_encoder: FolderOf,
) -> None:
    source = small_snli if recipe.startswith("snli") else small_news
    sizes = {"pack__max_length": 62, "evaluate__challenges": "[]"}
    summary = run_recipe(recipe, corpus__source=source, encoder__source=family_encoder(family), **sizes)
    model = summary.outputs["finetune"].output.folder / MODEL
    assert json.loads((model / "config.json").read_text())["model_type"] == family
    texts = [["A man sleeps."], ["Nobody's awake."]]
    predictor = Predictor(model)
    probabilities = predictor.probabilities(*texts[: len(predictor.inputs)])
    assert probabilities.sum() == pytest.approx(1)
    assert 0 < summary.metrics["test/accuracy"] < 1


@pytest.mark.slow
def test_the_recipe_of_long_texts_runs(
    run_recipe: Callable[..., RunSummary], small_news: Path, tiny_encoder: Path, tmp_path: Path
) -> None:
    rows = list(csv.reader(StringIO((small_news / "train.csv").read_text())))
    documents = tmp_path / "documents.csv"
    with documents.open("w", newline="") as file:
        written = csv.writer(file)
        written.writerow(["text", "label"])
        written.writerows([" ".join([title, body] * 2), label] for label, title, body in rows)
    settings = {"encoder__name": tiny_encoder, "pack__max_length": 48}
    summary = run_recipe("long-text-example", corpus__train=documents, **settings)
    facts = summary.outputs["pack"].output.facts["splits"]
    assert all(facts[split]["windows"] > 2 * facts[split]["rows"] for split in ("train", "dev", "test"))
    assert all(facts[split]["truncated_tokens"] == 0 for split in facts)
    tested = summary.outputs["evaluate"].output.folder
    assert pl.read_parquet(tested / "predictions-test.parquet").height == facts["test"]["rows"]
