from pathlib import Path

import numpy as np
import polars as pl
import pytest

from nli_core.data.examples.ragged import RaggedExamples
from nli_core.errors import UserError
from nli_core.evaluation.comparison import ALL, compare
from nli_core.evaluation.errors import save_errors, surest_errors
from nli_core.evaluation.slices import overlap, slices, text_lengths

CLS, SEP = 101, 102


def _predictions(predicted: str, tokens: list[int]) -> pl.DataFrame:
    """Examples whose true labels alternate between a and b; a letter of `predicted` each."""
    return pl.DataFrame(
        {
            "id": range(len(predicted)),
            "label": ["ab"[place % 2] for place in range(len(predicted))],
            "predicted": list(predicted),
            "tokens": tokens,
            "probability/a": [0.9 if letter == "a" else 0.2 for letter in predicted],
            "probability/b": [0.1 if letter == "a" else 0.8 for letter in predicted],
        }
    )


def test_parts_and_changes_of_an_example_worked_out_by_hand() -> None:
    """True labels are abab; the first is right on 0, 1 and 3, the second on 0, 1 and 2."""
    first, second = _predictions("abbb", [5, 20, 40, 40]), _predictions("abaa", [9, 9, 9, 9])
    found = compare(first, second.sample(fraction=1, shuffle=True, seed=1))
    counts = {part.name: (part.paired.only_first, part.paired.only_second, part.paired.both) for part in found.parts}
    assert counts == {
        ALL: (1, 1, 2),
        "label a": (0, 1, 1),
        "label b": (1, 0, 1),
        "1 to 16 tokens": (0, 0, 1),
        "17 to 32 tokens": (0, 0, 1),
        "33 to 40 tokens": (1, 1, 0),
    }
    assert found.parts[0].first.value == found.parts[0].second.value == 0.75
    assert found.changed.rows() == [(3, "b", "b", "a", 0.9), (2, "a", "b", "a", 0.9)]


def test_the_surest_errors_come_first_and_show_their_texts(tmp_path: Path) -> None:
    texts = ["<b>one</b>", "two", "three", "four"]
    wrong = _predictions("bbab", [1] * 4).with_columns(premise=pl.Series(texts))
    wrong[0, "probability/b"] = 0.99
    assert surest_errors(wrong).select("id", "premise", "probability").rows() == [(0, texts[0], 0.99)]
    save_errors(wrong, "Errors & more", tmp_path / "errors.html")
    page = (tmp_path / "errors.html").read_text()
    assert "1 of 4 examples are wrong" in page
    assert "<td>&lt;b&gt;one&lt;/b&gt;</td><td>a</td><td>b</td><td>0.990</td>" in page


def test_every_example_is_in_one_part_of_each_kind() -> None:
    lengths = np.random.default_rng(0).integers(2, 300, 500)
    frame = _predictions("ab" * 250, lengths.tolist()).with_columns(
        overlap=pl.Series(np.random.default_rng(1).random(500).round(1))
    )
    parts = slices(frame)
    for kind in ("label", "tokens", "overlap"):
        rows = [members for name, members in parts.items() if kind in name]
        assert len(rows) > 1
        assert (np.sum(rows, axis=0) == 1).all()


def test_predictions_of_other_examples_are_refused() -> None:
    first = _predictions("abab", [9, 9, 9, 9])
    for other in (first.head(3), first.with_columns(id=pl.col("id") + 1), first.with_columns(label=pl.lit("a"))):
        with pytest.raises(UserError, match="are of different examples"):
            compare(first, other)


def test_overlap_is_the_share_of_hypothesis_in_the_premise() -> None:
    pairs = [([7, 8, 9], [7, 8, 4, 5]), ([1], [1]), ([1], [2]), ([3], [])]
    rows = [[CLS, *premise, SEP, *hypothesis, SEP] for premise, hypothesis in pairs]
    examples = RaggedExamples(
        input_ids=np.concatenate(rows),
        lengths=np.array([len(row) for row in rows]),
        boundaries=np.array([len(premise) + 2 for premise, _ in pairs]),
        pad_id=0,
    )
    assert overlap(examples).tolist() == [0.5, 1.0, 0.0, 0.0]
    assert text_lengths(examples).tolist() == [len(row) for row in rows]


def test_padding_that_packing_filled_in_is_no_text() -> None:
    text = [CLS, 7, 8, SEP, 7, 5, SEP]
    examples = RaggedExamples(
        input_ids=np.array([*text, 0, 0, 0]), lengths=np.array([10]), boundaries=np.array([4]), pad_id=0
    )
    assert overlap(examples).tolist() == [0.5]
    assert text_lengths(examples).tolist() == [7]
