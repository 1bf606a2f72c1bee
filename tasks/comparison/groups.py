"""Groups of runs that differ in the seed alone: what `nli run --seeds` and a sweep's chosen values leave in MLflow."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import mlflow
import numpy as np
from mlflow import MlflowClient
from mlflow.entities import Run

from nli_core.arrays import Bools
from nli_core.errors import UserError
from nli_core.evaluation.seeds import (
    GroupDifference,
    SeedSummary,
    compare_groups,
    summarize_seeds,
    summarize_values,
)
from nli_core.evaluation.significance import SIGNIFICANT, holm
from nli_core.evaluation.slices import audited
from nli_core.filenames import DETAILS, challenge_name, predictions_name
from tasks.comparison.compare import read_artifact_table, refuse_other_examples
from tasks.comparison.report import p_text
from tasks.settings import Settings
from tasks.tracking.client import mlflow_client
from tasks.tracking.runs import all_runs, find_run
from tasks.tracking.sweep_run import RESULT
from tasks.tracking.tags import SWEEP_TAG

_OVER_SEEDS = (
    "test/micro_f1",
    "test/macro_f1",
    "test/loss",
    "test/calibrated/ece",
    "test/calibrated/nll",
    "calibration/temperature",
)


@dataclass(frozen=True)
class Group:
    """Runs with one config and different seeds, the best on dev first. A single run is a group of one.

    `run` is the parent of the seeds in MLflow, or the single run.
    """

    run: Run
    runs: list[Run]

    @property
    def name(self) -> str:
        """The name of the group and the prefix of its id."""
        return f"{self.run.info.run_name} {self.run.info.run_id[:8]}"

    @property
    def is_single(self) -> bool:
        """Whether it is one run alone."""
        return len(self.runs) == 1


@dataclass(frozen=True)
class ComparedGroup:
    """A group beside the first one; `p_value` is corrected for the number of groups (Holm)."""

    group: Group
    difference: GroupDifference
    p_value: float

    @property
    def verdict(self) -> str:
        """One sentence: which is better, by how much, and what could have been shown at all."""
        found = self.difference
        which = "better" if found.difference > 0 else "worse"
        shown = which if self.p_value < SIGNIFICANT else "no difference shown"
        chance = p_text(self.p_value)
        equals = "" if chance.startswith("<") else "= "
        points = f"{found.difference * 100:+.2f} [{found.low * 100:+.2f}, {found.high * 100:+.2f}] points"
        seeds = f"{found.first.seeds} and {found.second.seeds} seeds and {found.examples:,} examples"
        could = f"with {seeds} a difference below {found.detectable * 100:.2f} points would hardly show"
        return f"{could}; {shown}: {points}, p {equals}{chance}"


def is_group(settings: Settings, name: str) -> bool:
    """Return whether this id, or prefix of one, is of a sweep or of a run with several seeds."""
    with mlflow_client(settings) as client:
        return any(SWEEP_TAG in run.data.tags for run in all_runs(client) if run.info.run_id.startswith(name))


def find_group(client: MlflowClient, settings: Settings, name: str) -> Group:
    """Find a group by the id, or a prefix, of its parent; or of a run, which is a group of one.

    Raises:
        UserError: there is no such run, or its sweep has no result.
    """
    parents = [run for run in all_runs(client) if run.info.run_id.startswith(name) and SWEEP_TAG in run.data.tags]
    if not name or len(parents) != 1:
        run = find_run(client, settings, name)
        return Group(run, [run])
    (parent,) = parents
    if RESULT not in {file.path for file in client.list_artifacts(parent.info.run_id)}:
        raise UserError(f"{parent.info.run_id}: no run of this sweep has finished; rerun it to resume")
    chosen = mlflow.artifacts.load_dict(f"runs:/{parent.info.run_id}/{RESULT}").get("chosen")
    if not chosen:
        raise UserError(f"{parent.info.run_id}: the sweep is of an earlier version; rerun it, its runs are cached")
    runs = [find_run(client, settings, run_id) for run_id in chosen]
    return Group(parent, sorted(runs, key=lambda run: -run.data.metrics["dev/accuracy"]))


def compare_run_groups(
    settings: Settings, names: Sequence[str], part: str = "test"
) -> tuple[Group, list[ComparedGroup]]:
    """Compare each group with the first, on test or on the `part` of it that only promotion reads.

    Raises:
        UserError: fewer than two are named, there is no such group, or test sets are not the same.
    """
    if len(names) < 2:
        raise UserError("compare: name two groups at least; `nli run --seeds` ends with the id of its own")
    with mlflow_client(settings) as client:
        groups = [find_group(client, settings, name) for name in names]
        runs = [run.info.run_id for group in groups for run in group.runs]
        if twice := {run for run in runs if runs.count(run) > 1}:
            raise UserError(f"compare: {min(twice)} is in two of the groups; a run does not differ from itself")
        for group in groups[1:]:
            refuse_other_examples(groups[0].runs[0], group.runs[0])
        everyone = [run for group in groups for run in group.runs]
        right = iter(_right(client, everyone, predictions_name(part)))
        first, *others = [np.stack([next(right) for _ in group.runs]) for group in groups]
    differences = [compare_groups(first, other) for other in others]
    corrected = holm([difference.p_value for difference in differences])
    return groups[0], [ComparedGroup(*each) for each in zip(groups[1:], differences, corrected, strict=True)]


def group_figures(client: MlflowClient, group: Group) -> dict[str, SeedSummary]:
    """Summarize a group: accuracies and flip rates over seeds and examples, loss and calibration over seeds."""
    right = _right(client, group.runs, predictions_name("test"))
    figures = {"test/accuracy": summarize_seeds(right)}
    table = read_artifact_table(client, group.runs[0], f"predictions/{predictions_name('test')}").sort("id")
    for name, rows in audited(table).items():
        if rows.sum() > 1:
            figures[f"test/{name}/accuracy"] = summarize_seeds(right[:, rows])
    for name in _shared_challenges(group.runs):
        figures[f"challenge/{name}/accuracy"] = summarize_seeds(_right(client, group.runs, challenge_name(name)))
    figures |= _flip_rates(group)
    for name in _OVER_SEEDS:
        if all(name in run.data.metrics for run in group.runs):
            most = 1.0 if name.endswith(("ece", "f1")) else math.inf
            figures[name] = summarize_values([run.data.metrics[name] for run in group.runs], most=most)
    return figures


def _flip_rates(group: Group) -> dict[str, SeedSummary]:
    """Summarize the flip rate of each change over seeds and the examples that were changed for all."""
    of_runs = []
    for run in group.runs:
        details = mlflow.artifacts.load_dict(f"runs:/{run.info.run_id}/{DETAILS}")
        flips = {each["name"]: each["flips"] for each in details["behaviour"]}
        of_runs.append({name: np.array([flip == "1" for flip in marks]) for name, marks in flips.items()})
    return {
        f"behaviour/{name}/flip_rate": summarize_seeds(np.stack([each[name] for each in of_runs]))
        for name, flips in of_runs[0].items()
        if len(flips) > 1 and all(name in each and len(each[name]) == len(flips) for each in of_runs)
    }


def _shared_challenges(runs: Sequence[Run]) -> list[str]:
    """Return the names of the challenge sets that all runs were measured on."""
    of_runs = [{name.split("/")[1] for name in run.data.metrics if name.startswith("challenge/")} for run in runs]
    return sorted(set.intersection(*of_runs))


def _right(client: MlflowClient, runs: Sequence[Run], file: str) -> Bools:
    """Return which answers of runs on the same examples are right [runs, examples], by the examples' ids.

    Raises:
        UserError: a run was not evaluated, or on other examples.
    """
    tables = [read_artifact_table(client, run, f"predictions/{file}").sort("id") for run in runs]
    for run, table in zip(runs, tables, strict=True):
        if not table["id"].equals(tables[0]["id"]):
            raise UserError(f"{run.info.run_id}: has predictions for other examples; evaluate all on one test set")
    return np.stack([(table["label"] == table["predicted"]).to_numpy() for table in tables])


def figure_rows(figures: dict[str, SeedSummary]) -> list[tuple[str, ...]]:
    """Return a row for each figure: its name, mean with interval, least and largest value."""
    return [
        (name, f"{each.mean:.4f} [{each.low:.4f}, {each.high:.4f}]", f"{each.least:.4f}", f"{each.most:.4f}")
        for name, each in figures.items()
    ]


FIGURES_HEADER = ("figure", "mean [95 % interval]", "least", "most")
GROUPS_HEADER = ("group", "seeds", "test accuracy [95 % interval]", "least", "most", "against the first")


def group_rows(first: Group, compared: Sequence[ComparedGroup]) -> list[tuple[str, ...]]:
    """Return a row for each group."""
    rows = [(first, compared[0].difference.first, "")]
    rows += [
        (each.group, each.difference.second, f"{each.difference.difference * 100:+.2f} points") for each in compared
    ]
    return [
        (
            group.name,
            str(each.seeds),
            f"{each.mean:.4f} [{each.low:.4f}, {each.high:.4f}]",
            f"{each.least:.4f}",
            f"{each.most:.4f}",
            against,
        )
        for group, each, against in rows
    ]
