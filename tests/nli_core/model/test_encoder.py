"""The oracle is `transformers`: the same weights must give the same numbers."""

from pathlib import Path

import pytest
import torch
from torch.nn import functional
from transformers import BertForSequenceClassification, BertModel

from nli_core.data.examples.ragged import Batch
from nli_core.download.encoders.pretrained import PretrainedEncoder
from nli_core.download.fetch import Fetcher
from nli_core.model.classifier import Classifier
from nli_core.model.encoder import Encoder
from nli_core.model.weights import load_encoder

LABELS = ("entailment", "contradiction", "neutral")


def _batch(vocabulary: int, *, rows: int = 7, length: int = 23) -> Batch:
    """Random ids with real padding: every row has another length."""
    random = torch.Generator().manual_seed(0)
    lengths = torch.randint(5, length + 1, (rows,), generator=random)
    lengths[0] = length
    ids = torch.randint(1, vocabulary, (rows, length), generator=random)
    inside = torch.arange(length) < lengths[:, None]
    types = (torch.arange(length) >= lengths[:, None] // 2) & inside
    return Batch(ids * inside, types.long(), lengths)


def _theirs(folder: Path, ours: Classifier) -> BertForSequenceClassification:
    theirs = BertForSequenceClassification.from_pretrained(folder, num_labels=len(LABELS), attn_implementation="eager")
    theirs.classifier.load_state_dict(ours.head.state_dict())
    theirs.bert.pooler.dense.load_state_dict(ours.encoder.pooler.state_dict())  # not every checkpoint has one
    return theirs.eval()


def _assert_equal_logits(folder: Path) -> None:
    encoder, _ = load_encoder(folder)
    ours = Classifier(encoder, LABELS).eval()
    theirs = _theirs(folder, ours)
    batch = _batch(encoder.architecture.vocab_size)
    mask = (torch.arange(batch.input_ids.shape[1]) < batch.lengths[:, None]).long()
    with torch.no_grad():
        expected = theirs(batch.input_ids, attention_mask=mask, token_type_ids=batch.token_type_ids).logits
        found = ours(batch.input_ids, batch.token_type_ids, batch.lengths)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_logits_equal_those_of_transformers(shared_data: Path) -> None:
    _assert_equal_logits(shared_data / "tiny-bert-random")


@pytest.mark.slow
def test_logits_of_minilm_equal_those_of_transformers(tmp_path: Path) -> None:
    PretrainedEncoder(name="minilm-l6").download(tmp_path, Fetcher(tmp_path, tmp_path))
    _assert_equal_logits(tmp_path)


def test_gradients_equal_those_of_transformers(tiny_encoder: Path) -> None:
    encoder, _ = load_encoder(tiny_encoder)
    ours = Classifier(encoder, LABELS).eval()
    theirs = _theirs(tiny_encoder, ours)
    batch, labels = _batch(encoder.architecture.vocab_size), torch.arange(7) % 3
    mask = (torch.arange(batch.input_ids.shape[1]) < batch.lengths[:, None]).long()
    theirs(batch.input_ids, attention_mask=mask, token_type_ids=batch.token_type_ids, labels=labels).loss.backward()
    logits = ours(batch.input_ids, batch.token_type_ids, batch.lengths)
    torch.nn.functional.cross_entropy(logits, labels).backward()
    attention = theirs.bert.encoder.layer[0].attention.self
    stacked = torch.cat([part.weight.grad for part in (attention.query, attention.key, attention.value)])
    torch.testing.assert_close(ours.encoder.layers[0].query_key_value.weight.grad, stacked, atol=1e-6, rtol=1e-4)
    word = theirs.bert.embeddings.word_embeddings.weight.grad
    torch.testing.assert_close(ours.encoder.embeddings.word.weight.grad, word, atol=1e-6, rtol=1e-4)


@pytest.fixture(scope="module")
def encoder(tiny_encoder: Path) -> Encoder:
    return load_encoder(tiny_encoder)[0].eval()


def test_the_short_last_layer_gives_what_the_whole_one_gives(encoder: Encoder) -> None:
    batch = _batch(encoder.architecture.vocab_size)
    with torch.no_grad():
        hidden = encoder(batch.input_ids, batch.token_type_ids, batch.lengths)
        expected = torch.tanh(encoder.pooler(hidden[:, 0]))
        found = encoder.pooled(batch.input_ids, batch.token_type_ids, batch.lengths)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


def _packed(batch: Batch) -> Batch:
    inside = torch.arange(batch.input_ids.shape[1]) < batch.lengths[:, None]
    return Batch(batch.input_ids[inside], batch.token_type_ids[inside], batch.lengths)


def test_packed_examples_give_what_padded_ones_give(encoder: Encoder) -> None:
    """Logits, hidden states and every gradient."""
    model = Classifier(encoder, LABELS).eval()
    batch = _batch(encoder.architecture.vocab_size)
    packed = _packed(batch)
    inside = torch.arange(batch.input_ids.shape[1]) < batch.lengths[:, None]
    told: list[tuple[torch.Tensor, torch.Tensor, list[torch.Tensor]]] = []
    for one, longest in ((batch, None), (packed, int(batch.lengths.max()) + 3)):
        logits = model(one.input_ids, one.token_type_ids, one.lengths, longest)
        hidden = encoder(one.input_ids, one.token_type_ids, one.lengths, longest)
        functional.cross_entropy(logits, torch.arange(7) % 3).backward()
        gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
        model.zero_grad(set_to_none=True)
        told.append((logits, hidden[inside] if hidden.ndim == 3 else hidden, gradients))
    torch.testing.assert_close(told[1], told[0], atol=1e-6, rtol=1e-4)


def test_an_example_does_not_see_its_batch(encoder: Encoder) -> None:
    batch = _batch(encoder.architecture.vocab_size)
    length = int(batch.lengths[3])
    with torch.no_grad():
        together = encoder.pooled(batch.input_ids, batch.token_type_ids, batch.lengths)[3]
        ids, types = batch.input_ids[3:4, :length], batch.token_type_ids[3:4, :length]
        alone = encoder.pooled(ids, types, batch.lengths[3:4])[0]
    torch.testing.assert_close(together, alone, atol=1e-6, rtol=0)


def test_a_frozen_encoder_has_no_dropout_and_no_gradient(tiny_encoder: Path) -> None:
    model = Classifier(load_encoder(tiny_encoder)[0], LABELS, frozen=True).train()
    batch = _batch(model.encoder.architecture.vocab_size)
    one, two = (model(batch.input_ids, batch.token_type_ids, batch.lengths) for _ in range(2))
    assert torch.equal(one, two)
    one.sum().backward()
    assert all(parameter.grad is None for parameter in model.encoder.parameters())
    assert model.head.weight.grad is not None


def test_every_output_is_that_of_transformers(tiny_encoder: Path, encoder: Encoder) -> None:
    """Pooled, sequence, each layer's output and each head's attention, as the lesson looks at them."""
    theirs = BertModel.from_pretrained(tiny_encoder, attn_implementation="eager").eval()
    batch = _batch(encoder.architecture.vocab_size)
    inside = torch.arange(batch.input_ids.shape[1]) < batch.lengths[:, None]
    with torch.no_grad():
        expected = theirs(
            batch.input_ids,
            attention_mask=inside.long(),
            token_type_ids=batch.token_type_ids,
            output_hidden_states=True,
            output_attentions=True,
        )
        found = encoder.outputs(batch.input_ids, batch.token_type_ids, batch.lengths)
    torch.testing.assert_close(found.pooled, expected.pooler_output, atol=1e-5, rtol=0)
    torch.testing.assert_close(found.sequence[inside], expected.last_hidden_state[inside], atol=1e-5, rtol=0)
    assert (len(found.layers), len(found.attentions)) == (2, 2)
    for ours, hidden in zip(found.layers, expected.hidden_states[1:], strict=True):
        torch.testing.assert_close(ours[inside], hidden[inside], atol=1e-5, rtol=0)
    for ours, attention in zip(found.attentions, expected.attentions, strict=True):
        torch.testing.assert_close(ours, attention, atol=1e-5, rtol=0)
