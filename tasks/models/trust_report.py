"""The trust report of a run in MLflow: gathered from what its stages left there, and left there as page and card."""

import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import mlflow
from mlflow import MlflowClient

from nli_core.errors import UserError
from nli_core.evaluation.report.card import model_card
from nli_core.evaluation.report.page import report_html, report_markdown
from nli_core.evaluation.report.record import RunRecord
from nli_core.filenames import AUDIT, CARD, DETAILS, METRICS, REPORT
from nli_core.run.config import RunConfig, parse_config
from tasks.comparison.groups import Group, find_group, group_figures
from tasks.models.champion import standing
from tasks.settings import Settings
from tasks.tracking.client import mlflow_client
from tasks.tracking.log_model import log_to_model
from tasks.tracking.runs import REPEAT
from tasks.tracking.tags import REPORTED_TAG, STANDING_TAG, VERDICT_TAG, set_tags

_NEEDED = (METRICS, DETAILS, AUDIT, "data.json", "training.json", REPEAT)
_SOURCES = {
    "corpus": ("nli.corpus.source", "nli.corpus.verified", "nli.corpus.sha256"),
    "encoder": ("nli.encoder.verified", "nli.encoder.sha256"),
    "test set": ("nli.test_examples.sha256",),
}
_LIMITS = (
    "Test was drawn like train: accuracy on other text may be lower, as on the challenge sets.",
    "A probability is calibrated for text like dev, and for no other.",
)


def publish_trust_report(settings: Settings, run_id: str, key: str) -> str:
    """Compare a run with its champion, leave report and model card in it, and return the report in short.

    `key` is that of the evaluation.
    """
    with mlflow_client(settings) as client:
        run = client.get_run(run_id)
        group = Group(run, [run])
        sentence = _standing_of(settings, group)
        set_tags(client, run_id, {STANDING_TAG: sentence})
        record = _record(client, group, sentence)
        client.log_text(run_id, report_html([record]), REPORT)
        card = model_card(record)
        client.log_text(run_id, card, CARD)
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / CARD
            path.write_text(card, encoding="utf-8")
            log_to_model(client, run_id, path)
        set_tags(client, run_id, {REPORTED_TAG: key})
    return report_markdown(record)


def publish_group_report(settings: Settings, parent: str) -> None:
    """Leave the report of a group of seeds in its parent: that of the best on dev, with figures over seeds."""
    with mlflow_client(settings) as client:
        group = find_group(client, settings, parent)
        client.log_text(parent, report_html([_record(client, group, _standing_of(settings, group))]), REPORT)


def read_standing(settings: Settings, run_id: str) -> str:
    """Return how a run compares to its champion, as it was when it was evaluated."""
    with mlflow_client(settings) as client:
        return str(client.get_run(run_id).data.tags.get(STANDING_TAG, ""))


def report_of(settings: Settings, names: Sequence[str]) -> str:
    """Render the reports of runs, or of groups of seeds, as one page.

    Raises:
        UserError: there is no such run, or an earlier version evaluated it.
    """
    with mlflow_client(settings) as client:
        groups = [find_group(client, settings, name) for name in names]
        return report_html([_record(client, group, _standing_of(settings, group)) for group in groups])


def _record(client: MlflowClient, group: Group, sentence: str) -> RunRecord:
    """Gather all of a group's best run on dev, and the figures over seeds if it has several."""
    run = group.runs[0]
    run_id, tags = run.info.run_id, run.data.tags
    there = {file.path for file in client.list_artifacts(run_id)}
    if missing := [name for name in _NEEDED if name not in there]:
        raise UserError(f"{run_id}: has no {missing[0]}; `nli run --from-mlflow {run_id}` evaluates it again")
    metrics, details, audit, data, training, repeat = (_read(run_id, name) for name in _NEEDED)
    config = parse_config(repeat["config"])
    return RunRecord(
        run_id=run_id,
        name=group.name,
        recipe=str(repeat["recipe"]),
        created=f"{datetime.fromtimestamp(run.info.start_time / 1000, UTC):%Y-%m-%d %H:%M} UTC",
        config=repeat["config"],
        made_with=repeat["made_with"],
        metrics=metrics,
        details=details,
        audit=audit,
        data=data,
        training=training,
        sources={name: _named(tags, wanted) for name, wanted in _SOURCES.items()},
        notes=_notes(config),
        licences=_licences(config),
        verdict=tags.get(VERDICT_TAG),
        standing=sentence,
        seeds=None if group.is_single else group_figures(client, group),
    )


def _standing_of(settings: Settings, group: Group) -> str:
    try:
        return standing(settings, group.runs[0].info.run_id)
    except UserError as error:  # the run itself is complete
        return f"not compared with the champion: {error}"


def _read(run_id: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = mlflow.artifacts.load_dict(f"runs:/{run_id}/{name}")
    return found


def _named(tags: Mapping[str, str], wanted: Sequence[str]) -> str:
    return ", ".join(tags[name] for name in wanted if name in tags)


def _notes(config: RunConfig) -> list[str]:
    unknown = "What the encoder was pretrained on is not known here."
    return [f"Contamination: {config.encoder.seen}." if config.encoder.seen else unknown, *_LIMITS]


def _licences(config: RunConfig) -> dict[str, str]:
    return {each.name: each.licence or "not known here" for each in (config.corpus, config.encoder)}
