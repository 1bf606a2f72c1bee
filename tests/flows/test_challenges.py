"""Challenge sets in a run: in outputs of their own, and errors that name the field."""

import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from mlflow import MlflowClient

from flows.summary import RunSummary
from nli_core.config import ChallengeConfig
from nli_core.download.challenges.registry import find_challenge
from nli_core.errors import UserError
from nli_core.run.config import RunConfig

Run = Callable[..., RunSummary]
WriteRows = Callable[..., Path]
ROWS = [
    {"one": "A girl sleeps.", "two": "A child sleeps.", "gold": "follows", "kind": "up"},
    {"one": "A girl sleeps.", "two": "A nun sleeps.", "gold": "does not", "kind": "side"},
    {"one": "A child sleeps.", "two": "A girl sleeps.", "gold": "does not", "kind": "down"},
]


def _challenge(path: Path, **fields: Any) -> dict[str, Any]:
    columns = {"premise": "one", "hypothesis": "two", "label": "gold", "group": "kind"}
    labels = {"follows": "entailment", "does not": ["neutral", "contradiction"]}
    return {"name": "mine", "path": str(path), **columns, "labels": labels, **fields}


def _completed(summary: RunSummary) -> list[str]:
    return [kind for kind, result in summary.outputs.items() if result.state_name == "Completed"]


@pytest.mark.slow
def test_a_challenge_set_is_measured_and_neither_repacks_nor_retrains(
    run_pipeline: Run, write_rows: WriteRows, workplace: Path
) -> None:
    before = run_pipeline()
    path = write_rows("mine.csv", ROWS)
    summary = run_pipeline(evaluate={"challenges": [_challenge(path)]})
    assert _completed(summary) == ["challenges", "challenge_shards", "evaluate"]
    table = pl.read_parquet(summary.outputs["evaluate"].output.folder / "challenge-mine.parquet")
    assert table["premise"].to_list() == [row["one"] for row in ROWS]
    assert table["label"].to_list() == [row["gold"] for row in ROWS]
    assert table["group"].to_list() == ["up", "side", "down"]
    of_entailment = table["probability/entailment"]
    assert table["predicted"].to_list() == ["follows" if value > 0.5 else "does not" for value in of_entailment]
    right = table["predicted"] == table["label"]
    assert summary.metrics["challenge/mine/accuracy"] == pytest.approx(right.mean())
    assert summary.metrics["challenge/mine/up/accuracy"] == float(right[0])
    assert before.metrics.items() <= summary.metrics.items()
    client = MlflowClient(f"sqlite:///{workplace / 'mlflow.db'}")
    run = client.get_run(str(summary.mlflow_run_id))
    for name in ("accuracy", "accuracy_low", "accuracy_high", "side/accuracy"):
        assert run.data.metrics[f"challenge/mine/{name}"] == summary.metrics[f"challenge/mine/{name}"]
    for kind, result in summary.outputs.items():  # so that `nli store prune` keeps them
        assert run.data.tags[f"nli.key.{kind}"] == result.output.key
    predictions = {Path(file.path).name for file in client.list_artifacts(run.info.run_id, "predictions")}
    assert predictions == {"predictions-dev.parquet", "predictions-test.parquet", "challenge-mine.parquet"}

    write_rows("mine.csv", ROWS[:2])
    assert _completed(run_pipeline(evaluate={"challenges": [_challenge(path)]})) == [
        "challenges",
        "challenge_shards",
        "evaluate",
    ]
    other = _challenge(path, labels={"follows": ["entailment", "neutral"], "does not": "contradiction"})
    assert _completed(run_pipeline(evaluate={"challenges": [other]})) == ["challenge_shards", "evaluate"]
    assert _completed(run_pipeline()) == []


