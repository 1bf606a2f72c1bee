"""Studies in a real database: what is tried next, and what a process that was killed leaves to the next."""

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from nli_core.errors import UserError
from nli_core.run.config import RunConfig
from nli_core.run.sweep import PruningRule, Sweep
from tasks.runtime.study import FinishedRun, Study, study_faults
from tasks.settings import Settings

RATES = {"finetune.learning_rate": "log(1e-5,5e-4)"}


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("NLI_STORE", str(tmp_path / "store"))
    return Settings.from_environment()


@pytest.fixture
def open_study(
    settings: Settings, tiny_config: Callable[..., RunConfig]
) -> Callable[..., tuple[Study, list[tuple[int, dict[str, object]]]]]:
    """Opens the study of a sweep as a new process does; gives it, and all that it then asks for."""

    def open_(
        *,
        search: dict[str, str] | None = None,
        grid: dict[str, list[object]] | None = None,
        budget: int = 4,
        rule: PruningRule | None = None,
        gone: Sequence[str] = (),
        asks: int = 100,
    ) -> tuple[Study, list[tuple[int, dict[str, object]]]]:
        study = Study(settings, Sweep("tiny", tiny_config(), grid or {}, search or {}), rule)
        study.resume(budget, lambda run_id: run_id in gone)
        asked: list[tuple[int, dict[str, object]]] = []
        while len(asked) < asks and (each := study.ask()):
            asked.append((each[0], dict(each[1])))
        return study, asked

    return open_


def _finish(study: Study, number: int, values: dict[str, object], dev: float = 0.5) -> None:
    study.add_run(number, FinishedRun(values, 0, f"run {number}", dev))
    study.end(number, "complete")


def test_a_grid_is_asked_for_in_its_order_and_only_once(open_study: Callable[..., tuple[Study, list]]) -> None:
    corpora = [{"name": "sample", "pairs": pairs} for pairs in (360, 900)]
    grid = {"finetune.learning_rate": [1e-3, 1e-4], "corpus": corpora}
    study, asked = open_study(grid=grid)
    wanted = [{"finetune.learning_rate": rate, "corpus": corpus} for rate in (1e-3, 1e-4) for corpus in corpora]
    assert [values for _, values in asked] == wanted
    for number, values in asked:
        _finish(study, number, values)
    study, again = open_study(grid=grid)
    assert again == []
    assert [run.values for run in study.runs()] == wanted


def test_a_killed_or_failed_trial_is_tried_again_and_counts_once(open_study: Callable[..., tuple[Study, list]]) -> None:
    study, asked = open_study(search=RATES, budget=4, asks=3)
    _finish(study, *asked[0])
    study.end(asked[1][0], "failed")
    # The third is under way when the process is killed, and the fourth was not asked for.
    study, resumed = open_study(search=RATES, budget=4)
    assert [values for _, values in resumed[:2]] == [values for _, values in asked[1:]]
    assert len(resumed) == 3
    for number, values in resumed:
        _finish(study, number, values)
    assert open_study(search=RATES, budget=4)[1] == []
    study, more = open_study(search=RATES, budget=6)
    assert len(more) == 2
    assert len({run.values["finetune.learning_rate"] for run in study.runs()}) == 4


def test_a_resumed_search_draws_what_an_undisturbed_one_draws(
    open_study: Callable[..., tuple[Study, list]], settings: Settings
) -> None:
    def draw(asks: int, study: Study, asked: list[tuple[int, dict[str, object]]]) -> list[dict[str, object]]:
        drawn = []
        while asked:
            number, values = asked.pop(0)
            drawn.append(values)
            _finish(study, number, values, dev=float(str(values["finetune.learning_rate"])) * 1000)
            if len(drawn) < asks and (each := study.ask()):
                asked.append((each[0], dict(each[1])))
        return drawn

    whole = draw(14, *open_study(search=RATES, budget=14, asks=1))
    Path(settings.studies.removeprefix("sqlite:///")).unlink()
    parts = draw(9, *open_study(search=RATES, budget=14, asks=1))
    parts += draw(5, *open_study(search=RATES, budget=14, asks=1))
    assert parts == whole


