"""Figures of any labels: as text, and never larger than a screen can show."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from nli_core.evaluation.figures import (
    save_attention,
    save_confusions,
    save_data,
    save_differences,
    save_f1,
    save_label_counts,
    save_reliability_diagram,
)
from nli_core.evaluation.significance import paired_difference

HOSTILE = ("$_$", "$^$", "a\\$b$", "\\frac{1}", "x\n\x1b[31m", "n" * 500, "世界", "")
MOST_PIXELS = 2_700


def _sides(path: Path) -> tuple[int, ...]:
    return tuple(imread(path).shape[:2])


@pytest.mark.parametrize("many", [2, 8, 1_000])
def test_the_figures_of_classes_and_of_data_fit(many: int, tmp_path: Path) -> None:
    labels = (*HOSTILE, *map(str, range(1_000)))[:many]
    counts = np.random.default_rng(0).integers(0, 9, (many, 3))
    save_f1(counts, 9 * many, labels, "dev, $_$", tmp_path / "f1.png")
    save_label_counts(counts, labels, "dev, $_$", tmp_path / "counts.png")
    facts = {"rows": 9, "labels": dict.fromkeys(labels, 3), "length_histogram": [[0, 4], [2, 5]]}
    save_data(dict.fromkeys(("train", "dev", "test"), facts), tmp_path / "data.png")
    assert all(max(_sides(path)) <= MOST_PIXELS for path in tmp_path.iterdir())


@pytest.mark.parametrize("labels", [HOSTILE, *(tuple(map(str, range(many))) for many in (2, 30, 31, 77, 1_000))])
def test_confusions_of_any_labels_fit(labels: tuple[str, ...], tmp_path: Path) -> None:
    counts = np.random.default_rng(0).integers(0, 9, (len(labels), len(labels)))
    save_confusions(counts, labels, "dev, $_$", tmp_path / "figure.png")
    assert max(_sides(tmp_path / "figure.png")) <= MOST_PIXELS


def test_a_model_without_errors_has_a_figure(tmp_path: Path) -> None:
    save_confusions(np.eye(50, dtype=np.int64), tuple(map(str, range(50))), "dev", tmp_path / "figure.png")
    assert max(_sides(tmp_path / "figure.png")) <= MOST_PIXELS


def test_every_other_figure_takes_any_text_and_number(tmp_path: Path) -> None:
    rights = np.array([True, False, True]), np.array([True, True, False])
    parts = [(f"label {HOSTILE[number % len(HOSTILE)]} {number}", paired_difference(*rights)) for number in range(300)]
    save_differences(parts, tmp_path / "differences.png")
    save_attention(np.full((8, 8), 0.125), HOSTILE, "$_$", tmp_path / "attention.png")
    save_reliability_diagram(np.full(3, 0.5), np.full(3, 0.5), np.full(3, 1 / 3), "$_$ $^$", tmp_path / "bins.png")
    assert all(max(_sides(path)) <= MOST_PIXELS for path in tmp_path.iterdir())
