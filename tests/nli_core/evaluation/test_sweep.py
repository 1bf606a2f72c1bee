"""What the runs of a sweep say together, in words and figures."""

import statistics
from pathlib import Path

import pytest
from matplotlib.image import imread

from nli_core.evaluation.sweep import PrunedTrial, SweepResult, TrialRun, chosen, sweep_markdown, sweep_rows
from nli_core.evaluation.sweep_figures import save_importance, save_slices, save_trials

MOST_PIXELS = 2_700


def _run(rate: float, seed: int, dev: float) -> TrialRun:
    return TrialRun({"finetune.learning_rate": rate}, seed, f"run {rate} {seed}", dev, dev - 0.1)


def test_dev_chooses_by_the_mean_over_seeds() -> None:
    runs = [_run(0.1, 0, 0.9), _run(0.2, 0, 0.8), _run(0.1, 1, 0.5), _run(0.2, 1, 0.82)]
    first, second = SweepResult(runs).trials
    assert (first.values, first.runs) == ({"finetune.learning_rate": 0.2}, 2)
    assert first.dev == pytest.approx(0.81)
    assert first.dev_deviation == pytest.approx(statistics.stdev([0.8, 0.82]))
    assert second.dev == pytest.approx(0.7)
    assert "no better than finetune.learning_rate=0.1 by more than a deviation" in chosen(SweepResult(runs))


def test_a_single_run_has_no_deviation_and_what_was_pruned_is_named() -> None:
    result = SweepResult([_run(0.1, 0, 0.9), _run(0.2, 0, 0.5)], [PrunedTrial({"finetune.learning_rate": 0.3}, 1, 0.4)])
    assert sweep_rows(result)[0] == ("finetune.learning_rate=0.1", "1", "0.9000", "", "0.8000", "")
    assert chosen(result) == "Chosen by the mean on dev: finetune.learning_rate=0.1."
    assert "| finetune.learning_rate=0.3 | 1 | 0.4000 |" in sweep_markdown(result)


def test_figures_take_any_text_number_and_many_fields(tmp_path: Path) -> None:
    def values(number: int) -> dict[str, object]:
        texts = {f"pack.$_$ {field}": [f"$^$ {number % 5}", number % 3, None][field % 3] for field in range(40)}
        return {"finetune.learning_rate": 10.0 ** -(1 + number % 7), "corpus.labels": ["a", "b"], **texts}

    runs = [TrialRun(values(number), 0, "run", 0.5 + number / 1000, 0.5) for number in range(300)]
    result = SweepResult(runs, [PrunedTrial(values(3), 1, 0.2)], dict.fromkeys(values(0), 0.5))
    save_trials(result, tmp_path / "sweep.png")
    save_slices(result, {"finetune.learning_rate": "log"}, tmp_path / "slices.png")
    save_importance(result.importance, tmp_path / "importance.png")
    assert all(max(imread(path).shape[:2]) <= MOST_PIXELS for path in tmp_path.iterdir())
