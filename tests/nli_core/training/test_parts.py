"""On a CPU the threads compute parts of a batch; it makes no difference but for the order of additions."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nli_core.callbacks import StoppedError, TrainingCallbacks
from nli_core.config import FinetuneConfig
from nli_core.data.examples.shards import ShardSet
from nli_core.filenames import MODEL
from nli_core.model.classifier import Classifier
from nli_core.model.device import choose_device
from nli_core.model.dropout import dropout, masks_of
from nli_core.model.weights import load_encoder
from nli_core.training import parts
from nli_core.training.backward import Backward
from nli_core.training.graphs import Graphs
from nli_core.training.inputs import Tokens
from nli_core.training.loss import make_loss
from nli_core.training.parts import divide
from nli_core.training.ranks import Ranks

Finetune = Callable[..., dict[str, Any]]


@pytest.fixture
def set_threads() -> Iterator[Callable[[int], None]]:
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.fixture
def tiny_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Divides the tests' batches, of some 200 tokens, into parts of up to 32."""
    monkeypatch.setattr(parts, "_LEAST_TOKENS", 8)
    monkeypatch.setattr(parts, "_MOST_TOKENS", 32)


@given(examples=st.integers(1, 600), length=st.integers(1, 600), threads=st.integers(1, 130))
def test_shares_are_even_and_hold_every_example_once(examples: int, length: int, threads: int) -> None:
    tokens = examples * length
    shares = divide(np.arange(examples), tokens, threads)
    assert threads % len(shares) == 0
    assert len({len(share) for share in shares}) == 1
    sizes = [len(part) for share in shares for part in share]
    assert max(sizes) - min(sizes) <= 1
    assert min(sizes) >= 1
    in_order = [part for together in zip(*shares, strict=True) for part in together]
    assert np.array_equal(np.concatenate(in_order), np.arange(examples))
    assert len(shares) == 1 or tokens >= len(shares) * parts._LEAST_TOKENS
    assert max(sizes) == 1 or len(sizes) * 2 * parts._MOST_TOKENS >= tokens


@pytest.mark.usefixtures("tiny_parts")
@pytest.mark.parametrize("threads", [1, 2, 4])
def test_gradients_are_those_of_the_whole_batch(
    shards: Path, tiny_encoder: Path, set_threads: Callable[[int], None], threads: int
) -> None:
    set_threads(threads)
    found = []
    for whole in (True, False):
        torch.manual_seed(0)
        train, device = ShardSet(shards, "train"), choose_device("fp32")
        model = Classifier(load_encoder(tiny_encoder)[0], train.labels).to(torch.float64).eval()
        loss = make_loss(FinetuneConfig(), train.labels, train.row_targets, device.torch)
        inputs = Tokens(model, train, train, device, Ranks())
        if whole:
            inputs._divides = False
        backward = Backward(model, loss, torch.from_numpy(train.row_targets), Graphs(None))
        examples = [np.arange(first, first + 16) for first in (0, 16)]
        losses = [backward.add_gradients(inputs, each, 16)[0] for each in examples]
        found.append([*losses, *(parameter.grad for parameter in model.parameters())])
    assert sum(len(share) for share in inputs.parts(examples[0])) > 4
    torch.testing.assert_close(found[1], found[0], rtol=1e-6, atol=1e-7)


@pytest.mark.usefixtures("tiny_parts")
@pytest.mark.parametrize(("threads", "precision"), [(4, "fp32"), (2, "bf16")])
def test_a_seed_decides_every_byte_interrupted_or_not(
    tmp_path: Path,
    run_finetune: Finetune,
    stopping_at: Callable[[int], TrainingCallbacks],
    set_threads: Callable[[int], None],
    threads: int,
    precision: str,
) -> None:
    set_threads(threads)
    with pytest.raises(StoppedError):
        run_finetune(tmp_path / "cut", callbacks=stopping_at(4), precision=precision, epochs=1)
    models = []
    for name in ("cut", "whole"):
        run_finetune(tmp_path / name, precision=precision, epochs=1)
        models.append((tmp_path / name / MODEL / "model.safetensors").read_bytes())
    assert models[0] == models[1]


def test_masks_of_a_seed_do_not_depend_on_what_other_threads_draw() -> None:
    values, masks, begin = torch.ones(100_000), {}, threading.Barrier(4)

    def draw(number: int) -> None:
        with masks_of(number // 2):
            begin.wait()
            masks[number] = [dropout(values, 0.5) for _ in range(20)]

    drawing = [threading.Thread(target=draw, args=(number,)) for number in range(4)]
    for each in drawing:
        each.start()
    for each in drawing:
        each.join()
    for one, other, of_another_seed in zip(masks[0], masks[1], masks[2], strict=True):
        assert torch.equal(one, other)
        assert not torch.equal(one, of_another_seed)


def test_the_masks_of_a_seed_end_with_the_block() -> None:
    torch.manual_seed(0)
    expected = dropout(torch.ones(1000), 0.5)
    torch.manual_seed(0)
    with masks_of(5):
        dropout(torch.ones(1000), 0.5)
    assert torch.equal(dropout(torch.ones(1000), 0.5), expected)
