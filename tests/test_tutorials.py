"""Every recipe that stands for a part of a tutorial runs, on small local files, through the real pipeline."""

import csv
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from flows.pipeline import RunSummary, pipeline
from nli_core.filenames import MODEL
from nli_core.inference.predictor import Predictor
from nli_core.run.config import parse_config
from nli_core.run.overrides import override
from tasks.recipes import find_recipe

BOOK_SIZES = {"hidden_size": 32, "intermediate_size": 64, "heads": 4, "layers": 2, "positions": 64}
QUICK = {"finetune.epochs": 1, "finetune.precision": "fp32", "evaluate.precision": "fp32"}


@pytest.fixture
def snli(shared_data: Path, tmp_path: Path) -> Path:
    """An archive laid out like SNLI's with the first rows of each split."""
    path = tmp_path / "snli.zip"
    with zipfile.ZipFile(shared_data / "snli_1.0_subset.zip") as whole, zipfile.ZipFile(path, "w") as small:
        for split, rows in (("train", 600), ("dev", 100), ("test", 100)):
            name = f"snli_1.0/snli_1.0_{split}.txt"
            lines = whole.read(name).decode().splitlines(keepends=True)
            small.writestr(name, "".join(lines[: rows + 1]))
    return path


@pytest.fixture
def news(shared_data: Path, tmp_path: Path) -> Path:
    """A folder laid out like AG News' with some rows of each file."""
    folder = tmp_path / "ag_news_csv"
    folder.mkdir()
    for name, source, step in (("train", "train_subset", 20), ("test", "test", 60)):
        rows = list(csv.reader(io.StringIO((shared_data / "ag_news_csv" / f"{source}.csv").read_text())))
        with (folder / f"{name}.csv").open("w", newline="") as file:
            csv.writer(file, quoting=csv.QUOTE_ALL).writerows(rows[::step])
    return folder


@pytest.fixture
def run(prefect_server: str, workplace: Path, project: Path) -> Callable[..., RunSummary]:
    def run(recipe: str, **settings: object) -> RunSummary:
        words = [f"{name.replace('__', '.')}={value}" for name, value in settings.items()]
        words += [f"{name}={value}" for name, value in QUICK.items()]
        config = parse_config(override(find_recipe(project / "prefect.yaml", recipe).config, words))
        return pipeline(config=config, recipe=recipe)

    return run


@pytest.mark.parametrize("recipe", ["snli-bert-small", "snli-bert-base"])
def test_the_books_recipes_run(recipe: str, run: Callable[..., RunSummary], snli: Path, shared_data: Path) -> None:
    before = psutil.Process().children()
    sizes = {f"encoder__{name}": size for name, size in BOOK_SIZES.items()}
    archive = shared_data / "d2l_oracle" / "bert.tiny.torch.zip"
    summary = run(recipe, corpus__source=snli, encoder__source=archive, pack__max_length=64, **sizes)
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
    recipe: str, trainable: int | None, run: Callable[..., RunSummary], news: Path, tiny_encoder: Path
) -> None:
    summary = run(recipe, corpus__source=news, encoder__source=tiny_encoder)
    facts = summary.outputs["finetune"].output.facts
    assert facts["trainable_parameters"] == (trainable or facts["parameters"])
    assert list(summary.outputs["pack"].output.facts["labels"]) == ["World", "Sports", "Business", "Sci/Tech"]


@pytest.mark.parametrize("fill", ["false", "true"])
def test_the_lessons_transformer_runs(run: Callable[..., RunSummary], news: Path, fill: str) -> None:
    summary = run("ag-news-transformer", corpus__source=news, pack__fill=fill)
    facts = summary.outputs["finetune"].output.facts
    assert facts["parameters"] == facts["trainable_parameters"] == 659_592
    packed = summary.outputs["pack"].output.facts
    train = packed["splits"]["train"]
    assert 1000 < packed["vocabulary_size"] < 20_000
    assert (train["tokens"] == 256 * train["rows"]) == (fill == "true")
    predictor = Predictor(summary.outputs["finetune"].output.folder / MODEL)
    assert predictor.probabilities(["Shares rose.", "!!!"]).shape == (2, 4)


@pytest.mark.slow
def test_words_are_learned_from_train_alone(run: Callable[..., RunSummary], news: Path) -> None:
    first = run("ag-news-transformer", corpus__source=news)
    with (news / "test.csv").open("a") as file:
        file.write('"1","unheardof unheardof unheardof",""\n')
    second = run("ag-news-transformer", corpus__source=news)
    tokenizers = [
        (summary.outputs["pack"].output.folder / "tokenizer" / "tokenizer.json").read_bytes()
        for summary in (first, second)
    ]
    assert tokenizers[0] == tokenizers[1]
    assert b"unheardof" not in tokenizers[1]
