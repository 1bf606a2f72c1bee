"""What it gains to let a frozen encoder read each example once instead of in every epoch."""

import statistics
import tempfile
import time
from pathlib import Path

import torch
from reporting import DATA, run_recipe, table, write_page
from torch.nn import functional

from nli_core.config import FinetuneConfig
from nli_core.data.examples.shards import ShardSet
from nli_core.data.loading.batching import training_batches
from nli_core.model.classifier import Classifier
from nli_core.model.device import choose_device
from nli_core.model.weights import load_encoder
from nli_core.training.inputs import Features, Inputs, Tokens
from nli_core.training.optimizer import build_optimizer

BATCH_SIZE = 128
REPEATS = 3
EPOCHS = 10


def seconds_of_epoch(model: Classifier, inputs: Inputs, train: ShardSet) -> float:
    """Seconds of all optimiser steps of one epoch."""
    optimizer = build_optimizer(
        model, model.encoder.architecture.num_hidden_layers, FinetuneConfig(learning_rate=1e-3, weight_decay=0)
    )
    model.train()
    started = time.perf_counter()
    for examples in training_batches(train.examples.lengths, BATCH_SIZE, seed=0, epoch=0):
        loaded, _ = inputs.load(examples)
        logits = inputs.logits(model, *loaded)
        functional.cross_entropy(logits.float(), torch.from_numpy(train.targets[examples])).backward()
        optimizer.step()
        optimizer.zero_grad()
    return time.perf_counter() - started


def main() -> None:
    news = {"corpus.source": DATA / "ag_news_csv", "corpus.train": "train_subset.csv", "encoder.name": "minilm-l6"}
    stages = run_recipe("ag-news-bert-features", news)["outputs"]
    shards, encoder = Path(stages["pack"]["path"]), Path(stages["encoder"]["path"]) / "encoder"
    train, dev = ShardSet(shards, "train"), ShardSet(shards, "dev")
    model, device = Classifier(load_encoder(encoder)[0], train.labels, frozen=True), choose_device("auto")
    every, once, head = [], [], []
    for _ in range(REPEATS):  # alternately
        every.append(seconds_of_epoch(model, Tokens(model, train, dev, device), train))
        with tempfile.TemporaryDirectory() as folder:
            started = time.perf_counter()
            features = Features(model, train, dev, device, folder=Path(folder), progress=lambda *_: None)
            once.append(time.perf_counter() - started)
        head.append(seconds_of_epoch(model, features, train))
    slow, first, rest = (statistics.median(times) for times in (every, once, head))
    write_page(
        "frozen_features",
        "A frozen encoder that reads each example once",
        f"MiniLM, frozen, with a new head on {len(train):,} training texts of AG News, batch {BATCH_SIZE}, "
        f"{device.precision}, {torch.get_num_threads()} threads; medians of {REPEATS} alternating repeats. Dev "
        f"({len(dev):,} texts) is read within the first row too.",
        table(
            ("what", "seconds"),
            [
                ("the encoder reads train and dev, once", f"{first:.2f}"),
                ("an epoch of the head on what it pooled", f"{rest:.3f}"),
                ("an epoch in which the encoder reads train again", f"{slow:.2f}"),
                (
                    f"{EPOCHS} epochs: features once against reading again",
                    f"{first + EPOCHS * rest:.1f} against {EPOCHS * slow:.1f}, "
                    f"{EPOCHS * slow / (first + EPOCHS * rest):.1f} times as fast",
                ),
            ],
        ),
    )


if __name__ == "__main__":
    main()
