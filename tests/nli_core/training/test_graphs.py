"""Trainings by graphs and without end in the same bytes. On a CPU a graph is a function that is called again."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from nli_core.filenames import MODEL
from nli_core.model.device import Device
from nli_core.training import graphs, trainer
from nli_core.training.graphs import Graphs, cuda_capture

Finetune = Callable[..., dict[str, Any]]


class Recorder:
    """Captures as a GPU does: nothing is computed until a replay, which reads and writes the same tensors each time."""

    def __init__(self) -> None:
        self.captured = self.replayed = 0

    def __call__(self, compute: Callable[[], Tensor]) -> tuple[Callable[[], None], Tensor]:
        self.captured += 1
        result = torch.zeros(())

        def replay() -> None:
            self.replayed += 1
            result.copy_(compute())

        return replay, result


def _refusing(_compute: Callable[[], Tensor]) -> tuple[Callable[[], None], Tensor]:
    raise RuntimeError("operation not permitted when stream is capturing\nand more")


@pytest.fixture
def train_by(
    run_finetune: Finetune, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Path, graphs.Capture | None, int | None], bytes]:
    """Trains on packed batches with a capture, and returns the bytes of the model."""
    monkeypatch.setattr(Device, "packs", True)

    def run(out: Path, capture: graphs.Capture | None, micro_batch_size: int | None) -> bytes:
        monkeypatch.setattr(trainer, "cuda_capture", lambda _device: capture)
        run_finetune(out, micro_batch_size=micro_batch_size)
        return (out / MODEL / "model.safetensors").read_bytes()

    return run


@pytest.mark.parametrize("micro_batch_size", [None, 5])
def test_a_training_by_graphs_ends_in_the_same_bytes(
    tmp_path: Path, train_by: Callable[..., bytes], micro_batch_size: int | None
) -> None:
    capture = Recorder()
    plain = train_by(tmp_path / "plain", None, micro_batch_size)
    assert train_by(tmp_path / "graphs", capture, micro_batch_size) == plain
    assert 1 <= capture.captured <= 4
    assert capture.replayed > 10 * capture.captured


def test_a_training_continues_where_a_graph_cannot_be_made(
    tmp_path: Path, train_by: Callable[..., bytes], caplog: pytest.LogCaptureFixture
) -> None:
    plain = train_by(tmp_path / "plain", None, None)
    with caplog.at_level(logging.WARNING):
        assert train_by(tmp_path / "refused", _refusing, None) == plain
    said = [record.getMessage() for record in caplog.records if "CUDA" in record.getMessage()]
    assert said == ["finetune: continues without CUDA graphs (operation not permitted when stream is capturing)"]


def test_each_shape_and_each_number_has_its_graph_and_there_are_not_too_many() -> None:
    capture = Recorder()
    by_graph = Graphs(capture)
    for _ in range(graphs._SEEN_BEFORE + 2):
        for number in (1, 2):
            for size in range(1, 10):
                values = torch.rand(size)
                expected = values.sum() * number
                assert by_graph.run(lambda number, values: values.sum() * number, number, values) == expected
    assert capture.captured == graphs._MOST_GRAPHS


def test_a_cpu_has_no_graphs() -> None:
    assert cuda_capture(torch.device("cpu")) is None
