"""The evaluate stage: a fine-tuned model on dev, which chose it, on test, which reports, and on challenge sets.

It leaves `metrics.json`, `evaluation.json` with what is no single number, and `calibration.json` with the temperature,
and of a multi-label model the thresholds. There are figures too, and a Parquet file of predictions for each split and
challenge set.
"""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nli_core.arrays import Floats
from nli_core.callbacks import Point, Progress, no_progress
from nli_core.config import EvaluateConfig
from nli_core.data.corpus.layout import Split
from nli_core.data.examples.shards import ShardSet
from nli_core.data.tokenize.fast import FastTokenizer
from nli_core.errors import UserError
from nli_core.evaluation.baselines import baseline_metrics, part_metrics
from nli_core.evaluation.behaviour.flips import behaviour_metrics, behaviours
from nli_core.evaluation.calibration import (
    LEAST_EXAMPLES,
    calibration_metrics,
    fit_temperature,
    risk_coverage,
    thresholds,
)
from nli_core.evaluation.challenges import (
    challenge_facts,
    challenge_metrics,
    challenge_names,
    predict_challenge,
    read_meanings,
)
from nli_core.evaluation.columns import TEXTS
from nli_core.evaluation.errors import save_errors
from nli_core.evaluation.figures import (
    save_confusions,
    save_f1,
    save_label_counts,
    save_learning_curves,
    save_reliability_diagram,
    save_risk_coverage,
)
from nli_core.evaluation.metrics import calibration_bins, classification_metrics, confusion, label_counts
from nli_core.evaluation.multi_label import fit_thresholds, multi_label_metrics
from nli_core.evaluation.split_predictions import SplitPredictions, split_predictions
from nli_core.evaluation.suspects import suspect_labels
from nli_core.filenames import DETAILS, FIGURES, GATE, METRICS, challenge_name, predictions_name
from nli_core.inference.logits import Report
from nli_core.inference.predictor import Predictor
from nli_core.model.answers import Answers, answers_of
from nli_core.model.saved import save_calibration

_SPLITS: tuple[Split, ...] = ("dev", "test")


