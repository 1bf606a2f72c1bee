"""The champion of a real registry."""

import json
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from mlflow import MlflowClient

from flows.pipeline import RunSummary
from flows.predict import predict
from nli_core.errors import UserError
from nli_core.evaluation.promotion_rules import Margins
from tasks.models.champion import promote, roll_back
from tasks.settings import Settings


@pytest.mark.slow
def test_the_alias_moves_to_a_better_model_only_and_goes_back(
    finished_run: RunSummary, run_pipeline: Callable[..., RunSummary], nli_here: Callable[..., Any], workplace: Path
) -> None:
    corpus = {"name": "sample", "pairs": 900}
    untrained, trained, other = (
        str(run_pipeline(corpus=corpus, finetune={"learning_rate": rate, "epochs": epochs, "seed": seed}).mlflow_run_id)
        for rate, epochs, seed in ((1e-6, 1, 0), (3e-3, 12, 0), (1e-6, 1, 1))
    )
    settings, client = Settings.from_environment(), MlflowClient(f"sqlite:///{workplace / 'mlflow.db'}")
    attempt = partial(promote, settings, model=None, reason=None, margins=Margins(part_points=100, calibration=1))

    def champion() -> tuple[str | None, dict[str, str]]:
        version = client.get_model_version_by_alias("nli-sample", "champion")
        return version.run_id, version.tags

    first = nli_here("promote", untrained)
    assert first.returncode == 0, first.stderr
    assert "models:/nli-sample@champion" in first.stdout
    assert champion() == (untrained, {"nli.promotion": "the first champion"})
    assert attempt(untrained).failed == ["it is champion already"]

    assert "were tested on different examples" in attempt(str(finished_run.mlflow_run_id)).failed[0]

    assert attempt(trained[:10]).promoted
    assert champion() == (trained, {"nli.promotion": "passed all checks"})
    page = str(client.get_model_version("nli-sample", "2").description)
    assert "Champion after version 1: better: +" in page
    assert "**Test accuracy 0." in page
    assert "nli predict --model nli-sample@champion" in page

    told = nli_here("predict", "--premise", "a girl is here", "--hypothesis", "a child is here")
    assert told.returncode == 0, told.stderr
    assert "█" in told.stdout
    assert {line.split()[0] for line in told.stdout.splitlines()} == {"entailment", "contradiction", "neutral"}
    (workplace / "pairs.csv").write_text("premise,hypothesis\na girl is here,a child is here\n")
    files = ["--input", "pairs.csv", "--output", "labels.parquet"]
    assert nli_here("predict", "--model", "nli-sample@champion", *files).returncode == 0
    (row,) = pl.read_parquet(workplace / "labels.parquet").to_dicts()
    told_json = nli_here("predict", "--premise", "a girl is here", "--hypothesis", "a child is here", "--json").stdout
    assert json.loads(told_json)["probabilities"]["neutral"] == pytest.approx(row["probability/neutral"], abs=1e-2)
    single = nli_here("predict", "--premise", "a girl is here")
    assert (single.returncode, "for pairs: give a hypothesis too" in single.stderr) == (2, True)

    source, target = str(workplace / "pairs.csv"), str(workplace / "by-flow.parquet")
    assert predict(source, target) == {"rows": 1, "kept_rows": 0}
    assert pl.read_parquet(target).equals(pl.read_parquet(workplace / "labels.parquet"))
    shown = {line.split()[0]: float(line.split()[-1]) for line in told.stdout.splitlines()}
    assert shown["neutral"] == pytest.approx(row["probability/neutral"], abs=1e-2)

    worse = nli_here("promote", other)
    assert worse.returncode == 2
    assert "failed check: not better by the paired test: -" in worse.stdout
    assert "version 2 stays champion" in worse.stderr
    assert champion()[0] == trained

    assert attempt(other, reason="the customer asked for it").promoted
    assert champion() == (other, {"nli.promotion": "the customer asked for it"})

    assert attempt(untrained, reason="back to the beginning").promoted  # version 1 a second time
    assert roll_back(settings, "nli-sample") == ("1", "3")
    assert nli_here("rollback", "nli-sample").returncode == 0
    assert champion()[0] == trained
    assert roll_back(settings, "nli-sample") == ("2", "1")
    assert champion()[0] == untrained
    assert client.get_model_version("nli-sample", "2").tags["nli.rolled_back"].startswith("to version 1, 20")
    assert client.get_model_version("nli-sample", "1").tags["nli.restored"].startswith("after version 2, 20")
    with pytest.raises(UserError, match="version 1 was the first champion"):
        roll_back(settings, "nli-sample")


