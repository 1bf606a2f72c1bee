"""The model registry: the alias `champion`, which moves only to a better model.

Tags of each version record why it was promoted, and whether it was rolled back or restored; its description is its page
in MLflow. A tag of the model lists the earlier champions, for rollback.
"""

import json
from contextlib import AbstractContextManager, redirect_stderr
from dataclasses import dataclass
from datetime import UTC, datetime
from io import StringIO

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from nli_core.download.corpora.registry import published_corpora
from nli_core.errors import UserError
from nli_core.evaluation.promotion_rules import Margins, failed_checks, failed_group_checks
from tasks.comparison.compare import Compared, compare_runs, deciding_part, read_predictions, report_name
from tasks.comparison.groups import Group, compare_run_groups, find_group
from tasks.comparison.page import publish_report
from tasks.comparison.report import verdict
from tasks.models.decisions import count_decision, ordinal
from tasks.models.names import CHAMPION, check_model_name
from tasks.models.version_page import version_markdown
from tasks.settings import Settings
from tasks.tracking.client import mlflow_client, says_missing
from tasks.tracking.runs import run_link
from tasks.tracking.tags import MODEL_NAME, VERDICT_TAG

_PAST_TAG = "nli.past_champions"
_REASON_TAG = "nli.promotion"
_ROLLED_BACK_TAG = "nli.rolled_back"
_GROUP_TAG = "nli.group"  # the seeds that the version was chosen from, on dev
_RESTORED_TAG = "nli.restored"
_CORPUS = "corpus.name"


@dataclass(frozen=True)
class Promotion:
    """The result of an attempt: the model's name, the version that is champion now, and the checks that the run failed.

    `compared` is the comparison with the champion until then, if there was one. `decision` counts the comparisons on
    these test examples that decided, this one included: each wears them out.
    """

    model: str
    champion: str | None
    promoted: bool
    failed: list[str]
    compared: Compared | None = None
    decision: int | None = None

    @property
    def sentence(self) -> str:
        """The result in a sentence."""
        counted = f" ({self.counted})" if self.decision else ""
        if self.promoted:
            return f"{self.model}: version {self.champion} is champion now (models:/{self.model}@{CHAMPION}){counted}"
        return f"{self.stays}; {self.failed[0]}{counted}"

    @property
    def stays(self) -> str:
        """Which champion stays, if any, after an attempt that failed."""
        which = f"version {self.champion} stays champion" if self.champion else "no run became champion"
        return f"{self.model}: {which}"

    @property
    def counted(self) -> str:
        """How often the test set has decided."""
        return f"{ordinal(self.decision or 0)} decision on this test set"


def promote(settings: Settings, run_name: str, *, model: str | None, reason: str | None, margins: Margins) -> Promotion:
    """Make the run's model champion if it passes all checks against the current one; with a reason, in any case.

    Of a group of seeds the best on dev becomes champion, and all of them are compared.

    `model` is the name in the registry; without one, that of the run's corpus: `nli-snli`.

    Raises:
        UserError: there is no such run, it was not evaluated, or no model can have this name.
    """
    if model is not None:
        check_model_name(model)
    with _lock(settings):
        return _promote(settings, run_name, model, reason, margins)


def _promote(settings: Settings, run_name: str, model: str | None, reason: str | None, margins: Margins) -> Promotion:
    with mlflow_client(settings) as client:
        group = find_group(client, settings, run_name)
        run = group.runs[0]
        read_predictions(client, run)
        name = model or _name_of(run)
        before = _champion(client, name)
        part = deciding_part(run)
    compared, decision, failed = None, None, missed_by(group)
    if before is not None:
        if before.run_id in {each.info.run_id for each in group.runs}:
            return Promotion(name, str(before.version), promoted=False, failed=["it is champion already"])
        try:
            baseline = before.tags.get(_GROUP_TAG, str(before.run_id))
            if group.is_single and _GROUP_TAG not in before.tags:
                first, (compared,) = compare_runs(settings, [baseline, run.info.run_id], part)
                publish_report(settings, first, [compared])
                failed += failed_checks(compared.comparison, margins)
            else:
                _, (of_seeds,) = compare_run_groups(settings, [baseline, group.run.info.run_id], part)
                failed += failed_group_checks(of_seeds.difference)
            decision = count_decision(settings, name, run, part)
        except UserError as error:
            failed.append(str(error))
    if failed and reason is None:
        champion = str(before.version) if before else None
        return Promotion(name, champion, promoted=False, failed=failed, compared=compared, decision=decision)
    with mlflow_client(settings) as client:
        version = _version_of(client, name, run.info.run_id)
        if before is not None:
            _remember(client, name, [*_past(client, name), str(before.version)])
        why = reason or ("passed all checks" if before else "the first champion")
        client.set_model_version_tag(name, version.version, _REASON_TAG, why)
        if not group.is_single:
            client.set_model_version_tag(name, version.version, _GROUP_TAG, group.run.info.run_id)
        page = version_markdown(settings, name, run, str(before.version) if before else None, compared, why)
        client.update_model_version(name, version.version, description=page)
        client.set_registered_model_alias(name, CHAMPION, version.version)
    now = str(version.version)
    return Promotion(name, now, promoted=True, failed=failed, compared=compared, decision=decision)


