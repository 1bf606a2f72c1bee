"""Every recipe that stands for a part of a tutorial runs, on small local files, through the real pipeline."""

from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from flows.pipeline import RunSummary
from nli_core.filenames import MODEL
from nli_core.inference.predictor import Predictor

BOOK_SIZES = {"hidden_size": 32, "intermediate_size": 64, "heads": 4, "layers": 2, "positions": 64}


@pytest.mark.parametrize("recipe", ["snli-bert-small", "snli-bert-base"])
def test_the_books_recipes_run(
    recipe: str, run_recipe: Callable[..., RunSummary], small_snli: Path, shared_data: Path
) -> None:
    before = psutil.Process().children()
    sizes = {f"encoder__{name}": size for name, size in BOOK_SIZES.items()}
    archive = shared_data / "d2l_oracle" / "bert.tiny.torch.zip"
    summary = run_recipe(recipe, corpus__source=small_snli, encoder__source=archive, pack__max_length=64, **sizes)
    facts = summary.outputs["finetune"].output.facts
    assert (facts["device"], facts["parameters"] > 0) == ("cpu", True)
    assert psutil.Process().children() == before  # the book's pool of workers is never closed
    predictor = Predictor(summary.outputs["finetune"].output.folder / MODEL)
    assert predictor.probabilities(["A man sleeps."], ["Nobody's awake."]).sum() == pytest.approx(1)
    assert summary.outputs["encoder"].output.facts["left_out"]


@pytest.mark.parametrize(
    ("recipe", "trainable"),
    [
        ("ag-news-bert-features", 4 * 33),
        ("ag-news-bert-finetune", None),
        ("ag-news-bert-base-frozen", 4 * 33),
    ],
)
def test_the_lessons_bert_recipes_run(
    recipe: str, trainable: int | None, run_recipe: Callable[..., RunSummary], small_news: Path, tiny_encoder: Path
) -> None:
    summary = run_recipe(recipe, corpus__source=small_news, encoder__source=tiny_encoder)
    facts = summary.outputs["finetune"].output.facts
    assert facts["trainable_parameters"] == (trainable or facts["parameters"])
    assert list(summary.outputs["pack"].output.facts["labels"]) == ["World", "Sports", "Business", "Sci/Tech"]


@pytest.mark.parametrize("fill", ["false", "true"])
def test_the_lessons_transformer_runs(run_recipe: Callable[..., RunSummary], small_news: Path, fill: str) -> None:
    summary = run_recipe("ag-news-transformer", corpus__source=small_news, pack__fill=fill)
    facts = summary.outputs["finetune"].output.facts
    assert facts["parameters"] == facts["trainable_parameters"] == 659_592
    packed = summary.outputs["pack"].output.facts
    train = packed["splits"]["train"]
    assert 1000 < packed["vocabulary_size"] < 20_000
    assert (train["tokens"] == 256 * train["rows"]) == (fill == "true")
    predictor = Predictor(summary.outputs["finetune"].output.folder / MODEL)
    assert predictor.probabilities(["Shares rose.", "!!!"]).shape == (2, 4)


@pytest.mark.slow
def test_words_are_learned_from_train_alone(run_recipe: Callable[..., RunSummary], small_news: Path) -> None:
    first = run_recipe("ag-news-transformer", corpus__source=small_news)
    with (small_news / "test.csv").open("a") as file:
        file.write('"1","unheardof unheardof unheardof",""\n')
    second = run_recipe("ag-news-transformer", corpus__source=small_news)
    tokenizers = [
        (summary.outputs["pack"].output.folder / "tokenizer" / "tokenizer.json").read_bytes()
        for summary in (first, second)
    ]
    assert tokenizers[0] == tokenizers[1]
    assert b"unheardof" not in tokenizers[1]