@pytest.mark.slow
def test_published_sets_are_fetched_and_measured_by_group(
    finished_run: RunSummary, run_pipeline: Run, shared_data: Path
) -> None:
    folder = shared_data / "robustness"
    challenges = [
        {"name": "hans", "source": str(folder / "hans_eval_100_per_subcase.tsv")},
        {"name": "breaking-nli", "source": str(folder / "breaking_nli_dataset.zip")},
    ]
    summary = run_pipeline(evaluate={"challenges": challenges})
    hans, breaking = (
        pl.read_parquet(summary.outputs["evaluate"].output.folder / f"challenge-{name}.parquet")
        for name in ("hans", "breaking-nli")
    )
    assert (hans.height, breaking.height) == (3000, 8193)
    for heuristic in ("lexical_overlap", "subsequence", "constituent"):
        rows = hans.filter(pl.col("group") == heuristic)
        for label in ("entailment", "non-entailment"):
            of_label = rows.filter(pl.col("label") == label)
            expected = (of_label["predicted"] == label).mean()
            assert summary.metrics[f"challenge/hans/{heuristic}/label/{label}/accuracy"] == pytest.approx(expected)
    expected = (breaking["predicted"] == breaking["label"]).mean()
    assert summary.metrics["challenge/breaking-nli/accuracy"] == pytest.approx(expected)
    with zipfile.ZipFile(folder / "breaking_nli_dataset.zip") as archive:
        categories = set(re.findall(r'"category": "(\w+)"', archive.read("data/dataset.jsonl").decode()))
    measured = {name.split("/")[2] for name in summary.metrics if name.startswith("challenge/breaking-nli/")}
    assert categories <= measured


def test_the_published_addresses_have_digests() -> None:
    for name in ("hans", "breaking-nli"):
        challenge = find_challenge(ChallengeConfig(name=name), has_pairs=True)
        assert challenge.address.startswith("https://")
        assert len(challenge.sha256 or "") == 64


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "hasn"}, r"evaluate.challenges\[hasn\]: there is no published set .*did you mean hans\?; set path"),
        ({"name": "hans", "path": "x.csv"}, r"evaluate.challenges\[hans\]: is a published set; set source"),
        ({"name": "hans", "group": "x"}, r"evaluate.challenges\[hans\].group: the columns .* are known; leave it out"),
        ({"name": "mine", "path": "x.csv", "source": "y"}, "give one of them"),
        ({"name": "mine", "path": "x.docx"}, "its name must end in"),
        ({"name": "a/b", "path": "x.csv"}, "evaluate.challenges.0.name: should be letters, digits"),
    ],
)
def test_a_config_at_fault_is_refused_before_work(
    tiny_config: Callable[..., RunConfig], fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        tiny_config(evaluate={"challenges": [fields]})
    with pytest.raises(UserError, match=r"named more than once"):
        tiny_config(evaluate={"challenges": ["hans", "hans"]})
    with pytest.raises(UserError, match="has pairs of texts, and this corpus single texts"):
        tiny_config(corpus={"name": "ag-news"}, evaluate={"challenges": ["hans"]})


FAULTS: list[tuple[dict[str, Any], list[dict[str, str]], str]] = [
    (
        {"labels": {"follows": "entailment"}},
        ROWS,
        r"mine.csv: the label 'does not' has no meaning; add {does not",
    ),
    ({"labels": None}, ROWS, r"means 'does not', and the model has 'entailment'"),
    (
        {"labels": {"follows": ["neutral", "entailment"], "does not": "neutral"}},
        ROWS,
        "let them mean the same labels",
    ),
    ({"premise": "three"}, ROWS, r"mine.csv: has no column 'three'.*set evaluate.challenges\[mine\].premise"),
    ({"group": "sort"}, ROWS, r"mine.csv: has no column 'sort'.*set evaluate.challenges\[mine\].group"),
    ({}, [{**ROWS[0], "one": " "}], r"mine.csv, line 2: has no text in the column 'one'"),
    ({"path": "away.csv"}, ROWS, r"evaluate.challenges\[mine\].path: there is no file away.csv"),
]


@pytest.mark.usefixtures("finished_run")
def test_a_file_at_fault_stops_the_run_before_training(
    run_pipeline: Run, write_rows: WriteRows, workplace: Path
) -> None:
    for fields, rows, message in FAULTS:
        path = write_rows("mine.csv", rows)
        with pytest.raises(UserError, match=message):
            run_pipeline(finetune={"learning_rate": 0.5}, evaluate={"challenges": [_challenge(path) | fields]})
    assert len(list((workplace / "store" / "finetune").glob("*/manifest.json"))) == 1
