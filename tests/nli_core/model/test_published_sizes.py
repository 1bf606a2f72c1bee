"""Numbers of parameters that the two tutorials print."""

from pathlib import Path

import pytest
import torch

from nli_core.download.encoders.d2l import D2lEncoder, describe
from nli_core.download.encoders.scratch import TransformerEncoder
from nli_core.download.fetch import Fetcher
from nli_core.model.architecture import ModelConfig
from nli_core.model.classifier import Classifier
from nli_core.model.encoder import Encoder
from nli_core.model.families.bert import FAMILY as BERT
from nli_core.model.families.d2l import FAMILY as D2L
from nli_core.model.families.registry import build_encoder, read_architecture
from nli_core.model.post_norm import PostNormLayer

BOOK_VOCABULARY = 60_005
NEWS = ("World", "Sports", "Business", "Sci/Tech")


def _count(*modules: torch.nn.Module | None, trainable: bool = False) -> int:
    parameters = (parameter for module in modules if module is not None for parameter in module.parameters())
    return sum(parameter.numel() for parameter in parameters if parameter.requires_grad or not trainable)


def _bert(**sizes: int) -> Encoder:
    values = {"vocab_size": 30_522, "max_position_embeddings": 512, **sizes}
    with torch.device("meta"):
        return BERT.build(BERT.read(ModelConfig(values, Path("config.json"))))


def _book(name: str) -> Encoder:
    config = D2lEncoder(name=name)  # type: ignore[arg-type]
    with torch.device("meta"):
        return D2L.build(D2L.read(ModelConfig(describe(config, BOOK_VOCABULARY), Path("config.json"))))


def test_bert_small_of_the_book() -> None:
    model = Classifier(_book("d2l:bert.small"), ("entailment", "contradiction", "neutral"))
    assert _count(model.encoder) - _count(model.encoder.pooler) == 16_547_072
    assert _count(model) == 16_613_635


def test_bert_base_of_the_book() -> None:
    model = Classifier(_book("d2l:bert.base"), ("entailment", "contradiction", "neutral"))
    assert _count(model) == 132_125_955


SMALL = {"hidden_size": 128, "num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 512}
BASE = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072}


@pytest.mark.parametrize(("frozen", "trainable"), [(True, 516), (False, 4_782_980)])
def test_the_small_bert_of_the_lesson(frozen: bool, trainable: int) -> None:
    assert _count(Classifier(_bert(**SMALL), NEWS, frozen=frozen), trainable=True) == trainable


def test_bert_base_uncased() -> None:
    model = Classifier(_bert(**BASE), NEWS, frozen=True)
    assert (_count(model.encoder), _count(model, trainable=True)) == (109_482_240, 3_076)


def test_the_transformer_of_the_lesson(tmp_path: Path) -> None:
    TransformerEncoder(name="transformer").download(tmp_path, Fetcher(tmp_path, tmp_path))
    model = Classifier(build_encoder(read_architecture(tmp_path)), NEWS)
    (layer,) = model.encoder.layers
    assert isinstance(layer, PostNormLayer)
    counts = [_count(module) for module in (model.encoder.embeddings, layer, model.encoder.pooler, model.head, model)]
    assert counts == [648_192, 10_656, 660, 84, 659_592]
