"""Every family against `transformers`: random weights made there must give the same numbers here, and back."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch.nn import functional
from transformers import AutoModel, AutoModelForSequenceClassification

from nli_core.config import PackConfig
from nli_core.data.examples.ragged import Batch
from nli_core.errors import UserError
from nli_core.model.classifier import Classifier
from nli_core.model.families.registry import FAMILIES, read_architecture
from nli_core.model.saved import load_classifier, save_classifier
from nli_core.model.weights import fill_classifier, load_encoder

LABELS = ("entailment", "contradiction", "neutral")
VOCABULARY, LENGTH = 120, 40
_SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
    "num_labels": len(LABELS),
}
_MODERN = {**_SIZES, "local_attention": 12, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
_MODERN |= {"cls_token_id": 1, "sep_token_id": 2}
CONFIGS: dict[str, Callable[[], Any]] = {
    "bert": lambda: transformers.BertConfig(**_SIZES),
    "roberta": lambda: transformers.RobertaConfig(**_SIZES, type_vocab_size=1),
    "xlm-roberta": lambda: transformers.XLMRobertaConfig(**_SIZES, type_vocab_size=1),
    "camembert": lambda: transformers.CamembertConfig(**_SIZES, type_vocab_size=1, pad_token_id=3),
    "distilbert": lambda: transformers.DistilBertConfig(
        vocab_size=VOCABULARY, dim=32, n_layers=3, n_heads=4, hidden_dim=48, max_position_embeddings=64, num_labels=3
    ),
    "electra": lambda: transformers.ElectraConfig(**_SIZES, embedding_size=16),
    "electra of one size": lambda: transformers.ElectraConfig(**_SIZES, embedding_size=32),
    "modernbert": lambda: transformers.ModernBertConfig(**_MODERN),
    "modernbert of averages": lambda: transformers.ModernBertConfig(**_MODERN, classifier_pooling="mean"),
    "modernbert with biases": lambda: transformers.ModernBertConfig(
        **_MODERN, attention_bias=True, mlp_bias=True, norm_bias=True, classifier_bias=True
    ),
    "modernbert whose last layer sees little": lambda: transformers.ModernBertConfig(
        **_MODERN, layer_types=["full_attention", *["sliding_attention"] * 3]
    ),
}
_OFFSET = {**_SIZES, "max_position_embeddings": 66}
OTHERS: dict[str, Callable[[], Any]] = {
    "mpnet": lambda: transformers.MPNetConfig(**_OFFSET),
    "albert": lambda: transformers.AlbertConfig(**_SIZES, embedding_size=16),
    "deberta": lambda: transformers.DebertaConfig(**_SIZES, relative_attention=True, pos_att_type=["p2c", "c2p"]),
    "funnel": lambda: transformers.FunnelConfig(
        vocab_size=VOCABULARY, d_model=32, n_head=4, d_head=8, d_inner=48, block_sizes=[1, 1], num_labels=3
    ),
}
"""Some that the package transformers computes."""
OURS_ALONE = {"d2l_bert", "transformer"}


def _batch() -> tuple[Batch, torch.Tensor]:
    """Random ids with real padding, and the mask of the tokens that count."""
    random = torch.Generator().manual_seed(0)
    lengths = torch.tensor([LENGTH, 3, 17, 26, 1, 33, 8])
    ids = torch.randint(5, VOCABULARY, (len(lengths), LENGTH), generator=random)
    inside = torch.arange(LENGTH) < lengths[:, None]
    return Batch(ids * inside, torch.zeros_like(ids), lengths), inside


def _random_weights(config: Any) -> Any:
    """A model whose every tensor matters: biases are not 0, and norms not 1."""
    torch.manual_seed(0)
    config._attn_implementation = "eager"
    model = AutoModelForSequenceClassification.from_config(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model


@pytest.fixture(params=[*CONFIGS, *OTHERS])
def theirs(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """Transformers' model, whose files are in `tmp_path / "theirs"`."""
    model = _random_weights({**CONFIGS, **OTHERS}[request.param]())
    model.save_pretrained(tmp_path / "theirs")
    return model


@pytest.fixture
def ours(theirs: Any, tmp_path: Path) -> Classifier:
    encoder, report = load_encoder(tmp_path / "theirs")
    assert report.fresh == report.surplus == []
    assert all(name.startswith("classifier.") for name in report.unused)
    model = Classifier(encoder, LABELS).eval()
    fill_classifier(model, tmp_path / "theirs")
    return model


def _logits_of(theirs: Any) -> torch.Tensor:
    batch, inside = _batch()
    ids = torch.where(inside, batch.input_ids, theirs.config.pad_token_id or 0)
    with torch.no_grad():
        logits: torch.Tensor = theirs(ids, attention_mask=inside.long()).logits
    return logits


