"""Every family is packed, trained, resumed, saved, exported and asked, and agrees with transformers in the end."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, PreTrainedTokenizerFast

from nli_core.callbacks import StoppedError, TrainingCallbacks
from nli_core.config import PackConfig
from nli_core.data.examples.shards import ShardSet
from nli_core.data.pack import pack
from nli_core.data.pack_shard import pack_shard
from nli_core.data.tokenize.fast import FastTokenizer
from nli_core.download.corpora.sample import SampleCorpus
from nli_core.download.fetch import Fetcher
from nli_core.filenames import MODEL
from nli_core.inference.predictor import Predictor
from nli_core.model.classifier import Classifier
from nli_core.model.export import export_model
from nli_core.model.families.registry import read_architecture
from nli_core.model.weights import load_encoder

FAMILIES = (
    "roberta",
    "modernbert",
    "deberta-v2",
    *(pytest.param(family, marks=pytest.mark.slow) for family in ("xlm-roberta", "distilbert", "electra")),
)
Finetune = Callable[..., dict[str, Any]]
Stopping = Callable[[int], TrainingCallbacks]
PREMISES, HYPOTHESES = ["A girl is here.", "Two children, in Ünïcödé."], ["A child is here.", "Nobody is there."]


@pytest.fixture(scope="module", params=FAMILIES)
def encoder(request: pytest.FixtureRequest, family_encoder: Callable[[str], Path]) -> Path:
    return family_encoder(request.param)


@pytest.fixture(scope="module")
def family_shards(encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    corpus, out = tmp_path_factory.mktemp("corpus"), tmp_path_factory.mktemp("shards")
    sample, config = SampleCorpus(pairs=360), PackConfig(max_length=48, truncation="transformers")
    sample.download(corpus, Fetcher(corpus, corpus))
    positions = read_architecture(encoder).max_position_embeddings
    jobs = lambda jobs: list(map(pack_shard, jobs))  # noqa: E731
    pack(corpus, sample.layout, encoder, config, out=out, run_jobs=jobs, positions=positions)
    return out


@pytest.fixture(scope="module")
def trained(encoder: Path, family_shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from nli_core.config import FinetuneConfig
    from nli_core.training.finetune import finetune

    out = tmp_path_factory.mktemp("trained")
    config = FinetuneConfig(epochs=1, batch_size=16, learning_rate=1e-3, log_every=4, precision="fp32")
    finetune(family_shards, encoder, config, out=out)
    return out


def _bytes(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


def test_a_stopped_training_resumes_bit_for_bit(
    tmp_path: Path, encoder: Path, family_shards: Path, trained: Path, run_finetune: Finetune, stopping_at: Stopping
) -> None:
    options: dict[str, Any] = {"encoder": encoder, "shards": family_shards, "epochs": 1}
    with pytest.raises(StoppedError, match="after step 8 of 15"):
        run_finetune(tmp_path / "cut", callbacks=stopping_at(8), **options)
    run_finetune(tmp_path / "cut", **options)
    assert _bytes(tmp_path / "cut") == _bytes(trained)


def test_answers_are_those_of_transformers(trained: Path) -> None:
    """From the text on: its own tokenizer and model, loaded from the folder that training left."""
    folder = trained / MODEL
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    model = AutoModelForSequenceClassification.from_pretrained(folder, attn_implementation="eager").eval()
    ours = Predictor(folder, precision="fp32").probabilities(PREMISES, HYPOTHESES)
    types = model.config.model_type in ("bert", "electra", "deberta-v2")
    for row, texts in enumerate(zip(PREMISES, HYPOTHESES, strict=True)):
        encoded = tokenizer(*texts, return_tensors="pt", return_token_type_ids=types)
        with torch.no_grad():
            theirs = torch.softmax(model(**encoded).logits.double(), dim=1)[0]
        np.testing.assert_allclose(ours[row], theirs, atol=1e-5)
    quick = Predictor(folder, FastTokenizer, precision="bf16").probabilities(PREMISES, HYPOTHESES)
    np.testing.assert_allclose(quick, ours, atol=0.02)


def test_the_longest_input_is_computed(encoder: Path, tmp_path: Path, trained: Path) -> None:
    positions = min(read_architecture(encoder).max_position_embeddings, 512)
    long = [" ".join(["girl"] * positions)]
    predictor = Predictor(trained / MODEL, precision="fp32")
    predictor._pack = PackConfig(max_length=positions, truncation="transformers")
    assert np.isfinite(predictor.probabilities(long, long)).all()


@pytest.mark.slow
def test_exports_compute_the_same(trained: Path, tmp_path: Path) -> None:
    """A graph for ONNX is asked by onnxruntime, and one for torch by torch."""
    import onnxruntime

    folder, dev = trained / MODEL, [PREMISES[0], HYPOTHESES[0]]
    expected = Predictor(folder, precision="fp32").probabilities([dev[0]], [dev[1]])
    encoded = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))(*dev, return_token_type_ids=True)
    inputs = {name: torch.tensor([encoded[name]]) for name in ("input_ids", "attention_mask", "token_type_ids")}
    export_model(folder, tmp_path / "torch", form="torch")
    logits = torch.export.load(tmp_path / "torch" / "model.pt2").module()(**inputs)
    np.testing.assert_allclose(torch.softmax(logits.double(), dim=1).detach(), expected, atol=1e-5)
    export_model(folder, tmp_path / "onnx", form="onnx")
    session = onnxruntime.InferenceSession(tmp_path / "onnx" / "model.onnx")
    arrays = {name: tensor.numpy() for name, tensor in inputs.items()}
    (logits,) = session.run(None, arrays)
    np.testing.assert_allclose(torch.softmax(torch.tensor(logits).double(), dim=1), expected, atol=1e-5)


def test_shards_hold_no_padding(family_shards: Path) -> None:
    shards = ShardSet(family_shards, "dev")
    assert not (shards.examples.input_ids == shards.examples.pad_id).any()


def test_a_loss_reaches_every_weight(encoder: Path, family_shards: Path) -> None:
    """So that it does not matter whether a weight without a gradient counts as one of 0, which AdamW decays."""
    train = ShardSet(family_shards, "train")
    model = Classifier(load_encoder(encoder)[0], train.labels)
    batch = train.examples.batch(np.arange(4))
    torch.autograd.backward(model(batch.input_ids, batch.token_type_ids, batch.lengths).sum())
    assert [name for name, part in model.named_parameters() if part.grad is None] == []