def evaluate(
    model: Path,
    shards: Path,
    audit: Path,
    curves: list[Point],
    config: EvaluateConfig,
    *,
    out: Path,
    challenges: Path | None = None,
    progress: Progress = no_progress,
) -> dict[str, Any]:
    """Leave metrics, per-example predictions and figures of the model in `out`; returns the facts.

    `shards`, `audit` and `challenges` are the folders that pack, audit and the packing of challenge sets left. `curves`
    are the points of the training that made the model.

    Raises:
        UserError: the model's labels are not those of the shards, in the same order.
    """
    shutil.rmtree(out)
    (out / FIGURES).mkdir(parents=True)
    predictor = Predictor(model, FastTokenizer, precision=config.precision)
    sets = {split: ShardSet(shards, split) for split in _SPLITS}
    for examples in sets.values():
        _check_labels(predictor, examples)

    def report(name: str) -> Report:
        return lambda done, total: progress(done, total, name)

    logits = {split: _logits(predictor, sets[split], report(split)) for split in _SPLITS}
    predictor.answers = answers = _answers(sets["dev"], logits["dev"])
    dev, test = (split_predictions(answers, logits[split], sets[split], shards, audit) for split in _SPLITS)
    test, gate = test.divided(config.gate_fraction)
    temperature = fit_temperature(dev.logits, dev.targets)
    save_calibration(answers.calibrated(temperature), out)
    metrics: dict[str, float] = {"calibration/temperature": temperature}
    details: dict[str, Any] = {"labels": list(predictor.labels), "temperature": temperature, "suspects": {}}
    details |= {"dev_examples": len(dev.targets), "gate_examples": gate.table.height}
    for each in (dev, test):
        each.table.write_parquet(out / predictions_name(each.split))
        metrics |= {f"{each.split}/{name}": value for name, value in _measure(each, temperature, config, out).items()}
        details["suspects"][each.split] = suspect_labels(each.table, each.outcomes)
    if gate.table.height:
        gate.table.write_parquet(out / predictions_name(GATE))
    metrics |= baseline_metrics(audit, test.table)
    details["thresholds"] = thresholds(dev.calibrated(temperature), test.calibrated(temperature))
    details["challenges"] = {}
    for name in challenge_names(challenges):
        assert challenges is not None
        table = predict_challenge(predictor.replicas, challenges / name, temperature, report(name))
        table.write_parquet(out / challenge_name(name))
        metrics |= challenge_metrics(name, table)
        details["challenges"][name] = challenge_facts(table, read_meanings(challenges / name))
    progress(0, 1, "behaviour")
    texts = [name for name in TEXTS if name in test.table.columns]
    changed = behaviours(test.table, texts, predictor.labels, predictor.answer)
    metrics |= behaviour_metrics(changed)
    details["behaviour"] = [each.as_dict() for each in changed]
    _save_curves(curves, out / FIGURES / "learning_curves.png")
    (out / METRICS).write_text(json.dumps(metrics, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    (out / DETAILS).write_text(json.dumps(details, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    progress(1, 1, f"test accuracy {metrics['test/accuracy']:.4f}")
    devices = predictor.replicas.devices
    return {
        "metrics": metrics,
        "gate_examples": gate.table.height,
        "device": str(devices[0].torch),
        "devices": len(devices),
        "precision": predictor.precision,
    }


def _logits(predictor: Predictor, shards: ShardSet, report: Report) -> Floats:
    """Compute the logits of a split [examples, labels] in fp64."""
    logits: Floats = predictor.replicas.logits(shards.examples, report).double().numpy()
    return logits


def _answers(dev: ShardSet, logits: Floats) -> Answers:
    """Return how logits are read before calibration: in a multi-label corpus with thresholds that are fitted to dev."""
    answers = answers_of(dev.labels, dev.separator)
    if dev.separator is None or len(dev.targets) < LEAST_EXAMPLES:
        return answers
    return answers_of(dev.labels, dev.separator, fit_thresholds(answers.probabilities(logits), dev.targets))


def _check_labels(predictor: Predictor, shards: ShardSet) -> None:
    if predictor.labels != shards.labels:
        have = f"the model's labels are {predictor.labels}, those of the shards {shards.labels}"
        raise UserError(f"{have}; pack them alike")


def _measure(split: SplitPredictions, temperature: float, config: EvaluateConfig, out: Path) -> dict[str, float]:
    """Measure a split, before and after calibration, and draw its figures."""
    outcomes, labels, bins = split.outcomes, split.answers.labels, config.calibration_bins
    examples, counts = len(split.targets), label_counts(outcomes)
    figures, title = out / FIGURES, f"{split.split}, {examples:,} examples"
    if split.targets.ndim == 1:
        save_confusions(confusion(outcomes), labels, title, figures / f"confusion_{split.split}.png")
        measure = classification_metrics
    else:
        save_label_counts(counts, labels, title, figures / f"confusion_{split.split}.png")
        measure = multi_label_metrics
    reliability = calibration_bins(outcomes.claims, outcomes.truths, bins=bins)
    save_reliability_diagram(*reliability, title, figures / f"reliability_{split.split}.png")
    save_f1(counts, examples, labels, title, figures / f"f1_{split.split}.png")
    save_errors(split.table, f"The surest errors on {split.split}", figures / f"errors_{split.split}.html")
    metrics = measure(outcomes, labels, bins=bins) | part_metrics(split.table)
    if split.split == "test":
        calibrated = split.calibrated(temperature)
        before = calibration_metrics(outcomes, bins=bins)
        after = calibration_metrics(calibrated, bins=bins)
        metrics |= before | {f"calibrated/{name}": value for name, value in after.items()}
        coverage, risk = risk_coverage(calibrated)
        metrics["aurc"] = float(risk.mean())
        save_risk_coverage(coverage, risk, title, figures / "risk_coverage_test.png")
    return metrics


def _save_curves(points: Sequence[Point], path: Path) -> None:
    train = [(point.step, point.metrics["train/loss"]) for point in points if "train/loss" in point.metrics]
    dev = [
        (point.step, point.metrics["dev/loss"], point.metrics["dev/accuracy"])
        for point in points
        if "dev/loss" in point.metrics
    ]
    save_learning_curves(train, dev, path)