def test_every_family_is_tried() -> None:
    assert {CONFIGS[name]().model_type for name in CONFIGS} | OURS_ALONE == set(FAMILIES)


def test_logits_equal_those_of_transformers(theirs: Any, ours: Classifier) -> None:
    """Of padded batches, of packed ones, and of the whole sequence where the first token alone was computed."""
    batch, inside = _batch()
    expected = _logits_of(theirs)
    with torch.no_grad():
        padded = ours(batch.input_ids, batch.token_type_ids, batch.lengths)
        packed = ours(batch.input_ids[inside], batch.token_type_ids[inside], batch.lengths, LENGTH + 3)
        whole = ours.classify(ours.encoder.outputs(batch.input_ids, batch.token_type_ids, batch.lengths).pooled)
    for found in (padded, packed, whole):
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_a_padding_token_within_a_text_is_read_as_transformers_reads_it(theirs: Any, ours: Classifier) -> None:
    """RoBERTa's positions pass it by."""
    batch, inside = _batch()
    pad = theirs.config.pad_token_id or 0
    ids = torch.where(inside, batch.input_ids, pad)
    ids[0, 7], ids[2, 3], ids[2, 4] = pad, pad, pad
    with torch.no_grad():
        expected = theirs(ids, attention_mask=inside.long()).logits
        padded = ours(ids, batch.token_type_ids, batch.lengths)
        packed = ours(ids[inside], batch.token_type_ids[inside], batch.lengths, LENGTH)
    for found in (padded, packed):
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_gradients_of_packed_examples_are_those_of_padded_ones(ours: Classifier) -> None:
    batch, inside = _batch()
    told = []
    for ids, types in (
        (batch.input_ids, batch.token_type_ids),
        (batch.input_ids[inside], batch.token_type_ids[inside]),
    ):
        functional.cross_entropy(ours(ids, types, batch.lengths, LENGTH), torch.arange(7) % 3).backward()
        told.append([parameter.grad for parameter in ours.parameters() if parameter.grad is not None])
        ours.zero_grad(set_to_none=True)
    torch.testing.assert_close(told[1], told[0], atol=1e-5, rtol=1e-4)


def test_the_second_texts_tokens_are_told_apart_where_the_family_does(ours: Classifier) -> None:
    batch, inside = _batch()
    second = (torch.arange(LENGTH) >= batch.lengths[:, None] // 2) & inside
    with torch.no_grad():
        one, other = (ours(batch.input_ids, types, batch.lengths) for types in (batch.token_type_ids, second.long()))
    differs = ours.encoder.architecture.family in ("bert", "electra", "albert", "funnel")
    assert torch.equal(one, other) != differs


def test_a_saved_model_loads_in_transformers_and_here(theirs: Any, ours: Classifier, tmp_path: Path) -> None:
    folder = tmp_path / "theirs"
    save_classifier(ours, folder, folder, tmp_path / "ours", pack=PackConfig(max_length=32), pairs=True)
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path / "ours", attn_implementation="eager").eval()
    assert type(again) is type(theirs)
    assert again.config.architectures == [type(theirs).__name__]
    assert again.config.id2label == dict(enumerate(LABELS))
    for name, tensor in theirs.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor), name
    loaded = load_classifier(tmp_path / "ours").state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in ours.state_dict().items())


def test_the_files_of_a_pretrained_encoder_alone_are_enough(theirs: Any, ours: Classifier, tmp_path: Path) -> None:
    """They have no names of a head before theirs, and may lack the pooler."""
    AutoModel.from_pretrained(tmp_path / "theirs", attn_implementation="eager").save_pretrained(tmp_path / "alone")
    encoder, report = load_encoder(tmp_path / "alone")
    has_pooler = ours.encoder.architecture.family in ("bert", "albert")
    assert bool(report.fresh) != has_pooler
    batch, _ = _batch()
    with torch.no_grad():
        hidden = [each.eval()(batch.input_ids, batch.token_type_ids, batch.lengths) for each in (encoder, ours.encoder)]
    assert torch.equal(*hidden)


def test_attention_weights_are_those_of_transformers(theirs: Any, ours: Classifier) -> None:
    batch, inside = _batch()
    with torch.no_grad():
        expected = theirs(batch.input_ids, attention_mask=inside.long(), output_attentions=True).attentions
        found = ours.encoder.outputs(batch.input_ids, batch.token_type_ids, batch.lengths).attentions
    row = 0  # which has no padding
    for mine, other in zip(found, expected, strict=True):
        assert mine.shape[1] == 4
        torch.testing.assert_close(mine[row], other[row], atol=1e-5, rtol=0)


