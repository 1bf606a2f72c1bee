"""Measures of multi-label answers, against scikit-learn, examples drawn again, and plain search."""

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, average_precision_score, brier_score_loss, f1_score, log_loss

from nli_core.arrays import Bools, Floats
from nli_core.evaluation.calibration import calibration_metrics, fit_temperature
from nli_core.evaluation.columns import certainty
from nli_core.evaluation.comparison import compare
from nli_core.evaluation.metrics import calibration_error, f1_scores, label_counts
from nli_core.evaluation.multi_label import f1_differences, fit_thresholds, multi_label_metrics
from nli_core.evaluation.outcomes import Outcomes
from nli_core.evaluation.promotion_rules import Margins, failed_checks
from nli_core.evaluation.slices import slices
from nli_core.model.answers import MultiLabel

LABELS = ("a", "b", "c", "d")
HALVES = MultiLabel(labels=LABELS, separator=",", thresholds=(0.5,) * 4)


def _drawn(examples: int = 600, temperature: float = 1.0, seed: int = 0) -> tuple[Floats, Bools]:
    """Logits that are too large by this factor, and targets drawn from what they ought to mean."""
    source = np.random.default_rng(seed)
    logits = source.normal((-1.5, -1, 0, 1), 2.0, size=(examples, 4))
    return logits * temperature, source.random(logits.shape) < 1 / (1 + np.exp(-logits))


def _outcomes(logits: Floats, targets: Bools, answers: MultiLabel = HALVES) -> Outcomes:
    return Outcomes.of(answers, answers.probabilities(logits), targets)


def _table(outcomes: Outcomes) -> pl.DataFrame:
    columns: dict[str, Any] = {"id": np.arange(len(outcomes.right))}
    columns |= {"label": HALVES.texts(outcomes.targets), "predicted": HALVES.texts(outcomes.chosen)}
    for prefix, values in (
        ("probability", outcomes.probabilities),
        ("label", outcomes.targets),
        ("predicted", outcomes.chosen),
    ):
        columns |= {f"{prefix}/{label}": values[:, index] for index, label in enumerate(LABELS)}
    return pl.DataFrame(columns)


def test_metrics_are_those_of_scikit_learn() -> None:
    logits, targets = _drawn()
    outcomes = _outcomes(logits, targets)
    chosen, probabilities = outcomes.chosen, outcomes.probabilities
    found = multi_label_metrics(outcomes, LABELS, bins=15)
    assert found["accuracy"] == pytest.approx(accuracy_score(targets, chosen))
    for name in ("micro", "macro"):
        assert found[f"{name}_f1"] == pytest.approx(f1_score(targets, chosen, average=name))
    each = [average_precision_score(targets[:, index], probabilities[:, index]) for index in range(4)]
    assert [found[f"average_precision/{label}"] for label in LABELS] == pytest.approx(each)
    assert found["mean_average_precision"] == pytest.approx(np.mean(each))
    assert [found[f"f1/{label}"] for label in LABELS] == pytest.approx(f1_score(targets, chosen, average=None))
    assert f1_scores(label_counts(outcomes)) == pytest.approx(f1_score(targets, chosen, average=None))
    losses = [log_loss(targets[:, index], probabilities[:, index]) for index in range(4)]
    assert found["loss"] == pytest.approx(np.mean(losses))
    assert found["ece"] == pytest.approx(calibration_error(probabilities, targets, bins=15))


@pytest.mark.slow
def test_intervals_of_f1_are_those_of_examples_drawn_again() -> None:
    logits, targets = _drawn()
    better, worse = (_outcomes(each, targets).chosen for each in (logits, logits + 1.0))
    source = np.random.default_rng(5)
    drawn = source.integers(0, len(targets), (1000, len(targets)))
    metrics = multi_label_metrics(_outcomes(logits, targets), LABELS, bins=15)
    for score in f1_differences(worse, better, targets):
        average = score.name.removesuffix("_f1")
        of = [
            [f1_score(targets[rows], each[rows], average=average) for rows in drawn[:400]] for each in (worse, better)
        ]
        low, high = np.quantile(of[1], [0.025, 0.975])
        assert (metrics[f"{score.name}_low"], metrics[f"{score.name}_high"]) == pytest.approx((low, high), abs=0.008)
        low, high = np.quantile(np.subtract(of[1], of[0]), [0.025, 0.975])
        assert (score.low, score.high) == pytest.approx((low, high), abs=0.008)


def test_a_label_without_examples_is_no_error() -> None:
    logits, targets = _drawn()
    targets[:, 2] = False
    found = multi_label_metrics(_outcomes(logits, targets), LABELS, bins=15)
    assert found["f1/c"] == found["recall/c"] == 0
    assert "average_precision/c" not in found
    assert {"average_precision/a", "mean_average_precision"} <= found.keys()


