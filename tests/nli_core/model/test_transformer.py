"""The oracle is Keras: the lesson's layers with the same weights must give the same numbers."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nli_core.download.encoders.scratch import TransformerEncoder
from nli_core.download.fetch import Fetcher
from nli_core.model.classifier import Classifier
from nli_core.model.encoder import Encoder
from nli_core.model.post_norm import PostNormLayer
from nli_core.model.weights import load_encoder

LABELS = ("World", "Sports", "Business", "Sci/Tech")
SIZES = {"vocabulary_size": 50, "hidden_size": 16, "heads": 2, "head_size": 12, "intermediate_size": 24}


@pytest.fixture
def keras() -> Any:
    os.environ["KERAS_BACKEND"] = "torch"
    import keras

    return keras


@pytest.fixture
def encoder(tmp_path: Path) -> Encoder:
    config = TransformerEncoder(name="transformer", positions=10, pooled_size=6, **SIZES)
    config.download(tmp_path, Fetcher(tmp_path, tmp_path))
    torch.manual_seed(0)
    return load_encoder(tmp_path)[0].eval()


def _array(tensor: torch.Tensor) -> Any:
    return tensor.detach().numpy()


def _keras_forward(keras: Any, encoder: Encoder, ids: torch.Tensor, lengths: torch.Tensor) -> Any:
    """The lesson's block over our weights, with a mask where the lesson has none."""
    hidden, heads, width = SIZES["hidden_size"], SIZES["heads"], SIZES["head_size"]
    (layer,) = encoder.layers
    assert isinstance(layer, PostNormLayer)
    states = (encoder.embeddings.word.weight[ids] + encoder.embeddings.position.weight[: ids.shape[1]]).detach()
    attention = keras.layers.MultiHeadAttention(num_heads=heads, key_dim=width)
    attention.build(states.shape, states.shape)
    weights = []
    for part in range(3):
        rows = slice(part * heads * width, (part + 1) * heads * width)
        weights.append(_array(layer.query_key_value.weight)[rows].T.reshape(hidden, heads, width))
        weights.append(_array(layer.query_key_value.bias)[rows].reshape(heads, width))
    weights.append(_array(layer.attention_output.weight).T.reshape(heads, width, hidden))
    weights.append(_array(layer.attention_output.bias))
    attention.set_weights(weights)
    inside = _array(torch.arange(ids.shape[1]) < lengths[:, None])
    attended = attention(states, states, attention_mask=inside[:, None, :].repeat(ids.shape[1], axis=1))
    norm = keras.layers.LayerNormalization(epsilon=1e-6)
    middle = norm(states + attended)
    inner = keras.layers.Dense(SIZES["intermediate_size"], activation="relu")
    outer = keras.layers.Dense(hidden)
    for dense, ours, size in ((inner, layer.inner, hidden), (outer, layer.output, SIZES["intermediate_size"])):
        dense.build((None, size))
        dense.set_weights([_array(ours.weight).T, _array(ours.bias)])
    final = keras.layers.LayerNormalization(epsilon=1e-6)(middle + outer(inner(middle)))
    average = keras.layers.GlobalAveragePooling1D()(final, mask=inside)
    pooled = keras.layers.Dense(6, activation="relu")
    pooled.build((None, hidden))
    pooled.set_weights([_array(encoder.pooler.weight).T, _array(encoder.pooler.bias)])
    return keras.ops.convert_to_numpy(pooled(average))


@pytest.mark.parametrize("sees_padding", [False, True])
def test_pooled_output_is_that_of_keras(keras: Any, encoder: Encoder, sees_padding: bool) -> None:
    """With padding seen, as in the lesson, every position counts; without, masks hide it."""
    ids = torch.randint(1, 50, (5, 10), generator=torch.Generator().manual_seed(1))
    lengths = torch.tensor([10, 3, 7, 1, 9])
    ids = ids * (torch.arange(10) < lengths[:, None])
    if sees_padding:
        lengths = torch.full_like(lengths, 10)
    expected = _keras_forward(keras, encoder, ids, lengths)
    with torch.no_grad():
        found = encoder.pooled(ids, torch.zeros_like(ids), lengths)
        outputs = encoder.outputs(ids, torch.zeros_like(ids), lengths)
        inside = torch.arange(10) < lengths[:, None]
        packed = encoder.pooled(ids[inside], torch.zeros_like(ids[inside]), lengths)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)
    torch.testing.assert_close(outputs.pooled, found)
    torch.testing.assert_close(packed, found)


def test_initial_weights_are_spread_as_in_keras(keras: Any, encoder: Encoder) -> None:
    (layer,) = encoder.layers
    assert isinstance(layer, PostNormLayer)
    hidden, heads, width = SIZES["hidden_size"], SIZES["heads"], SIZES["head_size"]
    glorot, uniform = keras.initializers.GlorotUniform(seed=0), keras.initializers.get("uniform")
    # Shapes of the kernels; Keras 2, which the lesson runs on, gives them to the initializer as they are.
    expected = [
        (layer.query_key_value.weight, glorot((hidden, heads, width))),
        (layer.attention_output.weight, glorot((heads, width, hidden))),
        (encoder.pooler.weight, glorot((hidden, 6))),
        (Classifier(encoder, LABELS).head.weight, glorot((6, len(LABELS)))),
        (encoder.embeddings.word.weight, uniform((50, hidden))),
    ]
    for ours, drawn in expected:
        values, theirs = _array(ours), keras.ops.convert_to_numpy(drawn)
        assert np.abs(values).max() == pytest.approx(np.abs(theirs).max(), rel=0.15)
        assert values.std() == pytest.approx(theirs.std(), rel=0.25)
    assert not any(_array(linear.bias).any() for linear in (layer.query_key_value, encoder.pooler))


def test_padding_is_not_seen(encoder: Encoder) -> None:
    ids = torch.tensor([[4, 5, 6, 0, 0, 0], [4, 5, 6, 9, 9, 9]])
    with torch.no_grad():
        pooled = encoder.pooled(ids, torch.zeros_like(ids), torch.tensor([3, 3]))
        alone = encoder.pooled(ids[:1, :3], torch.zeros(1, 3, dtype=torch.long), torch.tensor([3]))
    torch.testing.assert_close(pooled[0], pooled[1])
    torch.testing.assert_close(pooled[:1], alone)
