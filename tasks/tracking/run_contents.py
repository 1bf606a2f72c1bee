"""What a training's MLflow run holds besides curves: tags, parameters, data facts and data sets."""

import time
from collections.abc import Mapping
from typing import Any

from mlflow.entities import Dataset, DatasetInput, InputTag, Metric

from nli_core.data.corpus.layout import SPLITS
from nli_core.run.config import RunConfig
from nli_core.run.plan import StageRequest
from nli_core.urls import without_password
from tasks.tracking.metric_names import metric_names
from tasks.tracking.tags import EXAMPLES_TAG


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


def data_metrics(request: StageRequest) -> list[Metric]:
    """Return the facts of packing as metrics, so that runs can be compared and charted by them."""
    facts, now = request.upstream["pack"].facts, int(time.time() * 1000)
    values: dict[str, float] = {}
    for split, known in facts["splits"].items():
        for name in ("rows", "tokens", "truncated_examples", "truncated_tokens"):
            values[f"pack/{split}/{name}"] = known[name]
        values |= {f"pack/{split}/length_p{share}": length for share, length in known["length_percentiles"].items()}
        values |= {f"pack/{split}/label/{label}": count for label, count in known["labels"].items()}
        values |= {f"pack/{split}/dropped/{reason}": count for reason, count in known["dropped"].items()}
    for split, count in facts["examples_in_earlier_split"].items():
        values[f"pack/{split}/examples_in_earlier_split"] = count
    names = metric_names(values)
    return [Metric(names[name], float(value), now, 0) for name, value in values.items()]


def datasets(request: StageRequest) -> list[DatasetInput]:
    """Return the splits, for MLflow's list of data sets."""
    corpus, packed = request.upstream["corpus"], request.upstream["pack"]
    contexts = {"train": "training", "dev": "validation", "test": "testing"}
    return [
        DatasetInput(
            Dataset(
                name=f"{request.config.corpus.name}-{split}",
                digest=packed.digest(f"{split}-")[:16],
                source_type="local",
                source=f'{{"uri": "{corpus.facts["source"]}"}}',
                profile=f'{{"num_rows": {packed.facts["splits"][split]["rows"]}}}',
            ),
            [InputTag("mlflow.data.context", contexts[split])],
        )
        for split in SPLITS
    ]