@given(st.lists(st.tuples(st.integers(0, 12), st.booleans()), min_size=1, max_size=30))
def test_no_threshold_has_a_better_f1_on_dev(rows: list[tuple[int, bool]]) -> None:
    """Equal probabilities get equal answers. Few examples with the label fit none."""
    probabilities, targets = np.array([each / 12 for each, _ in rows]), np.array([each for _, each in rows])
    (found,) = fit_thresholds(probabilities[:, None], targets[:, None])
    if targets.sum() < 5:
        assert found == 0.5
        return
    scores = [f1_score(targets, probabilities >= limit) for limit in (*probabilities, 2.0)]
    assert f1_score(targets, probabilities >= found) == pytest.approx(max(scores))


def test_a_planted_temperature_is_found_and_changes_no_answer() -> None:
    logits, targets = _drawn(20_000, 2.5)
    answers = MultiLabel(labels=LABELS, separator=",", thresholds=(0.2, 0.5, 0.7, 0.9))
    temperature = fit_temperature(logits, targets)
    assert temperature == pytest.approx(2.5, rel=0.03)
    before, after = _outcomes(logits, targets, answers), _outcomes(logits, targets, answers.calibrated(temperature))
    assert (before.chosen == after.chosen).all()
    was, is_now = (calibration_metrics(each, bins=15) for each in (before, after))
    assert all(is_now[f"{name}_high"] < was[f"{name}_low"] for name in ("nll", "brier", "ece"))
    assert is_now["ece"] < 0.01
    brier = [brier_score_loss(targets[:, index], after.probabilities[:, index]) for index in range(4)]
    assert is_now["brier"] == pytest.approx(np.mean(brier))
    half = 1.96 * after.losses.std() / np.sqrt(len(targets))
    assert is_now["nll_low"] == pytest.approx(after.losses.mean() - half, abs=half / 5)


def test_two_models_are_compared_by_accuracy_labels_and_f1() -> None:
    logits, targets = _drawn(3000)
    noise = np.random.default_rng(9).normal(scale=2.0, size=logits.shape)
    worse, better = (_outcomes(each, targets) for each in (logits + noise, logits))
    found = compare(_table(worse), _table(better).sample(fraction=1, shuffle=True, seed=0))
    everything, *parts = found.parts
    assert everything.second.value == pytest.approx(accuracy_score(targets, better.chosen))
    assert [part.name for part in parts] == [f"label {label}" for label in LABELS]
    assert [part.paired.examples for part in parts] == targets.sum(axis=0).tolist()
    expected = f1_differences(worse.chosen, better.chosen, targets)
    assert [score.value for score in found.scores] == pytest.approx([score.value for score in expected])
    assert found.scores[0].low > 0
    assert found.second_ece == pytest.approx(calibration_error(better.probabilities, targets, bins=15))
    sure = dict(zip(range(3000), better.certainty, strict=True))
    assert all(row["certainty"] == pytest.approx(sure[row["id"]]) for row in found.changed.to_dicts())
    np.testing.assert_allclose(certainty(_table(better)), better.certainty)
    assert failed_checks(found, Margins()) == []


def test_a_model_whose_f1_falls_is_not_promoted() -> None:
    """It is accurate more often, since it leaves rare labels out: most examples have none."""
    source = np.random.default_rng(0)
    targets = np.zeros((4000, 4), np.bool_)
    targets[:400] = source.random((400, 4)) < 0.5
    first, second = np.full(targets.shape, -4.0), np.full(targets.shape, -4.0)
    first[targets] = 4.0
    first[1000:1500, 0] = 4.0  # wrong on these alone
    comparison = compare(_table(_outcomes(first, targets)), _table(_outcomes(second, targets)))
    assert comparison.parts[0].paired.difference > 0
    failed = failed_checks(comparison, Margins())
    assert any(check.startswith("its micro-F1 drops by") for check in failed)


def test_parts_are_the_examples_with_a_label() -> None:
    outcomes = _outcomes(*_drawn())
    found = slices(_table(outcomes))
    for index, label in enumerate(LABELS):
        np.testing.assert_array_equal(found[f"label {label}"], outcomes.targets[:, index])


def test_the_order_of_a_models_labels_says_nothing() -> None:
    """Two models of one corpus may have their labels in another order: same answers are no difference."""
    outcomes = _outcomes(*_drawn())
    order = [3, 1, 0, 2]
    answers = MultiLabel(labels=tuple(LABELS[index] for index in order), separator=",", thresholds=(0.5,) * 4)
    assert answers.texts(outcomes.chosen[:, order]) == HALVES.texts(outcomes.chosen)
    first = _table(outcomes)
    names = [f"{prefix}/{LABELS[index]}" for prefix in ("probability", "label", "predicted") for index in order]
    found = compare(first, first.select("id", "label", "predicted", *names))
    assert [score.value for score in found.scores] == [0, 0]
    assert found.parts[0].paired.difference == 0


def test_models_of_other_labels_have_no_difference_in_f1() -> None:
    first = _table(_outcomes(*_drawn()))
    renamed = first.rename({f"{prefix}/a": f"{prefix}/x" for prefix in ("probability", "label", "predicted")})
    assert list(compare(first, renamed).scores) == []
