"""`nli compare` on runs that were really trained and tracked."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from flows.compare import compare
from flows.pipeline import RunSummary


@pytest.fixture
def two_rates(finished_run: RunSummary, run_pipeline: Callable[..., RunSummary]) -> list[str]:
    """The ids of two runs that differ in the learning rate alone."""
    other = run_pipeline(finetune={"learning_rate": 1e-2})
    return [str(run.mlflow_run_id) for run in (finished_run, other)]


def test_two_runs_side_by_side(
    two_rates: list[str], nli_here: Callable[..., Any], workplace: Path, run_pipeline: Callable[..., RunSummary]
) -> None:
    done = nli_here("compare", *(run_id[:12] for run_id in two_rates), "--report", "report.html", "--json")
    assert done.returncode == 0, done.stderr
    (other,) = json.loads(done.stdout)["others"]
    assert [row[0] for row in other["differs"]["parameters"]] == ["finetune.learning_rate"]
    assert other["differs"]["data"] == other["differs"]["code"] == []
    client = MlflowClient(f"sqlite:///{workplace / 'mlflow.db'}")
    first, second = (client.get_run(run_id).data.metrics for run_id in two_rates)
    everything = other["parts"][0]
    assert everything["first"]["value"] == pytest.approx(first["test/accuracy"])
    assert everything["second"]["value"] == pytest.approx(second["test/accuracy"])
    assert len(other["changed"]) == everything["paired"]["only_first"] + everything["paired"]["only_second"] > 0
    assert {part["name"] for part in other["parts"]} >= {"all", "label entailment", "label neutral"}

    shown = nli_here("compare", *two_rates)
    assert "finetune.learning_rate" in shown.stdout
    assert shown.stdout.splitlines()[0].split()[:2] == ["run", "test"]
    assert re.search(r"B alone gets (right|wrong), for example:", shown.stdout)
    assert {each["premise"] for each in other["changed"]} <= _premises(workplace)  # as the files have them
    page = (workplace / "report.html").read_text()
    assert "<td>finetune.learning_rate</td>" in page
    assert page.index("data:image/png;base64,") < page.index("finetune.learning_rate")
    assert page.count("<figcaption>") == 6  # three figures of two runs

    told = compare(two_rates)
    assert told["others"][0]["parts"] == other["parts"]
    (report,) = client.list_artifacts(two_rates[1], "comparisons")
    assert report.path == f"comparisons/{two_rates[0]}.html"

    elsewhere = run_pipeline(corpus={"name": "sample", "pairs": 360, "seed": 1}).mlflow_run_id
    refused = nli_here("compare", two_rates[0], str(elsewhere))
    assert refused.returncode == 2
    assert "were tested on different examples" in refused.stderr.splitlines()[-1]


def _premises(workplace: Path) -> set[str]:
    (test,) = workplace.glob("store/corpus/*/corpus/test.jsonl")
    return {json.loads(line)["premise"] for line in test.read_text().splitlines()}


def test_what_cannot_be_compared_is_one_line(nli_here: Callable[..., Any]) -> None:
    for arguments, message in (
        (["0123abcd"], "name two runs at least"),
        (["0123abcd", "4567abcd"], "0123abcd: no run of this id"),
        (["0123abcd", "4567abcd", "--report", "report.pdf"], "ends in .html or .md"),
    ):
        refused = nli_here("compare", *arguments)
        assert refused.returncode == 2
        (line,) = refused.stderr.splitlines()
        assert message in line
