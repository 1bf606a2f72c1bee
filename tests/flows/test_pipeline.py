import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from mlflow import MlflowClient
from prefect.client.orchestration import get_client

from flows.pipeline import RunSummary, pipeline
from nli_core.callbacks import StoppedError
from nli_core.errors import UserError
from nli_core.run.changes import Changes
from nli_core.run.config import RunConfig

Run = Callable[..., RunSummary]


def _states(summary: RunSummary) -> dict[str, str]:
    return {kind: result.state_name for kind, result in summary.outputs.items()}


def _fail(*_: object, **__: object) -> None:
    raise OSError("no space left")


def _runs(workplace: Path) -> list[Any]:
    client = MlflowClient(f"sqlite:///{workplace / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("nli")
    return list(client.search_runs([experiment.experiment_id])) if experiment else []


def test_a_change_reruns_only_what_depends_on_it(run_pipeline: Run, workplace: Path) -> None:
    first = run_pipeline()
    assert set(_states(first).values()) == {"Completed"}
    second = run_pipeline()
    assert set(_states(second).values()) == {"Cached"}
    assert second.metrics == first.metrics
    assert second.mlflow_run_id == first.mlflow_run_id
    assert len(_runs(workplace)) == 1

    faster = run_pipeline(finetune={"learning_rate": 2e-3})
    assert _states(faster) == {
        "corpus": "Cached",
        "encoder": "Cached",
        "pack": "Cached",
        "audit": "Cached",
        "finetune": "Completed",
        "evaluate": "Completed",
    }
    shorter = run_pipeline(pack={"max_length": 24})
    assert _states(shorter) == {
        "corpus": "Cached",
        "encoder": "Cached",
        "pack": "Completed",
        "audit": "Cached",
        "finetune": "Completed",
        "evaluate": "Completed",
    }
    assert len(_runs(workplace)) == 3


@pytest.mark.slow
def test_a_changed_source_file_reruns_what_depends_on_it(
    run_pipeline: Run, workplace: Path, write_rows: Callable[..., Path]
) -> None:
    def rows(count: int) -> list[dict[str, Any]]:
        return [{"text": f"a girl number {row}", "label": ("no", "yes")[row % 2]} for row in range(count)]

    names = {split: str(write_rows(f"{split}.csv", rows(60))) for split in ("train", "dev", "test")}
    corpus = {"name": "file", "premise": "text", "hypothesis": None, "labels": ["no", "yes"], **names}
    first = run_pipeline(corpus=corpus)
    assert set(_states(run_pipeline(corpus=corpus)).values()) == {"Cached"}

    write_rows("test.csv", rows(70))
    other_test = run_pipeline(corpus=corpus)
    assert [kind for kind, state in _states(other_test).items() if state == "Cached"] == ["encoder", "finetune"]
    (run,) = _runs(workplace)
    assert run.data.tags["nli.test.examples"] == "70"
    assert run.data.tags["nli.key.pack"] == other_test.outputs["pack"].output.key
    assert run.data.tags["nli.key.evaluate"] == other_test.outputs["evaluate"].output.key

    write_rows("test.csv", rows(60))
    write_rows("train.csv", rows(64))
    other_train = _states(run_pipeline(corpus=corpus))
    assert [kind for kind, state in other_train.items() if state == "Cached"] == ["encoder"]
    write_rows("train.csv", rows(60))
    back = run_pipeline(corpus=corpus)
    assert set(_states(back).values()) == {"Cached"}
    assert back.metrics == first.metrics


@pytest.mark.usefixtures("finished_run")
def test_fields_that_change_no_result_run_nothing(run_pipeline: Run) -> None:
    assert set(_states(run_pipeline(finetune={"checkpoint_every": 3})).values()) == {"Cached"}


def test_a_forced_stage_runs_and_so_does_what_follows(
    finished_run: RunSummary, run_pipeline: Run, workplace: Path
) -> None:
    forced = run_pipeline(rerun=["finetune"])
    assert _states(forced) == {
        "corpus": "Cached",
        "encoder": "Cached",
        "pack": "Cached",
        "audit": "Cached",
        "finetune": "Completed",
        "evaluate": "Completed",
    }
    assert forced.metrics == finished_run.metrics
    assert forced.mlflow_run_id != finished_run.mlflow_run_id
    assert {run.info.status for run in _runs(workplace)} == {"FINISHED"}


@pytest.mark.parametrize(
    ("stage", "file", "redone"),
    [("pack", "train-00000.arrow", ["pack"]), ("finetune", "model/model.safetensors", ["finetune"])],
)
def test_an_altered_file_is_made_again_and_equal_bytes_stay(
    finished_run: RunSummary, run_pipeline: Run, stage: Any, file: str, redone: list[str]
) -> None:
    path = finished_run.outputs[stage].output.folder / file
    good = path.read_bytes()
    path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    states = _states(run_pipeline())
    assert [name for name, state in states.items() if state == "Completed"] == redone
    assert path.read_bytes() == good


def test_until_stops_early(run_pipeline: Run, workplace: Path) -> None:
    summary = run_pipeline(until="pack")
    assert list(summary.outputs) == ["corpus", "encoder", "pack"]
    assert summary.mlflow_run_id is None
    assert _runs(workplace) == []


def test_a_failed_training_is_marked_and_leaves_no_output(
    run_pipeline: Run, workplace: Path, overflowing_encoder: Path
) -> None:
    with pytest.raises(UserError, match="the loss became nan"):
        run_pipeline(encoder={"name": str(overflowing_encoder)})
    assert [run.info.status for run in _runs(workplace)] == ["FAILED"]
    assert not any((workplace / "store" / "finetune").glob("*/manifest.json"))


def test_unloadable_weights_are_named_before_packing(
    run_pipeline: Run, workplace: Path, tiny_encoder: Path, tmp_path: Path
) -> None:
    encoder = shutil.copytree(tiny_encoder, tmp_path / "encoder")
    (encoder / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(UserError, match=rf"^{encoder}/model\.safetensors: cannot be read as weights"):
        run_pipeline(encoder={"name": str(encoder)})
    assert not (workplace / "store" / "pack").exists()
    assert _runs(workplace) == []


def test_an_evaluation_that_fails_leaves_the_training_finished(
    run_pipeline: Run, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("nli_core.evaluation.evaluate.evaluate", _fail)
        with pytest.raises(OSError, match="no space left"):
            run_pipeline()
    assert [run.info.status for run in _runs(workplace)] == ["FINISHED"]
    summary = run_pipeline()
    assert _states(summary)["finetune"] == "Cached"
    (run,) = _runs(workplace)
    assert run.info.status == "FINISHED"
    assert run.data.metrics["test/accuracy"] == summary.metrics["test/accuracy"]


def test_a_failed_training_stops_the_audit_beside_it(
    run_pipeline: Run, workplace: Path, overflowing_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends: list[str] = []

    def look_for_ever(*_: object, progress: Callable[[int, int, str], object], **__: object) -> None:
        try:
            while True:
                progress(0, 1, "still")
                time.sleep(0.01)
        except StoppedError as stopped:
            ends.append(str(stopped))
            raise

    monkeypatch.setattr("nli_core.audit.audit.audit", look_for_ever)
    with pytest.raises(UserError, match="the loss became nan"):
        run_pipeline(encoder={"name": str(overflowing_encoder)})
    assert ends == ["audit: stopped"]
    assert not any((workplace / "store" / "audit").glob("*/manifest.json"))


def test_an_audit_that_fails_keeps_the_training_beside_it(
    run_pipeline: Run, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("nli_core.audit.audit.audit", _fail)
        with pytest.raises(OSError, match="no space left"):
            run_pipeline()
    summary = run_pipeline()
    assert _states(summary)["finetune"] == "Cached"
    assert _states(summary)["audit"] == _states(summary)["evaluate"] == "Completed"
    (run,) = _runs(workplace)
    assert run.data.tags["nli.key.audit"] == summary.outputs["audit"].output.key
    assert run.data.metrics["baseline/hypothesis_only/accuracy"] == summary.metrics["baseline/hypothesis_only/accuracy"]


def test_a_lost_tracking_store_is_filled_again(
    finished_run: RunSummary, run_pipeline: Run, workplace: Path, empty_tracking_database: Path
) -> None:
    (before,) = _runs(workplace)
    (workplace / "mlflow.db").write_bytes(empty_tracking_database.read_bytes())
    second = run_pipeline()
    assert set(_states(second).values()) == {"Cached"}
    (after,) = _runs(workplace)
    assert after.info.run_id == second.mlflow_run_id != finished_run.mlflow_run_id
    timed = {"train/examples_per_second", "train/tokens_per_second"}
    expected = {name: value for name, value in before.data.metrics.items() if name not in timed}
    assert after.data.metrics == expected
    assert after.data.params == before.data.params


def test_a_run_deleted_in_mlflow_is_filled_again(finished_run: RunSummary, run_pipeline: Run, workplace: Path) -> None:
    assert finished_run.mlflow_run_id is not None
    MlflowClient(f"sqlite:///{workplace / 'mlflow.db'}").delete_run(finished_run.mlflow_run_id)
    second = run_pipeline()
    assert set(_states(second).values()) == {"Cached"}
    (run,) = _runs(workplace)
    assert run.info.run_id == second.mlflow_run_id != finished_run.mlflow_run_id
    assert run.data.metrics["test/accuracy"] == finished_run.metrics["test/accuracy"]


def test_the_short_form_changes_the_config_and_the_name(
    prefect_server: str, workplace: Path, tiny_config: Callable[..., RunConfig]
) -> None:
    summary = pipeline(config=tiny_config(), recipe="sample", changes=Changes(learning_rate=5e-4), until="pack")
    assert list(summary.outputs) == ["corpus", "encoder", "pack"]
    with get_client(sync_client=True) as client:
        assert "lr=5e-4" in client.read_flow_run(UUID(summary.flow_run_id)).name
