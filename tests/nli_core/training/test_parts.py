"""On a CPU the threads compute parts of a batch; it makes no difference but for the order of additions."""

import itertools
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
from nli_core.model.classifier import Classifier
from nli_core.model.device import choose_device
from nli_core.model.dropout import dropout, masks_of
from nli_core.model.weights import load_encoder
from nli_core.training import parts
from nli_core.training.backward import Backward
from nli_core.training.gradients import Gradients
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


@given(
    examples=st.integers(1, 600),
    length=st.integers(1, 600),
    threads=st.integers(1, 130),
    gradient_bytes=st.integers(1, 1 << 32),
)
def test_every_example_is_in_one_part_and_threads_have_as_much_to_do(
    examples: int, length: int, threads: int, gradient_bytes: int
) -> None:
    tokens = examples * length
    rounds = divide(np.arange(examples), tokens, threads=threads, gradient_bytes=gradient_bytes)
    (workers,) = {len(parts) for parts in rounds}
    assert threads - workers * (threads // workers) <= threads / 4
    assert workers == 1 or workers * gradient_bytes <= parts._MOST_BYTES
    divided = [part for together in rounds for part in together]
    assert np.array_equal(np.concatenate(divided), np.arange(examples))
    sizes = [len(part) for part in divided]
    assert 1 <= min(sizes) >= max(sizes) - 1
    assert len(divided) == 1 or tokens >= len(divided) * parts._LEAST_TOKENS
    assert len(divided) == 1 or max(sizes) == 1 or max(sizes) * length <= parts._MOST_TOKENS + length


@pytest.mark.parametrize("tokens", [1, 1800, 5000, 14_600])
def test_the_parts_do_not_depend_on_the_threads(tokens: int) -> None:
    """So masks, which are drawn for each part, do not either."""
    found = [divide(np.arange(64), tokens, threads=threads, gradient_bytes=1) for threads in (1, 2, 4, 8, 16)]
    sizes = [[len(part) for together in rounds for part in together] for rounds in found]
    assert all(each == sizes[0] for each in sizes)


@pytest.mark.usefixtures("tiny_parts")
@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize(
    ("stay", "dtype", "rtol", "atol"),
    [(False, torch.float64, 1e-6, 1e-7), (True, torch.float32, 1e-4, 1e-5)],  # the flat buffer is of fp32
)
def test_gradients_are_those_of_the_whole_batch(
    shards: Path,
    tiny_encoder: Path,
    set_threads: Callable[[int], None],
    threads: int,
    stay: bool,
    dtype: torch.dtype,
    rtol: float,
    atol: float,
) -> None:
    set_threads(threads)
    found, slots = [], []
    train, device = ShardSet(shards, "train"), choose_device("fp32")
    for whole in (True, False):
        torch.manual_seed(0)
        model = Classifier(load_encoder(tiny_encoder)[0], train.labels).to(dtype).eval()
        loss = make_loss(FinetuneConfig(), train.labels, train.row_targets, device.torch)
        inputs = Tokens(model, train, train, device, Ranks())
        if whole:
            inputs._divides = False
        gradients = Gradients(model, Ranks(), stay=stay)
        backward = Backward(model, loss, torch.from_numpy(train.row_targets), Graphs(None))
        examples = [np.arange(first, first + 16) for first in (0, 16)]
        told = [backward.add_gradients(inputs, each, 16) for each in examples]
        each = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
        if gradients._buffer is not None:
            flat = torch.cat([gradient.flatten() for gradient in each])
            assert torch.equal(gradients._buffer[: len(flat)], flat)
        found.append([*(loss for loss, _ in told), *each])
        slots.append([taken for _, taken in told])
    assert sum(len(together) for together in inputs.rounds(examples[0])) >= 4
    torch.testing.assert_close(found[1], found[0], rtol=rtol, atol=atol)
    lengths = [int(train.examples.lengths[each].sum()) for each in examples]
    assert all(low <= parted <= whole for low, parted, whole in zip(lengths, slots[1], slots[0], strict=True))


@pytest.mark.usefixtures("tiny_parts")
def test_an_error_in_a_part_ends_the_step(shards: Path, tiny_encoder: Path, set_threads: Callable[[int], None]) -> None:
    set_threads(2)
    train, device, asked = ShardSet(shards, "train"), choose_device("fp32"), []

    def failing(*_: torch.Tensor) -> torch.Tensor:
        asked.append(1)
        raise RuntimeError("no such loss")

    model = Classifier(load_encoder(tiny_encoder)[0], train.labels)
    backward = Backward(model, failing, torch.from_numpy(train.row_targets), Graphs(None))
    with pytest.raises(RuntimeError, match="no such loss"):
        backward.add_gradients(Tokens(model, train, train, device, Ranks()), np.arange(64), 1)
    assert len(asked) <= 2  # of some twenty parts
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("tiny_parts")
def test_an_error_of_one_worker_ends_the_other_and_leaves_no_gradients(
    shards: Path, tiny_encoder: Path, set_threads: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    set_threads(2)
    ended = threading.Event()
    train, device, asked = ShardSet(shards, "train"), choose_device("fp32"), []
    loss, numbers = make_loss(FinetuneConfig(), train.labels, train.row_targets, device.torch), itertools.count()

    def failing(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        number = next(numbers)
        asked.append(number)
        if number == 3:
            raise RuntimeError("no such loss")
        assert number < 3 or ended.wait(60)  # what the other has begun takes until it can know
        return loss(logits, targets)

    model = Classifier(load_encoder(tiny_encoder)[0], train.labels)
    inputs, targets = Tokens(model, train, train, device, Ranks()), torch.from_numpy(train.row_targets)
    backward = Backward(model, failing, targets, Graphs(None))
    with monkeypatch.context() as patched, pytest.raises(RuntimeError, match="no such loss"):
        patched.setattr("nli_core.training.backward.Event", lambda: ended)
        backward.add_gradients(inputs, np.arange(64), 1)
    assert len(asked) <= 5  # of some twenty parts
    assert torch.get_num_threads() == 2
    found = []
    for each in (backward, Backward(model, loss, targets, Graphs(None))):
        torch.manual_seed(0)
        each.add_gradients(inputs, np.arange(64), 1)
        assert model.head.weight.grad is not None
        found.append(model.head.weight.grad)
        model.zero_grad()
    assert torch.equal(*found)


@pytest.mark.usefixtures("tiny_parts")
def test_each_part_has_masks_of_its_own(shards: Path, tiny_encoder: Path, set_threads: Callable[[int], None]) -> None:
    set_threads(2)
    train, device, losses = ShardSet(shards, "train"), choose_device("fp32"), []

    def noted(logits: torch.Tensor, _targets: torch.Tensor) -> torch.Tensor:
        losses.append(logits.detach().sum().item())
        return logits.sum()

    model = Classifier(load_encoder(tiny_encoder)[0], train.labels, head_dropout=0.5)
    backward = Backward(model, noted, torch.from_numpy(train.row_targets), Graphs(None))
    backward.add_gradients(Tokens(model, train, train, device, Ranks()), np.zeros(64, np.int64), 1)
    assert len(losses) >= 16
    assert len(set(losses)) == len(losses)


@pytest.mark.usefixtures("tiny_parts")
@pytest.mark.parametrize(("threads", "precision", "ema"), [(4, "fp32", None), (2, "bf16", 0.9)])
def test_a_seed_decides_every_byte_interrupted_or_not(
    tmp_path: Path,
    run_finetune: Finetune,
    stopping_at: Callable[[int], TrainingCallbacks],
    set_threads: Callable[[int], None],
    threads: int,
    precision: str,
    ema: float | None,
) -> None:
    set_threads(threads)
    settings = {"precision": precision, "ema": ema, "epochs": 1, "evaluate_every": 3}
    with pytest.raises(StoppedError):
        run_finetune(tmp_path / "cut", callbacks=stopping_at(4), **settings)
    written = []
    for name in ("cut", "whole"):
        run_finetune(tmp_path / name, **settings)
        files = (tmp_path / name).rglob("*.safetensors")  # of the best model, and of the last checkpoint
        written.append({path.relative_to(tmp_path / name): path.read_bytes() for path in files})
    assert written[0] == written[1]
    assert len(written[0]) > 2


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