def test_what_cannot_be_promoted_is_one_line(nli_here: Callable[..., Any]) -> None:
    for arguments, message in (
        (["promote", "0123abcd"], "no run of this id"),
        (["promote", "0123abcd", "--force", " "], "give a reason"),
        (["promote", "0123abcd", "--model", "a b"], "a b: cannot be the name of a model"),
        (["promote", "0123abcd", "--model", "a/b"], "a/b: cannot be the name of a model"),
        (["promote", "0123abcd", "--model", "a" * 201], "cannot be the name of a model"),
        (["rollback", "nli-sample"], "has no champion"),
        (["rollback", ""], "is empty; give some text"),
        (["compare", "0123abcd", ""], "is empty; give some text"),
        (["predict", "--premise", "a", "--model", " "], "'--model': is empty"),
        (["predict", "--premise", os.fsdecode(b"a\xff")], "'--premise': is not UTF-8"),
        (["attention", "minilm-l6", ""], "is empty; give some text"),
        (["attention", "minilm-l6", "a", os.fsdecode(b"\xff")], "is not UTF-8; set the terminal"),
        (["predict", "--premise", "a girl"], "no model is champion yet"),
        (["predict", "--premise", "a girl", "--input", "pairs.csv"], "leave out one of them"),
        (["predict", "--input", "pairs.csv"], "give --input and --output, or --premise"),
        (["predict", "--input", "pairs.csv", "--output", "labels.txt"], "ends in .parquet, .csv, .tsv, .jsonl"),
    ):
        refused = nli_here(*arguments)
        assert refused.returncode == 2
        (line,) = refused.stderr.splitlines()
        assert message in line
    assert (
        "..: cannot be the name of a model" in nli_here("run", "sample", "--promote-as", "..").stderr.splitlines()[-1]
    )


@pytest.mark.slow
def test_a_model_that_misses_its_requirements_is_refused_and_decisions_on_a_test_set_are_counted(
    run_pipeline: Callable[..., RunSummary], nli_here: Callable[..., Any]
) -> None:
    quick = {"finetune": {"epochs": 1, "learning_rate": 1e-6}}
    strict = run_pipeline(**quick, evaluate={"gate_fraction": 0.5, "requirements": {"accuracy": 0.99}})
    assert len(strict.missed or []) == 1
    refused = nli_here("promote", str(strict.mlflow_run_id))
    assert refused.returncode == 2
    assert (
        f"failed check: the run {str(strict.mlflow_run_id)[:8]} does not meet its requirements: test" in refused.stdout
    )
    assert "no run became champion" in refused.stderr
    lenient = run_pipeline(**quick, evaluate={"gate_fraction": 0.5}, promote_as="nli-gate")
    assert lenient.mlflow_run_id == strict.mlflow_run_id
    assert "version 1 is champion now" in str(lenient.promotion)

    folder = lenient.outputs["evaluate"].output.folder
    test, gate = (pl.read_parquet(folder / f"predictions-{name}.parquet")["id"] for name in ("test", "gate"))
    assert len(test) == len(gate) == lenient.metrics["test/examples"] == 30
    assert not set(test) & set(gate)

    quick["finetune"]["seed"] = 1
    other = run_pipeline(**quick, evaluate={"gate_fraction": 0.5})
    for count in ("1st", "2nd", "3rd"):
        again = nli_here("promote", str(other.mlflow_run_id), "--model", "nli-gate")
        assert again.returncode == 2
        assert f"this was the {count} decision on this test set" in again.stderr
    whole = run_pipeline(**quick)
    kept = nli_here("promote", str(whole.mlflow_run_id), "--model", "nli-gate")
    assert "the predictions are of different examples" in kept.stdout
