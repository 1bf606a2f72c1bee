from pathlib import Path

import pytest
import torch
from matplotlib import image

from nli_core.config import PackConfig
from nli_core.errors import UserError
from nli_core.evaluation.figures import save_attention
from nli_core.inference.inspector import Inspector
from nli_core.model.classifier import Classifier
from nli_core.model.saved import save_classifier
from nli_core.model.weights import load_encoder


def test_an_example_is_shown_with_its_tokens(tiny_encoder: Path) -> None:
    inspected = Inspector(tiny_encoder).inspect("a girl", "a b")
    tokens = len(inspected.tokens)
    assert inspected.tokens == ["[CLS]", "a", "girl", "[SEP]", "a", "b", "[SEP]"]
    assert inspected.outputs.sequence.shape == (1, tokens, 32)
    assert [layer.shape for layer in inspected.outputs.layers] == [(1, tokens, 32)] * 2
    assert torch.equal(inspected.outputs.layers[-1], inspected.outputs.sequence)
    torch.testing.assert_close(inspected.attention().sum(dim=1), torch.ones(tokens))
    heads = [inspected.attention(layer=1, head=head) for head in range(1, 5)]
    torch.testing.assert_close(torch.stack(heads).mean(dim=0), inspected.attention(layer=1))


def test_a_fine_tuned_model_is_inspected_as_it_was_trained(tmp_path: Path, tiny_encoder: Path) -> None:
    model = Classifier(load_encoder(tiny_encoder)[0], ("no", "yes"))
    pack = PackConfig(max_length=8, truncation="premise_first")
    save_classifier(model, tiny_encoder, tiny_encoder, tmp_path / "model", pack=pack, pairs=True)
    inspected = Inspector(tmp_path / "model").inspect("a b c d e", "a b c")
    assert inspected.tokens == ["[CLS]", "a", "b", "[SEP]", "a", "b", "c", "[SEP]"]
    with pytest.raises(UserError, match="the model is for pairs: give a hypothesis too"):
        Inspector(tmp_path / "model").inspect("a b c d e")


@pytest.mark.parametrize(("text", "named"), [("{bad", "cannot be read as JSON"), ("[]", "is not a JSON object")])
def test_a_folder_without_a_description_is_one_line(tmp_path: Path, text: str, named: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(UserError, match=named):
        Inspector(tmp_path)
    with pytest.raises(UserError, match=r"is .* the folder of a model"):
        Inspector(str(tmp_path / "nowhere"))


def test_a_long_text_makes_no_huge_picture(tmp_path: Path, tiny_encoder: Path) -> None:
    inspected = Inspector(tiny_encoder).inspect("a b c d " * 100)
    assert len(inspected.tokens) == len(inspected.ids) == 128
    save_attention(inspected.attention().double().numpy(), inspected.tokens, "long", tmp_path / "long.png")
    height, width, _ = image.imread(tmp_path / "long.png").shape
    assert max(height, width) < 3200
