"""What a training's MLflow run holds besides curves: tags, parameters and data sets."""

import json
from collections.abc import Mapping
from typing import Any

from mlflow.entities import Dataset, DatasetInput, InputTag

from nli_core.data.corpus.layout import SPLITS
from nli_core.evaluation.headline import with_interval
from nli_core.run.config import RunConfig
from nli_core.run.plan import StageRequest
from nli_core.urls import without_password
from tasks.tracking.tags import EXAMPLES_TAG

_CONSTANTS = ("examples", "ece")
_ENDS = ("_low", "_high")  # of intervals
CHALLENGE = "challenge"
_AS_RECALL = "class/"
_OF_CLASS = ("precision/", "recall/", "f1/", "average_precision/")


def data_tags(request: StageRequest) -> dict[str, str]:
    """Return digests and sources of the files, and the keys of their stages."""
    corpus, encoder = request.upstream["corpus"], request.upstream["encoder"]
    return {
        "nli.key.corpus": corpus.key,
        "nli.key.encoder": encoder.key,
        "nli.key.pack": request.upstream["pack"].key,
        "nli.corpus.source": corpus.facts["source"],
        "nli.corpus.sha256": corpus.facts["sha256"] or corpus.digest("corpus/"),
        "nli.corpus.verified": _verified(corpus.facts),
        EXAMPLES_TAG: request.upstream["pack"].facts["examples_sha256"]["test"],
        "nli.encoder.sha256": encoder.facts["sha256"] or encoder.digest("encoder/"),
        "nli.encoder.verified": _verified(encoder.facts),
    }


def is_charted(metric: str) -> bool:
    """Return whether a metric is one in MLflow; the others are in `metrics.json`, and those of splits are tags."""
    split, _, name = metric.partition("/")
    if name.startswith(_OF_CLASS) or split == CHALLENGE:
        return True
    return not (name in _CONSTANTS or name.endswith(_ENDS) or name.startswith(_AS_RECALL))


def measured_tags(metrics: Mapping[str, float]) -> dict[str, str]:
    """Return what was measured and no chart needs: accuracies with intervals, ECE, and numbers of examples."""
    tags: dict[str, str] = {}
    for split in ("dev", "test"):
        for name in ("accuracy", "micro_f1"):
            if f"{split}/{name}" in metrics:
                tags[f"nli.{split}.{name}"] = with_interval(metrics, f"{split}/{name}")
        tags[f"nli.{split}.ece"] = f"{metrics[f'{split}/ece']:.4f}"
        tags[f"nli.{split}.examples"] = f"{metrics[f'{split}/examples']:.0f}"
    return tags


def _verified(origin: Mapping[str, Any]) -> str:
    return "verified" if origin["verified"] else "unverified"


def flat_config(config: RunConfig) -> dict[str, Any]:
    """Return every field by its dotted name, `finetune.learning_rate`; addresses lose their passwords."""
    sections = shown_config(config).items()
    return {f"{section}.{name}": value for section, fields in sections for name, value in fields.items()}


def shown_config(config: RunConfig) -> dict[str, dict[str, Any]]:
    """Return every field by section; addresses lose their passwords."""
    return {
        section: {name: without_password(value) if isinstance(value, str) else value for name, value in fields.items()}
        for section, fields in config.model_dump(mode="json").items()
    }


def datasets(request: StageRequest) -> list[DatasetInput]:
    """Return the splits, for MLflow's list of data sets."""
    corpus, packed = request.upstream["corpus"], request.upstream["pack"]
    facts = packed.facts["splits"]
    contexts = {"train": "training", "dev": "validation", "test": "testing"}
    return [
        DatasetInput(
            Dataset(
                name=f"{request.config.corpus.name}-{split}",
                digest=packed.digest(f"{split}-")[:16],
                source_type="local",
                source=json.dumps({"uri": corpus.facts["source"]}),
                profile=json.dumps({"num_rows": facts[split]["rows"], **facts[split]}),
            ),
            [InputTag("mlflow.data.context", contexts[split])],
        )
        for split in SPLITS
    ]
