"""Texts whose label stands in their last word alone: windows learn it, and truncation cannot."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nli_core.config import PackConfig
from nli_core.data.examples.encode import Texts, encode_texts
from nli_core.data.examples.shards import ShardSet
from nli_core.data.pack import pack
from nli_core.data.pack_shard import pack_shard
from nli_core.data.tokenize.tokenizer import Tokenizer
from nli_core.download.corpora.files import FileCorpus
from nli_core.download.fetch import Fetcher
from nli_core.filenames import MODEL
from nli_core.inference.predictor import Predictor
from nli_core.model.saved import load_classifier, read_pack_config

Finetune = Callable[..., dict[str, Any]]
Packed = Callable[[str], tuple[Path, dict[str, Any]]]
WORDS, LENGTH, ROWS = 40, 16, 300


def _texts() -> list[tuple[str, str]]:
    source = random.Random(0)
    rows = []
    for number in range(ROWS):
        words = [source.choice("abcdefgh") for _ in range(WORDS)]
        rows.append((" ".join([*words, "xy"[number % 2]]), ("no", "yes")[number % 2]))
    return rows


@pytest.fixture(scope="module")
def packed(
    tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path
) -> Callable[[str], tuple[Path, dict[str, Any]]]:
    """Packs the texts, truncated or in windows; returns the shards and their facts."""

    def make(long_texts: str) -> tuple[Path, dict[str, Any]]:
        folder = tmp_path_factory.mktemp(long_texts)
        (folder / "rows.csv").write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in _texts()))
        corpus = FileCorpus(
            name="file",
            train=str(folder / "rows.csv"),
            premise=("text",),
            hypothesis=None,
            label="label",
            labels=("no", "yes"),
            dev_fraction=0.2,
            test_fraction=0.2,
        )
        (folder / "corpus").mkdir()
        (folder / "shards").mkdir()
        corpus.download(folder / "corpus", Fetcher(folder, folder))
        config = PackConfig(max_length=LENGTH, long_texts=long_texts)  # type: ignore[arg-type]
        facts = pack(
            folder / "corpus",
            corpus.layout,
            tiny_encoder,
            config,
            out=folder / "shards",
            run_jobs=lambda jobs: list(map(pack_shard, jobs)),
        )
        return folder / "shards", facts

    return make


@pytest.mark.slow
def test_windows_learn_what_truncation_cuts_off(tmp_path: Path, run_finetune: Finetune, packed: Packed) -> None:
    accuracies = {}
    for long_texts in ("truncate", "windows"):
        shards, facts = packed(long_texts)
        dev = facts["splits"]["dev"]
        assert (dev["rows"], dev.get("windows")) == (60, 240 if long_texts == "windows" else None)
        assert dev["truncated_examples"] == (0 if long_texts == "windows" else 60)
        trained = run_finetune(tmp_path / long_texts, shards=shards, epochs=8, learning_rate=3e-3)
        accuracies[long_texts] = trained["best_dev"]["dev/accuracy"]
    assert accuracies["truncate"] < 0.7
    assert accuracies["windows"] > 0.9


def test_a_prediction_averages_the_windows_logits(tmp_path: Path, run_finetune: Finetune, packed: Packed) -> None:
    """As does the evaluation on dev, of a frozen encoder too."""
    shards, _ = packed("windows")
    for frozen in (False, True):
        out = tmp_path / str(frozen)
        facts = run_finetune(out, shards=shards, epochs=1, freeze_encoder=frozen)
        texts = [text for text, _ in _texts()[:20]]
        model, tokenizer = load_classifier(out / MODEL), Tokenizer(out / MODEL)
        assert read_pack_config(out / MODEL) == PackConfig(max_length=LENGTH, long_texts="windows")
        expected = []
        for text in texts:
            rows = encode_texts(tokenizer, Texts.of([text]), None, read_pack_config(out / MODEL)).examples
            batch = rows.batch(np.arange(len(rows)))
            with torch.no_grad():
                logits = model(batch.input_ids, batch.token_type_ids, batch.lengths)
            assert len(logits) == 4
            expected.append(torch.softmax(logits.mean(dim=0).double(), dim=0).numpy())
        found = Predictor(out / MODEL, precision="fp32").probabilities(texts)
        np.testing.assert_allclose(found, np.stack(expected), atol=1e-5)
        dev = ShardSet(shards, "dev")
        rows = dev.examples.batch(np.arange(len(dev)))
        with torch.no_grad():
            averaged = dev.examples.average(model(rows.input_ids, rows.token_type_ids, rows.lengths))
        accuracy = float((averaged.argmax(dim=1).numpy() == dev.targets).mean())
        assert facts["best_dev"]["dev/accuracy"] == pytest.approx(accuracy)
