from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from nli_core.config import PackConfig
from nli_core.data.tokenize.fast import FastTokenizer
from nli_core.data.tokenize.tokenizer import Tokenizer
from nli_core.errors import UserError
from nli_core.inference.inspector import Inspector
from nli_core.inference.predictor import Predictor
from nli_core.model.classifier import Classifier
from nli_core.model.saved import save_classifier
from nli_core.model.weights import load_encoder

LABELS = ("entailment", "contradiction", "neutral")
PREMISES = ["A man plays a guitar.", "Zwei Hündchen rennen 🐕.", "x", "A girl sleeps on the couch. " * 30] * 40
HYPOTHESES = ["Somebody makes music.", "Nothing moves.", "y" * 200, "A child is awake."] * 40


@pytest.fixture
def model(tiny_encoder: Path, tmp_path: Path) -> Path:
    classifier = Classifier(load_encoder(tiny_encoder)[0], LABELS)
    save_classifier(
        classifier, tiny_encoder, tiny_encoder, tmp_path / "model", pack=PackConfig(max_length=64), pairs=True
    )
    return tmp_path / "model"


def test_the_tokenizer_for_many_texts_changes_no_answer(model: Path) -> None:
    answers = [Predictor(model, kind).probabilities(PREMISES, HYPOTHESES) for kind in (Tokenizer, FastTokenizer)]
    np.testing.assert_array_equal(*answers)


def test_outputs_that_are_no_numbers_are_an_error(model: Path) -> None:
    tensors = load_file(model / "model.safetensors")
    save_file({name: torch.full_like(tensor, 3e38) for name, tensor in tensors.items()}, model / "model.safetensors")
    with pytest.raises(UserError, match=r"^the model's outputs for 'A man plays a guitar.' are NaN or infinite"):
        Predictor(model).probabilities(PREMISES, HYPOTHESES)
    with pytest.raises(UserError, match=r"^the model's outputs for 'a' are NaN or infinite"):
        Inspector(model).inspect("a", "b")


def test_a_tokenizer_with_ids_beyond_the_encoder_is_refused(model: Path) -> None:
    with (model / "vocab.txt").open("a", encoding="utf-8") as vocabulary:
        vocabulary.write("another\n")
    for kind in (Predictor, Inspector):
        with pytest.raises(UserError, match=r"the tokenizer has ids up to \d+, the encoder knows \d+ tokens"):
            kind(model)


def test_answers_keep_the_order_and_do_not_depend_on_others(model: Path) -> None:
    predictor = Predictor(model)
    together = predictor.probabilities(PREMISES, HYPOTHESES)
    np.testing.assert_allclose(together.sum(axis=1), 1)
    for place in (0, 1, 2, 3, 77):
        alone = predictor.probabilities(PREMISES[place : place + 1], HYPOTHESES[place : place + 1])
        np.testing.assert_allclose(together[place], alone[0], atol=2e-2)
    assert len(predictor.probabilities([], [])) == 0
