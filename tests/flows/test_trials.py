"""The runs of trials: the mean over seeds is a trial's, and what stops or fails one run does to the others."""

from collections.abc import Callable
from pathlib import Path

import pytest

from flows.trials import PendingRun, TrialQueue
from nli_core.run.config import RunConfig, parse_config
from nli_core.run.sweep import Sweep
from tasks.runtime.study import Study
from tasks.settings import Settings

RATES = {"finetune.learning_rate": [1e-3, 1e-4]}


@pytest.fixture
def open_queue(
    tiny_config: Callable[..., RunConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[Study, TrialQueue]]:
    """Opens the study of two rates or what is given instead, with 3 seeds each, as a new process does."""
    monkeypatch.setenv("NLI_STORE", str(tmp_path / "store"))

    def open_(grid: dict[str, list[object]] | None = None, **section: object) -> tuple[Study, TrialQueue]:
        sweep = Sweep("tiny", tiny_config(finetune=section), grid or RATES, seeds=3)
        study = Study(Settings.from_environment(), sweep, "median")
        return study, TrialQueue(sweep, study, study.resume(0, lambda _run_id: False))

    return open_


def _take(queue: TrialQueue) -> list[PendingRun]:
    runs = []
    while run := queue.next_run():
        runs.append(run)
    return runs


def test_each_trial_has_a_run_for_each_seed_and_ends_with_the_last(
    open_queue: Callable[..., tuple[Study, TrialQueue]],
) -> None:
    study, queue = open_queue()
    runs = _take(queue)
    assert [(run.trial.values["finetune.learning_rate"], run.seed, run.place) for run in runs] == [
        *((1e-3, seed, seed + 1) for seed in range(3)),
        *((1e-4, seed, seed + 4) for seed in range(3)),
    ]
    for run in runs[:5]:
        queue.finish(run, f"run {run.place}", run.place / 10, [run.place / 10])
    assert [(run.seed, run.run_id, run.dev) for run in study.runs()][:3] == [
        (0, "run 1", 0.1),
        (1, "run 2", 0.2),
        (2, "run 3", 0.3),
    ]
    left = _take(open_queue()[1])  # the last run was under way when the process died
    assert [run.trial.values["finetune.learning_rate"] for run in left] == [1e-4] * 3


def test_a_failed_run_leaves_its_trial_to_a_rerun_and_the_others_alone(
    open_queue: Callable[..., tuple[Study, TrialQueue]],
) -> None:
    study, queue = open_queue()
    failed, *others = _take(queue)
    queue.fail(failed, "the loss became nan")
    for run in others:
        queue.finish(run, f"run {run.place}", 0.5, [0.5])
    assert queue.failures == ["lr=1e-3 seed=0: the loss became nan"]
    assert len(study.runs()) == 5
    assert [run.trial.values["finetune.learning_rate"] for run in _take(open_queue()[1])] == [1e-3] * 3


def test_a_stopped_run_leaves_its_trial_to_a_rerun(open_queue: Callable[..., tuple[Study, TrialQueue]]) -> None:
    _, queue = open_queue()
    stopped, *others = _take(queue)
    queue.stop(stopped)
    for run in others:
        queue.finish(run, f"run {run.place}", 0.5, [0.5])
    assert queue.any_stopped
    assert [run.seed for run in _take(open_queue()[1])] == [0, 1, 2]


def test_a_pruned_trial_takes_its_waiting_runs_along(open_queue: Callable[..., tuple[Study, TrialQueue]]) -> None:
    grid: dict[str, list[object]] = {"finetune.learning_rate": [number * 1e-4 for number in range(1, 7)]}
    study, queue = open_queue(grid)
    for _ in range(15):
        run = queue.next_run()
        assert run
        queue.finish(run, f"run {run.place}", 0.6, [0.6, 0.7])
    first, second = queue.next_run(), queue.next_run()
    assert first
    assert second
    assert not queue.report(second, [0.1])  # the first seed decides
    assert queue.report(first, [0.5])
    assert queue.report(second, [0.9])
    queue.stop(first)
    queue.stop(second)
    assert queue.next_run() is None
    assert not queue.any_stopped
    assert [(each.epoch, each.dev) for each in study.pruned()] == [(1, 0.5)]
    assert _take(open_queue(grid)[1]) == []


def test_values_that_exclude_each_other_fail_alone(
    tiny_config: Callable[..., RunConfig], tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NLI_STORE", str(tmp_path / "store"))
    (tmp_path / "train.csv").write_text("premise,label\na,x\nb,y\n")
    corpus = {"name": "file", "train": str(tmp_path / "train.csv"), "hypothesis": None, "labels": ["x", "y"]}
    config = parse_config({**tiny_config().model_dump(mode="json", exclude_unset=True), "corpus": corpus})
    search = {"encoder.name": f"transformer,{tiny_encoder}", "finetune.freeze_encoder": "true,false"}
    sweep = Sweep("tiny", config, search=search)
    sweep.check()
    study = Study(Settings.from_environment(), sweep)
    queue = TrialQueue(sweep, study, study.resume(30, lambda _run_id: False))
    tried = [(run.config.encoder.name, run.config.finetune.freeze_encoder) for run in _take(queue)]
    assert set(tried) == {("transformer", False), (str(tiny_encoder), True), (str(tiny_encoder), False)}
    assert queue.failures
    assert all("the encoder starts from scratch, so it must be trained" in failure for failure in queue.failures)