def test_a_run_that_mlflow_lost_is_done_again(open_study: Callable[..., tuple[Study, list]]) -> None:
    grid: dict[str, list[object]] = {"finetune.epochs": [1, 2]}
    study, asked = open_study(grid=grid)
    for number, values in asked:
        _finish(study, number, values)
    _, again = open_study(grid=grid, gone=[f"run {asked[1][0]}"])
    assert [values for _, values in again] == [{"finetune.epochs": 2}]


def test_the_median_rule_stops_a_bad_trial_which_a_search_without_a_rule_finishes(
    open_study: Callable[..., tuple[Study, list]],
) -> None:
    study, asked = open_study(search=RATES, budget=7, rule="median")
    for number, values in asked[:5]:
        assert not study.report(number, [0.6])
        assert not study.report(number, [0.6, 0.7])
        _finish(study, number, values)
    assert study.report(asked[5][0], [0.5])
    study.end(asked[5][0], "pruned")
    assert not study.report(asked[6][0], [0.65])
    _finish(study, *asked[6])
    assert [(each.values, each.epoch, each.dev) for each in study.pruned()] == [(asked[5][1], 1, 0.5)]
    assert open_study(search=RATES, budget=7, rule="median")[1] == []
    assert [values for _, values in open_study(search=RATES, budget=7)[1]] == [asked[5][1]]


def test_hyperband_stops_trials_too(open_study: Callable[..., tuple[Study, list]]) -> None:
    study, asked = open_study(search=RATES, budget=25, rule="hyperband")
    ends = []
    for place, (number, values) in enumerate(asked):
        curve = [0.9 - place / 100] * 9
        pruned = any(study.report(number, curve[:epoch]) for epoch in range(1, 10))
        study.end(number, "pruned") if pruned else _finish(study, number, values)
        ends.append(pruned)
    assert 0 < sum(ends) < len(ends)


def test_values_that_were_tried_are_not_run_again(open_study: Callable[..., tuple[Study, list]]) -> None:
    search = {"finetune.batch_size": "16,32"}
    study, asked = open_study(search=search, budget=30, asks=1)
    seen = []
    while asked:
        number, values = asked.pop()
        seen.append(values["finetune.batch_size"])
        _finish(study, number, values)
        if each := study.ask():
            asked.append((each[0], dict(each[1])))
    assert sorted(seen) == [16, 32]
    assert len(study.runs()) == 2
    assert open_study(search={"finetune.batch_size": "16,32"}, budget=30)[0].resume(30, lambda _run_id: False) == 0


def test_the_database_hears_nothing_of_test(open_study: Callable[..., tuple[Study, list]], settings: Settings) -> None:
    study, asked = open_study(search=RATES, budget=2)
    for number, values in asked:
        study.report(number, [0.123])
        _finish(study, number, values, dev=0.25)
    with sqlite3.connect(settings.studies.removeprefix("sqlite:///")) as database:
        dump = "\n".join(database.iterdump())
    assert "0.123" in dump
    assert "test" not in dump.replace("latest", "")


def test_a_database_that_is_none_is_one_line(
    settings: Settings, tiny_config: Callable[..., RunConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = Sweep("tiny", tiny_config(), search=RATES)
    (tmp_path / "studies.db").write_text("no database\n" * 1000)
    with (
        pytest.raises(UserError, match=r"^NLI_STUDIES: sqlite:.*failed \(.*file is not a database"),
        study_faults(settings),
    ):
        Study(settings, sweep)
    monkeypatch.setenv("NLI_STUDIES", "https://me:secret@host/x")
    with pytest.raises(UserError, match=r"^NLI_STUDIES: https://host/x is no database address"), study_faults(settings):
        Study(settings, sweep)
    monkeypatch.setenv("NLI_STUDIES", settings.tracking_uri)
    with pytest.raises(UserError, match=r"^NLI_STUDIES: is MLflow's own database"), study_faults(settings):
        Study(settings, sweep)
