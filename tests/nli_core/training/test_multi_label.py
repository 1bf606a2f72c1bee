"""Texts with any number of labels, each of which a word tells: what training, saving and prediction make of them."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score
from transformers import AutoModelForSequenceClassification

from nli_core.callbacks import StoppedError, TrainingCallbacks
from nli_core.config import FinetuneConfig, PackConfig
from nli_core.data.examples.shards import ShardSet
from nli_core.data.pack import pack
from nli_core.data.pack_shard import pack_shard
from nli_core.download.corpora.files import FileCorpus
from nli_core.download.fetch import Fetcher
from nli_core.filenames import MODEL
from nli_core.inference.logits import predict_logits
from nli_core.inference.predictor import Predictor
from nli_core.inference.prepare import prepare_for_inference
from nli_core.model.answers import MultiLabel
from nli_core.model.device import choose_device
from nli_core.model.saved import load_classifier, read_answers, save_calibration
from nli_core.training.loss import class_weights, make_loss
from nli_core.training.selection import dev_metrics

Finetune = Callable[..., dict[str, Any]]
WORDS = {"x": "fear", "y": "joy", "z": "love"}
LABELS = ("fear", "joy", "love")
CPU = torch.device("cpu")


@pytest.fixture(scope="module", params=["truncate", "windows"])
def shards(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path) -> Path:
    folder, source = tmp_path_factory.mktemp("multi"), random.Random(0)
    lines = []
    for _ in range(300):
        told = [word for word in WORDS if source.random() < 0.4]
        words = [*told, *(source.choice("abcd") for _ in range(4))]
        lines.append(f"{' '.join(source.sample(words, len(words)))},{';'.join(WORDS[word] for word in told)}\n")
    (folder / "rows.csv").write_text("text,label\n" + "".join(lines))
    corpus = FileCorpus(
        train=str(folder / "rows.csv"),
        premise=("text",),
        hypothesis=None,
        multi_label=True,
        label_separator=";",
        dev_fraction=0.2,
        test_fraction=0.2,
    )
    for name in ("corpus", "shards"):
        (folder / name).mkdir()
    corpus.download(folder / "corpus", Fetcher(folder, folder))
    length = 64 if request.param == "truncate" else 8
    facts = pack(
        folder / "corpus",
        corpus.layout,
        tiny_encoder,
        PackConfig(max_length=length, long_texts=request.param),
        out=folder / "shards",
        run_jobs=lambda jobs: list(map(pack_shard, jobs)),
    )
    train = facts["splits"]["train"]
    assert sum(train["labels"].values()) != train["rows"]
    assert ("windows" in train) == (request.param == "windows")
    return folder / "shards"


def _bytes(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


def test_a_training_learns_all_labels_and_resumes_bit_for_bit(
    tmp_path: Path, run_finetune: Finetune, stopping_at: Callable[[int], TrainingCallbacks], shards: Path
) -> None:
    fields = {"shards": shards, "epochs": 12, "batch_size": 8, "learning_rate": 3e-3, "best_by": "micro_f1"}
    facts = run_finetune(tmp_path / "whole", **fields)
    assert facts["best_dev"]["dev/micro_f1"] > 0.75  # to give every label to all would be 0.57
    with pytest.raises(StoppedError):
        run_finetune(tmp_path / "cut", callbacks=stopping_at(12), **fields)
    run_finetune(tmp_path / "cut", **fields)
    assert _bytes(tmp_path / "cut") == _bytes(tmp_path / "whole")


def test_the_saved_model_is_transformers_multi_label_one(
    tmp_path: Path, run_finetune: Finetune, shards: Path, tiny_encoder: Path
) -> None:
    run_finetune(tmp_path, shards=shards, epochs=1)
    folder, dev, device = tmp_path / MODEL, ShardSet(shards, "dev"), choose_device("fp32")
    theirs = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    assert theirs.config.problem_type == "multi_label_classification"
    batch = dev.examples.batch(np.arange(len(dev)))
    mask = (torch.arange(batch.input_ids.shape[1]) < batch.lengths[:, None]).long()
    targets = torch.from_numpy(dev.row_targets)
    with torch.no_grad():
        expected = theirs(
            input_ids=batch.input_ids,
            token_type_ids=batch.token_type_ids,
            attention_mask=mask,
            labels=targets.float(),
        )
    loss = make_loss(FinetuneConfig(), LABELS, dev.targets, CPU)(expected.logits, targets) / len(dev)
    assert float(loss) == pytest.approx(float(expected.loss), rel=1e-6)
    model = prepare_for_inference(load_classifier(folder), device)
    found = predict_logits(model, dev.examples, device)
    torch.testing.assert_close(found, dev.examples.average(expected.logits), atol=1e-5, rtol=0)


def test_a_model_answers_with_all_labels_above_their_thresholds(
    tmp_path: Path, run_finetune: Finetune, shards: Path
) -> None:
    run_finetune(tmp_path, shards=shards, epochs=2)
    folder = tmp_path / MODEL
    plain = read_answers(folder)
    assert isinstance(plain, MultiLabel)
    assert (plain.labels, plain.separator, plain.thresholds) == (LABELS, ";", (0.5, 0.5, 0.5))
    texts = ["a b x", "x y", "a", "z y x a"]
    before = Predictor(folder, precision="fp32").probabilities(texts)
    save_calibration(MultiLabel(labels=LABELS, separator=";", thresholds=(0.2, 0.6, 0.4)).calibrated(2.0), folder)
    after = Predictor(folder, precision="fp32")
    calibrated = after.probabilities(texts)
    np.testing.assert_allclose(calibrated, 1 / (1 + ((1 - before) / before) ** 0.5), atol=1e-6)
    chosen = before >= (0.2, 0.6, 0.4)
    assert after.answer([[text] for text in texts]) == [
        ";".join(label for label, has in zip(LABELS, row, strict=True) if has) for row in chosen
    ]
    likely = np.where(chosen, calibrated, 1 - calibrated).prod(axis=1)
    np.testing.assert_allclose(after.answers.certainty(calibrated), likely)


@pytest.mark.faults("inputs tried")
@pytest.mark.parametrize("damage", ["{", '{"temperature": 1}', '{"temperature": 1, "thresholds": {"fear": 0.5}}'])
def test_a_damaged_calibration_is_refused(tmp_path: Path, damage: str) -> None:
    described = {"id2label": {"0": "fear", "1": "joy"}, "nli_label_separator": ";", "model_type": "bert"}
    (tmp_path / "config.json").write_text(json.dumps(described))
    (tmp_path / "calibration.json").write_text(damage)
    with pytest.raises(Exception, match="no threshold of a label; export the model again"):
        read_answers(tmp_path)


def test_metrics_on_dev_are_those_of_scikit_learn() -> None:
    source = np.random.default_rng(0)
    logits, targets = source.normal(size=(50, 4)), source.random((50, 4)) < 0.3
    found = dev_metrics(torch.from_numpy(logits), torch.from_numpy(targets))
    assert found["dev/accuracy"] == pytest.approx(accuracy_score(targets, logits > 0))
    assert found["dev/micro_f1"] == pytest.approx(f1_score(targets, logits > 0, average="micro"))
    losses = np.logaddexp(0, logits) - targets * logits
    assert found["dev/loss"] == pytest.approx(losses.mean())


def test_losses_are_weighted_and_smoothed() -> None:
    source = np.random.default_rng(0)
    logits, targets = source.normal(size=(50, 3)), source.random((50, 3)) < (0.5, 0.1, 0.9)
    weights = class_weights("balanced", LABELS, targets)
    positives = targets.sum(axis=0)
    assert weights * positives == pytest.approx(50 - positives)
    config = FinetuneConfig(class_weights="balanced", label_smoothing=0.2)
    found = make_loss(config, LABELS, targets, CPU)(torch.from_numpy(logits), torch.from_numpy(targets))
    smoothed = np.where(targets, 0.9, 0.1)
    losses = weights * smoothed * np.logaddexp(0, -logits) + (1 - smoothed) * np.logaddexp(0, logits)
    assert float(found) == pytest.approx(losses.mean(axis=1).sum(), rel=1e-5)


def test_a_label_that_all_examples_have_still_counts() -> None:
    assert class_weights("balanced", LABELS, np.array([[True, False, True], [True, True, False]])) == [0.5, 1, 1]
