"""The evaluate stage: a fine-tuned model on dev, which chose it, and on test, which reports."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import polars.selectors as cs
import torch

from nli_core.arrays import Floats
from nli_core.callbacks import Point, Progress
from nli_core.config import EvaluateConfig
from nli_core.data.corpus.layout import Split
from nli_core.data.examples.shards import ShardSet
from nli_core.errors import UserError
from nli_core.evaluation.baselines import audited_metrics, baseline_metrics
from nli_core.evaluation.comparison import TEXTS
from nli_core.evaluation.errors import save_errors
from nli_core.evaluation.figures import save_confusions, save_f1, save_learning_curves, save_reliability_diagram
from nli_core.evaluation.metrics import calibration_bins, classification_metrics, confusion
from nli_core.evaluation.slices import AUDITED_COLUMNS, overlap, text_lengths
from nli_core.filenames import FIGURES, METRICS, audit_name, predictions_name, text_name
from nli_core.inference.logits import Report
from nli_core.inference.replicas import Replicas
from nli_core.model.device import choose_devices
from nli_core.model.saved import load_classifier

_SPLITS: tuple[Split, ...] = ("dev", "test")


def evaluate(
    model: Path,
    shards: Path,
    audit: Path,
    curves: list[Point],
    config: EvaluateConfig,
    *,
    out: Path,
    progress: Progress = lambda _done, _total, _note: None,
) -> dict[str, Any]:
    """Leave metrics, per-example predictions and figures of the model in `out`; returns the facts.

    `shards` and `audit` are the folders that these stages left. `curves` are the points of the training that made the
    model.

    Raises:
        UserError: the model's labels are not those of the shards, in the same order.
    """
    shutil.rmtree(out)
    (out / FIGURES).mkdir(parents=True)
    devices = choose_devices(config.precision)
    classifier = Replicas(load_classifier(model), devices)
    splits = [ShardSet(shards, split) for split in _SPLITS]
    total = sum(map(len, splits))
    metrics: dict[str, float] = {}
    before = 0
    for examples in splits:

        def report(done: int, _of: int, before: int = before, split: Split = examples.split) -> None:
            progress(before + done, total, split)

        texts = pl.read_ipc(shards / text_name(examples.split)).select("id", cs.by_name(TEXTS, require_all=False))
        known = texts.join(pl.read_parquet(audit / audit_name(examples.split)), on="id", how="left", validate="1:1")
        measured = _measure(classifier, examples, known, config, out, report)
        metrics |= {f"{examples.split}/{name}": value for name, value in measured.items()}
        before += len(examples)
    metrics |= baseline_metrics(audit, pl.read_parquet(out / predictions_name("test")))
    progress(total, total, f"test accuracy {metrics['test/accuracy']:.4f}")
    _save_curves(curves, out / FIGURES / "learning_curves.png")
    (out / METRICS).write_text(json.dumps(metrics, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return {
        "metrics": metrics,
        "device": str(devices[0].torch),
        "devices": len(devices),
        "precision": classifier.precision,
    }


def _measure(
    model: Replicas, shards: ShardSet, known: pl.DataFrame, config: EvaluateConfig, out: Path, report: Report
) -> dict[str, float]:
    """Measure a split; `known` has the texts of its examples and what audit says of them."""
    if model.labels != shards.labels:
        raise UserError(f"the model's labels are {model.labels}, those of the shards {shards.labels}; pack them alike")
    logits = model.logits(shards.examples, report)
    probabilities: Floats = torch.softmax(logits.double(), dim=1).numpy()
    predictions = _predictions(probabilities, shards, known)
    predictions.write_parquet(out / predictions_name(shards.split))
    bins = calibration_bins(probabilities, shards.label_ids, bins=config.calibration_bins)
    counts = confusion(probabilities, shards.label_ids, shards.labels)
    figures, title = out / FIGURES, f"{shards.split}, {len(shards):,} examples"
    save_confusions(counts, shards.labels, title, figures / f"confusion_{shards.split}.png")
    save_reliability_diagram(*bins, title, figures / f"reliability_{shards.split}.png")
    save_f1(counts, shards.labels, title, figures / f"f1_{shards.split}.png")
    save_errors(predictions, f"The surest errors on {shards.split}", figures / f"errors_{shards.split}.html")
    metrics = classification_metrics(probabilities, shards.label_ids, shards.labels, bins=config.calibration_bins)
    return metrics | audited_metrics(predictions)


def _predictions(probabilities: Floats, shards: ShardSet, known: pl.DataFrame) -> pl.DataFrame:
    names = np.array(shards.labels)
    columns = {
        "id": shards.ids,
        **{name: known[name] for name in TEXTS if name in known.columns},
        "label": names[shards.label_ids],
        "predicted": names[probabilities.argmax(axis=1)],
        "tokens": text_lengths(shards.examples),
        **({"overlap": overlap(shards.examples)} if shards.examples.pairs else {}),
        **{name: known[name] for name in AUDITED_COLUMNS},
        **{f"probability/{label}": probabilities[:, index] for index, label in enumerate(shards.labels)},
    }
    return pl.DataFrame(columns)


def _save_curves(points: list[Point], path: Path) -> None:
    train = [(point.step, point.metrics["train/loss"]) for point in points if "train/loss" in point.metrics]
    dev = [
        (point.step, point.metrics["dev/loss"], point.metrics["dev/accuracy"])
        for point in points
        if "dev/loss" in point.metrics
    ]
    save_learning_curves(train, dev, path)
