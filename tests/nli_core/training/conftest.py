from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nli_core.callbacks import TrainingCallbacks
from nli_core.config import FinetuneConfig, PackConfig
from nli_core.data.pack import pack
from nli_core.data.pack_shard import pack_shard
from nli_core.download.corpora.sample import SampleCorpus
from nli_core.download.fetch import Fetcher
from nli_core.training.finetune import finetune

Finetune = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path) -> Path:
    corpus, out = tmp_path_factory.mktemp("corpus"), tmp_path_factory.mktemp("shards")
    sample, config = SampleCorpus(pairs=360), PackConfig(max_length=64)
    sample.download(corpus, Fetcher(corpus, corpus))
    pack(corpus, sample.layout, tiny_encoder, config, out=out, run_jobs=lambda jobs: list(map(pack_shard, jobs)))
    return out


@pytest.fixture
def run_finetune(shards: Path, tiny_encoder: Path) -> Finetune:
    """Fine-tunes the tiny encoder for 2 epochs of 15 steps; fields of the config can be overridden."""

    def run(
        out: Path,
        *,
        encoder: Path = tiny_encoder,
        shards: Path = shards,
        callbacks: TrainingCallbacks | None = None,
        **fields: Any,
    ) -> dict[str, Any]:
        out.mkdir(exist_ok=True)
        values = {"epochs": 2, "batch_size": 16, "learning_rate": 1e-3, "log_every": 4, "precision": "fp32", **fields}
        return finetune(shards, encoder, FinetuneConfig(**values), out=out, callbacks=callbacks)

    return run


@pytest.fixture
def stopping_at() -> Callable[[int], TrainingCallbacks]:
    """Makes callbacks that ask a training to stop once it has logged a step."""

    def make(stop: int) -> TrainingCallbacks:
        done = [0]
        return TrainingCallbacks(
            log_metrics=lambda _metrics, step: done.append(step), should_stop=lambda: done[-1] >= stop
        )

    return make
