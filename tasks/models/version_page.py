"""What the page of a version in MLflow's registry says: what the model is, and how it became champion."""

from mlflow.entities import Run

from nli_core.evaluation.headline import with_interval
from nli_core.filenames import CARD
from tasks.comparison.compare import Compared
from tasks.comparison.report import verdict
from tasks.settings import Settings
from tasks.tracking.runs import run_link
from tasks.tracking.tags import VERDICT_TAG


def version_markdown(
    settings: Settings, model: str, run: Run, before: str | None, compared: Compared | None, reason: str
) -> str:
    """Describe the version of a run that became champion after version `before`, or as the first."""
    params, tags = run.data.params, run.data.tags
    # Runs of earlier versions have the interval among their metrics.
    accuracy = tags.get("nli.test.accuracy") or with_interval(run.data.metrics, "test/accuracy")
    if micro_f1 := tags.get("nli.test.micro_f1"):
        accuracy = f"{accuracy}, micro-F1 {micro_f1}"
    requirements = tags.get(VERDICT_TAG, "nothing is required of it")
    if before is None:
        place = ""
    elif compared is None:
        place = f"Champion after version {before}, with which it could not be compared. "
    else:
        place = f"Champion after version {before}: {verdict(compared)}. "
    return "\n".join(
        [
            f"**Test accuracy {accuracy}** (95 % interval). {place}Reason: {reason}.",
            "",
            f"- Data: {params['corpus.name']}, from {tags['nli.corpus.source']} ({tags['nli.corpus.verified']})",
            f"- Encoder: {params['encoder.name']} ({tags['nli.encoder.verified']})",
            f"- Run: {run.info.run_name}, {run_link(settings, run).markdown}",
            f"- Model card: `{CARD}` beside the model; {requirements}",
            "",
            "```sh",
            f"nli predict --model {model}@champion --input rows.csv --output labels.csv",
            f"mlflow models serve --model-uri models:/{model}@champion --env-manager local",
            "```",
        ]
    )