def missed_by(group: Group) -> list[str]:
    """Return the verdict of each run that does not meet its requirements."""
    return [f"the run {run.info.run_id[:8]} {run.data.tags[VERDICT_TAG]}" for run in group.runs if _misses(run)]


def _misses(run: Run) -> bool:
    return str(run.data.tags.get(VERDICT_TAG, "")).startswith("does not")


def roll_back(settings: Settings, model: str) -> tuple[str, str]:
    """Give the alias back to the previous champion; return the versions before and now.

    Raises:
        UserError: there is no champion, or it is the first one.
    """
    with _lock(settings), mlflow_client(settings) as client:
        champion = _champion(client, model)
        if champion is None:
            registry = f"the registry of {settings.shown_tracking_uri}"
            raise UserError(f"{model}: has no champion in {registry}; make one with `nli promote RUN_ID`")
        past = _past(client, model)
        if not past:
            first = f"{model}: version {champion.version} was the first champion"
            raise UserError(f"{first}; promote another run with `nli promote RUN_ID`")
        client.set_registered_model_alias(model, CHAMPION, past[-1])
        _remember(client, model, past[:-1])
        now = datetime.now(UTC).isoformat(timespec="seconds")
        client.set_model_version_tag(model, champion.version, _ROLLED_BACK_TAG, f"to version {past[-1]}, {now}")
        client.set_model_version_tag(model, past[-1], _RESTORED_TAG, f"after version {champion.version}, {now}")
    return str(champion.version), past[-1]


def standing(settings: Settings, run_id: str) -> str:
    """Compare a run with the champion of its corpus, in a sentence with links; leave the comparison in the run.

    Raises:
        UserError: the two cannot be compared.
    """
    with mlflow_client(settings) as client:
        run = client.get_run(run_id)
        if run.data.params.get(_CORPUS) not in published_corpora():
            return "this corpus has no name, and so no champion"
        name = _name_of(run)
        champion = _champion(client, name)
    if champion is None and _misses(run):
        return f"{name} has no champion yet, and this run cannot become one: it does not meet its requirements"
    if champion is None:
        return f"{name} has no champion yet; run `nli promote {run_id[:8]}` to make this run one"
    if champion.run_id == run_id:
        return f"{name}: this is the champion, version {champion.version}"
    first, (compared,) = compare_runs(settings, [str(champion.run_id), run_id])
    publish_report(settings, first, [compared])
    pages = (run_link(settings, first).address, run_link(settings, compared.run, report_name(first)).address)
    links = f" ([champion]({pages[0]}), [comparison]({pages[1]}))" if all(pages) else ""
    return f"against the champion of {name}, version {champion.version}: {verdict(compared)}{links}"


def _lock(settings: Settings) -> AbstractContextManager[None]:
    """Lock the registry, so that one process at a time changes a champion."""
    return settings.store.lock("promotion", "promote: waiting for another promotion")


def _name_of(run: Run) -> str:
    corpus = run.data.params.get(_CORPUS)
    if corpus not in published_corpora():
        raise UserError(f"{run.info.run_id}: name the model with --model NAME; its corpus has no name")
    return f"nli-{corpus}"


def _past(client: MlflowClient, name: str) -> list[str]:
    """Return the versions that were champion before the present one, oldest first."""
    past: list[str] = json.loads(client.get_registered_model(name).tags.get(_PAST_TAG, "[]"))
    return past


def _remember(client: MlflowClient, name: str, past: list[str]) -> None:
    client.set_registered_model_tag(name, _PAST_TAG, json.dumps(past))


def _champion(client: MlflowClient, name: str) -> ModelVersion | None:
    try:
        return client.get_model_version_by_alias(name, CHAMPION)
    except MlflowException as error:
        if says_missing(error):
            return None
        raise


def _version_of(client: MlflowClient, name: str, run_id: str) -> ModelVersion:
    """Return the registered version of a run's model; register it if it is not there yet."""
    for version in client.search_model_versions(f"name = '{name}'"):
        if version.run_id == run_id:
            return version
    with redirect_stderr(StringIO()):  # MLflow prints what the command prints itself
        return mlflow.register_model(f"runs:/{run_id}/{MODEL_NAME}", name)