def test_the_positions_of_no_token_are_not_counted(tmp_path: Path) -> None:
    for family, make in {**CONFIGS, **OTHERS}.items():
        make().save_pretrained(tmp_path / family)
        found = read_architecture(tmp_path / family).max_position_embeddings
        expected = {"roberta": 62, "xlm-roberta": 62, "camembert": 60, "funnel": 8192}
        assert found == expected.get(family, 64), family


def test_no_code_of_the_hub_is_run(tmp_path: Path) -> None:
    """Not even where a description names some."""
    described = {**CONFIGS["bert"]().to_dict(), "auto_map": {"AutoModel": "own.Model", "AutoConfig": "own.Config"}}
    (tmp_path / "own.py").write_text("raise SystemExit('it ran')")
    (tmp_path / "config.json").write_text(json.dumps({**described, "model_type": "own"}))
    with pytest.raises(UserError, match="transformers has no classifier with a own"):
        read_architecture(tmp_path)
    albert = {**OTHERS["albert"]().to_dict(), "auto_map": described["auto_map"]}
    (tmp_path / "config.json").write_text(json.dumps(albert))
    assert read_architecture(tmp_path).family == "albert"


def test_without_transformers_the_remedy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nli_core.model.families.other.find_spec", lambda _name: None)
    OTHERS["albert"]().save_pretrained(tmp_path)
    with pytest.raises(UserError, match=r"a albert needs the package transformers; .*pip install"):
        read_architecture(tmp_path)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (transformers.GPT2Config(pad_token_id=0), "a gpt2 has no last linear layer with a bias"),
        (transformers.T5Config(), "a t5 is an encoder with a decoder; choose an encoder alone"),
    ],
)
def test_what_transformers_classifies_in_another_way_is_refused(tmp_path: Path, config: Any, message: str) -> None:
    config.save_pretrained(tmp_path)
    with pytest.raises(UserError, match=message):
        read_architecture(tmp_path)


def test_an_encoder_without_positions_takes_long_inputs(tmp_path: Path) -> None:
    transformers.XLNetConfig(d_model=32, n_layer=1, n_head=4, d_inner=48).save_pretrained(tmp_path)
    assert read_architecture(tmp_path).max_position_embeddings == 8192


def test_a_description_without_a_family_is_not_taken_for_bert(tmp_path: Path) -> None:
    described = {**CONFIGS["roberta"]().to_dict(), "architectures": ["RobertaForMaskedLM"]}
    del described["model_type"]
    (tmp_path / "config.json").write_text(json.dumps(described))
    with pytest.raises(UserError, match="has no model_type, and its architecture is RobertaForMaskedLM; add"):
        read_architecture(tmp_path)


@pytest.mark.parametrize(
    ("family", "change", "message"),
    [
        ("roberta", {"max_position_embeddings": 2}, "must be above 2: positions count from pad_token_id on"),
        ("roberta", {"is_decoder": True}, "is_decoder is true, and only encoders are supported"),
        (
            "roberta",
            {"hidden_size": 33},
            "not a multiple of num_attention_heads 4; correct it, or choose another encoder",
        ),
        ("distilbert", {"dim": 33}, "dim 33 is not a multiple of n_heads 4"),
        ("electra", {"embedding_size": 0}, "embedding_size must be a whole number from 1"),
        ("modernbert", {"layer_types": ["full_attention"]}, "for each of the 4 layers"),
        ("modernbert", {"local_attention": 1}, "local_attention must be a whole number from 2"),
        ("modernbert", {"norm_bias": "no"}, "norm_bias must be true or false"),
        ("modernbert", {"rope_parameters": {"full_attention": {"rope_type": "yarn"}}}, "only the rope_type default"),
        ("modernbert", {"rope_parameters": {"full_attention": {"rope_theta": 0}}}, "must be a number above 1"),
    ],
)
def test_what_an_encoder_cannot_do_is_refused(
    tmp_path: Path, family: str, change: dict[str, Any], message: str
) -> None:
    described = {**CONFIGS[family]().to_dict(), **change}
    (tmp_path / "config.json").write_text(json.dumps(described))
    with pytest.raises(UserError, match=message):
        load_encoder(tmp_path)


def test_the_older_names_of_modernberts_fields_mean_the_same(tmp_path: Path) -> None:
    """The published ones have them."""
    described = CONFIGS["modernbert"]().to_dict()
    (tmp_path / "config.json").write_text(json.dumps(described))
    now = read_architecture(tmp_path)
    for field in ("layer_types", "rope_parameters"):
        del described[field]
    described |= {"global_attn_every_n_layers": 3, "global_rope_theta": 160000.0, "local_rope_theta": 10000.0}
    (tmp_path / "config.json").write_text(json.dumps(described))
    assert read_architecture(tmp_path) == now
