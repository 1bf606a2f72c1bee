"""A model on challenge sets: accuracy by group and by label, where labels may be others than the model's.

A label of the set means one or several labels of the model, and has their summed probability, after calibration. What
no label of the set means stays an answer of its own, which is never right.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from nli_core.arrays import Bools, Floats
from nli_core.data.corpus.challenge import GROUP
from nli_core.data.examples.shards import ShardSet
from nli_core.evaluation.columns import TEXTS
from nli_core.evaluation.metrics import accuracy_metrics
from nli_core.evaluation.slices import overlap, text_lengths
from nli_core.filenames import MEANINGS, text_name
from nli_core.inference.logits import Report, no_report
from nli_core.inference.replicas import Replicas
from nli_core.model.answers import softmax

NO_GROUP = "no group"


def challenge_names(folder: Path | None) -> list[str]:
    """Return the names of the challenge sets in the folder that packing left, if there is one."""
    return sorted(path.parent.name for path in folder.glob(f"*/{MEANINGS}")) if folder else []


def predict_challenge(
    model: Replicas, folder: Path, temperature: float = 1.0, report: Report = no_report
) -> pl.DataFrame:
    """Predict a packed challenge set with a model whose logits are divided by `temperature`.

    The columns are id, the texts, group, label, predicted, tokens, overlap, and the model's probabilities. What is
    predicted is a label of the set, or one of the model that none of the set means.
    """
    shards = ShardSet(folder, "test")
    text = pl.read_ipc(folder / text_name("test"))
    means = read_meanings(folder)
    probabilities = softmax(model.logits(shards.examples, report).double().numpy() / temperature)
    answers, summed = summed_probabilities(probabilities, model.labels, means)
    labels = [shards.labels[index] for index in shards.targets]
    predicted = [answers[index] for index in summed.argmax(axis=1)]
    return pl.DataFrame(
        {
            "id": shards.ids,
            **{name: text[name] for name in (*TEXTS, GROUP) if name in text.columns},
            "label": labels,
            "predicted": [
                label if label in means and means[label] and means[label] == means.get(answer) else answer
                for label, answer in zip(labels, predicted, strict=True)
            ],
            "tokens": text_lengths(shards.examples),
            **({"overlap": overlap(shards.examples)} if shards.examples.pairs else {}),
            **{f"probability/{label}": probabilities[:, index] for index, label in enumerate(model.labels)},
        }
    )


def read_meanings(folder: Path) -> dict[str, list[str]]:
    """Read what each label of a packed challenge set means."""
    means: dict[str, list[str]] = json.loads((folder / MEANINGS).read_text(encoding="utf-8"))
    return means


def summed_probabilities(
    probabilities: Floats, labels: Sequence[str], means: Mapping[str, Sequence[str]]
) -> tuple[list[str], Floats]:
    """Sum the model's probabilities [examples, labels] for each label of a set.

    Returns the answers, and their probabilities [examples, answers]. Of labels with the same meaning the first is the
    answer. Labels of the model that no label of the set means follow as they are. A label without a meaning is left
    out.
    """
    index_of = {label: index for index, label in enumerate(labels)}
    meant = {label for ours in means.values() for label in ours}
    first: dict[tuple[str, ...], str] = {}
    for theirs, ours in means.items():
        if ours:
            first.setdefault(tuple(ours), theirs)
    answers = {theirs: [index_of[label] for label in ours] for ours, theirs in first.items()}
    columns = [probabilities[:, ours].sum(axis=1) for ours in answers.values()]
    others = [label for label in labels if label not in meant]
    columns += [probabilities[:, index_of[label]] for label in others]
    return [*answers, *others], np.stack(columns, axis=1)


def challenge_metrics(name: str, predictions: pl.DataFrame) -> dict[str, float]:
    """Measure predictions of a challenge set: `challenge/NAME/accuracy`, and for each group and label of it."""
    right = (predictions["label"] == predictions["predicted"]).to_numpy()
    parts = {f"challenge/{name}": np.ones(len(right), bool), **_parts(f"challenge/{name}", predictions)}
    return {
        f"{part}/{metric}": value
        for part, rows in parts.items()
        if rows.any()
        for metric, value in accuracy_metrics(right[rows]).items()
    }


def challenge_facts(predictions: pl.DataFrame, means: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Return how many examples have each label and how often each is predicted, the groups, and two kinds of labels.

    `never_predicted` are those that the model could say and does not, `unsayable` those that mean nothing to it.
    """
    given, predicted = (_counts(predictions[name]) for name in ("label", "predicted"))
    unsayable = sorted(label for label in given if not means[label])
    never = sorted(label for label in given if label not in predicted and label not in unsayable)
    groups = predictions[GROUP].unique().sort().to_list() if GROUP in predictions.columns else []
    return {
        "examples": predictions.height,
        "labels": given,
        "predicted": predicted,
        "groups": [group or NO_GROUP for group in groups],
        "never_predicted": never,
        "unsayable": unsayable,
    }


def _parts(prefix: str, predictions: pl.DataFrame) -> dict[str, Bools]:
    labels = {f"label/{label}": predictions["label"] == label for label in predictions["label"].unique().sort()}
    parts = dict(labels)
    if GROUP in predictions.columns:
        for group in predictions[GROUP].unique().sort():
            rows = predictions[GROUP] == group
            parts[group or NO_GROUP] = rows
            parts |= {f"{group or NO_GROUP}/{label}": rows & of_label for label, of_label in labels.items()}
    return {f"{prefix}/{part}": rows.to_numpy() for part, rows in parts.items()}


def _counts(values: pl.Series) -> dict[str, int]:
    return dict(sorted(values.value_counts().iter_rows()))
