"""Runs of MLflow side by side: what was asked for, what it was made from, and how they do on the same test examples."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import polars as pl
from mlflow import MlflowClient
from mlflow.entities import Run

from nli_core.errors import UserError, reason_of
from nli_core.evaluation.comparison import Comparison, compare
from nli_core.evaluation.significance import holm
from nli_core.filenames import FIGURES, GATE, predictions_name
from tasks.runtime.provenance import differences
from tasks.settings import Settings
from tasks.tracking.client import mlflow_client
from tasks.tracking.runs import find_run, read_repeat
from tasks.tracking.tags import EXAMPLES_TAG, GATE_TAG

_DATA_TAGS = ("nli.corpus.source", "nli.corpus.sha256", "nli.encoder.sha256")
_FIGURES = ("learning_curves", "confusion_test", "f1_test")
_SECTIONS = ("corpus.", "encoder.", "pack.", "finetune.", "evaluate.")


@dataclass(frozen=True)
class Compared:
    """A run beside the first one: each difference as (name, first, this), and the paired comparison.

    `p_value` is that of McNemar's test over all examples, corrected for the number of runs (Holm).
    """

    run: Run
    parameters: list[tuple[str, str, str]]
    data: list[tuple[str, str, str]]
    code: list[tuple[str, str, str]]
    comparison: Comparison
    p_value: float


def compare_runs(settings: Settings, names: Sequence[str], part: str = "test") -> tuple[Run, list[Compared]]:
    """Compare each run with the first on test, or on the `part` of it that only promotion reads.

    Runs are named by their ids, or by prefixes of these.

    Raises:
        UserError: fewer than two are named, there is no such run, it was not evaluated, or test sets are not the same.
    """
    if len(names) < 2:
        raise UserError("compare: name two runs at least; `make ui` lists them, `nli run` ends with the id of its own")
    with mlflow_client(settings) as client:
        runs = [find_run(client, settings, name) for name in names]
        if len({run.info.run_id for run in runs}) < len(runs):
            raise UserError("compare: a run is named twice; it does not differ from itself")
        for run in runs[1:]:
            refuse_other_examples(runs[0], run)
        predictions = [read_predictions(client, run, part) for run in runs]
        surroundings = [read_repeat(settings, run.info.run_id)["made_with"] for run in runs]
    first = runs[0]
    comparisons = [compare(predictions[0], other) for other in predictions[1:]]
    corrected = holm([comparison.parts[0].paired.p_value for comparison in comparisons])
    return first, [
        Compared(
            run=run,
            parameters=differences(_parameters(first), _parameters(run)),
            data=differences(_chosen(first.data.tags, _DATA_TAGS), _chosen(run.data.tags, _DATA_TAGS)),
            code=differences(surroundings[0], made_with),
            comparison=comparison,
            p_value=p_value,
        )
        for run, made_with, comparison, p_value in zip(runs[1:], surroundings[1:], comparisons, corrected, strict=True)
    ]


def read_figures(settings: Settings, runs: Sequence[Run]) -> dict[str, dict[str, bytes]]:
    """Read what a comparison shows of each run beside the other's: figures by their names, by the run's id."""
    found: dict[str, dict[str, bytes]] = {}
    with mlflow_client(settings) as client, tempfile.TemporaryDirectory() as scratch:
        for run in runs:
            run_id = run.info.run_id
            there = {file.path for file in client.list_artifacts(run_id, FIGURES)}
            paths = {name: f"{FIGURES}/{name}.png" for name in _FIGURES if f"{FIGURES}/{name}.png" in there}
            found[run_id] = {
                name: Path(mlflow.artifacts.download_artifacts(f"runs:/{run_id}/{path}", dst_path=scratch)).read_bytes()
                for name, path in paths.items()
            }
    return found


def report_name(first: Run) -> str:
    """Return the name of the artifact with the comparison with a run."""
    return f"comparisons/{first.info.run_id}.html"


def deciding_part(run: Run) -> str:
    """Return what promotion reads of a run: the part of test that evaluate set aside, or else test."""
    return GATE if int(run.data.tags.get(GATE_TAG, "0")) else "test"


def read_predictions(client: MlflowClient, run: Run, part: str = "test") -> pl.DataFrame:
    """Read what a run's model predicts for test, or for the part that was set aside, as evaluate left it.

    Raises:
        UserError: the run was not evaluated, or the file is damaged.
    """
    return read_artifact_table(client, run, f"predictions/{predictions_name(part)}")


def read_artifact_table(client: MlflowClient, run: Run, name: str) -> pl.DataFrame:
    """Read a Parquet file that evaluate left in a run.

    Raises:
        UserError: the run was not evaluated, or the file is damaged.
    """
    if name not in {file.path for file in client.list_artifacts(run.info.run_id, Path(name).parent.name)}:
        raise UserError(f"{run.info.run_id}: has no {name}; `nli run --from-mlflow` evaluates it")
    with tempfile.TemporaryDirectory() as scratch:
        path = mlflow.artifacts.download_artifacts(f"runs:/{run.info.run_id}/{name}", dst_path=scratch)
        try:
            return pl.read_parquet(Path(path))
        except pl.exceptions.PolarsError as error:
            raise UserError(f"{run.info.run_id}: its {name} cannot be read ({reason_of(error)})") from None


def refuse_other_examples(first: Run, run: Run) -> None:
    """Raise UserError unless two runs were tested on the same texts and labels."""
    digests = []
    for known in (first, run):
        if EXAMPLES_TAG not in known.data.tags:
            raise UserError(
                f"{known.info.run_id}: does not say which examples it was tested on, and is {known.info.status}; name "
                "a run of the pipeline that came to its end"
            )
        digests.append(known.data.tags[EXAMPLES_TAG])
    kinds = [known.data.params.get("corpus.multi_label", "False") for known in (first, run)]
    if kinds[0] != kinds[1]:
        multi = (first if kinds[0] == "True" else run).info.run_id
        raise UserError(f"{multi}: is multi-label, and the other run is not; compare runs of one kind")
    if digests[0] != digests[1]:
        raise UserError(
            f"{first.info.run_id} and {run.info.run_id} were tested on different examples (their digests are "
            f"{digests[0][:12]} and {digests[1][:12]}): a comparison would say nothing; evaluate both on one test set"
        )


def _parameters(run: Run) -> dict[str, str]:
    return {name: value for name, value in sorted(run.data.params.items()) if name.startswith(_SECTIONS)}


def _chosen(tags: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name.removeprefix("nli."): tags.get(name) for name in names}
