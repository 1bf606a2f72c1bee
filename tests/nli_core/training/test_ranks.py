"""Several ranks train one model: on a CPU they are processes that share its cores."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from safetensors.torch import load_file, save_file

from nli_core.callbacks import StoppedError, TrainingCallbacks
from nli_core.data.examples.shards import ShardSet
from nli_core.errors import UserError
from nli_core.filenames import CHECKPOINTS, MODEL
from nli_core.training.curves import read_history
from nli_core.training.finetune import finetune

Finetune = Callable[..., dict[str, Any]]
FAULTS = pytest.mark.faults("faults of ranks")


@pytest.fixture
def plain_encoder(tiny_encoder: Path, tmp_path: Path) -> Path:
    """The tiny encoder without dropout: what it computes does not depend on the number of ranks."""
    folder = shutil.copytree(tiny_encoder, tmp_path / "plain-encoder")
    described = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    described |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (folder / "config.json").write_text(json.dumps(described), encoding="utf-8")
    return folder


@pytest.fixture
def run_plain(run_finetune: Finetune, plain_encoder: Path) -> Finetune:
    """Fine-tunes without any dropout."""

    def run(out: Path, **fields: Any) -> dict[str, Any]:
        return run_finetune(out, encoder=plain_encoder, head_dropout=0.0, **fields)

    return run


def _weights(out: Path) -> dict[str, torch.Tensor]:
    return load_file(out / MODEL / "model.safetensors")


def _bytes(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


def _assert_alike(one: Path, other: Path) -> None:
    """Curves and weights differ by no more than what the order of additions does."""
    for expected, found in zip(read_history(one), read_history(other), strict=True):
        expected.metrics.pop("train/padding_fraction", None)
        found.metrics.pop("train/padding_fraction", None)
        assert found.step == expected.step
        assert found.metrics == pytest.approx(expected.metrics, abs=1e-6, rel=1e-5)
    torch.testing.assert_close(_weights(one), _weights(other), atol=1e-6, rtol=0)


@pytest.mark.parametrize("size", [1, 5, 16])
@pytest.mark.parametrize("loss", ["mean", "sum"])
def test_micro_batches_have_the_gradients_of_the_batch(
    tmp_path: Path, run_plain: Finetune, size: int, loss: str
) -> None:
    for name, micro in (("whole", None), ("parts", size)):
        run_plain(tmp_path / name, micro_batch_size=micro, loss=loss, adam_epsilon=1e-3)
    _assert_alike(tmp_path / "whole", tmp_path / "parts")


@pytest.mark.parametrize(
    ("ranks", "fields"),
    [
        (2, {"batch_size": 17}),  # 15 batches, the last of 2
        pytest.param(2, {"freeze_encoder": True}, marks=pytest.mark.slow),
        pytest.param(2, {"micro_batch_size": 3}, marks=pytest.mark.slow),
        pytest.param(3, {"batch_size": 239, "epochs": 3}, marks=pytest.mark.slow),  # the last batch has one row
    ],
)
def test_ranks_compute_what_one_device_computes(
    tmp_path: Path, run_plain: Finetune, ranks: int, fields: dict[str, Any]
) -> None:
    facts = [
        run_plain(tmp_path / name, devices=devices, adam_epsilon=1e-3, **fields)
        for name, devices in (("one", 1), ("several", ranks))
    ]
    assert [each["devices"] for each in facts] == [1, ranks]
    _assert_alike(tmp_path / "one", tmp_path / "several")


@FAULTS
@pytest.mark.parametrize(
    ("before", "after"), [(2, 1), *(pytest.param(*pair, marks=pytest.mark.slow) for pair in ((1, 2), (1, 3), (2, 2)))]
)
def test_another_number_of_ranks_resumes(tmp_path: Path, run_finetune: Finetune, before: int, after: int) -> None:
    """With dropout: the random numbers of a step are those of its ranks. A stop may take one step more."""
    done = [0]
    callbacks = TrainingCallbacks(
        log_metrics=lambda _metrics, step: done.append(step), should_stop=lambda: done[-1] >= 12
    )
    with pytest.raises(StoppedError, match="stopped at a checkpoint after step"):
        run_finetune(tmp_path / "cut", devices=before, log_every=1, callbacks=callbacks)
    facts = run_finetune(tmp_path / "cut", devices=after, log_every=1)
    assert facts["resumed_at_step"] >= 12
    assert [point.step for point in read_history(tmp_path / "cut") if "train/loss" in point.metrics] == [*range(1, 31)]
    if before == after:
        run_finetune(tmp_path / "whole", devices=after, log_every=1)
        assert _bytes(tmp_path / "cut") == _bytes(tmp_path / "whole")


def _children() -> list[psutil.Process]:
    """The processes of ranks, in their order."""
    return [child for child in psutil.Process().children() if "spawn_main" in " ".join(child.cmdline())]


@FAULTS
@pytest.mark.parametrize("killed", [pytest.param(0, marks=pytest.mark.slow), 1])
def test_a_killed_rank_ends_the_others_and_a_rerun_resumes(tmp_path: Path, run_finetune: Finetune, killed: int) -> None:
    def kill(_metrics: Mapping[str, float], step: int) -> None:
        if step == 12:
            ranks.extend(_children())
            ranks[killed].kill()
            times.append(time.monotonic())

    ranks: list[psutil.Process] = []
    times: list[float] = []
    with pytest.raises(UserError, match=f"the process of device {killed} of 2 was killed by SIGKILL; .* rerun"):
        run_finetune(tmp_path / "cut", devices=2, checkpoint_every=5, callbacks=TrainingCallbacks(log_metrics=kill))
    assert time.monotonic() - times[0] < 10
    assert not any(rank.is_running() for rank in ranks)
    assert run_finetune(tmp_path / "cut", devices=2, checkpoint_every=5)["resumed_at_step"] == 10
    run_finetune(tmp_path / "whole", devices=2, checkpoint_every=5)
    assert _bytes(tmp_path / "cut") == _bytes(tmp_path / "whole")


@FAULTS
def test_a_fault_of_one_rank_arrives_as_its_line(
    tmp_path: Path, shards: Path, tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    from faulty_config import FAULT_AT, FaultyConfig

    config = FaultyConfig(epochs=2, batch_size=16, devices=2, log_every=1, checkpoint_every=2)
    with pytest.raises(UserError, match=r"^rank 1 has no memory left$"):
        finetune(shards, tiny_encoder, config, out=tmp_path)
    assert [point.step for point in read_history(tmp_path)] == [*range(1, FAULT_AT)]
    (checkpoint,) = (tmp_path / CHECKPOINTS).iterdir()
    assert checkpoint.name == f"step-{FAULT_AT - 1:08d}-epoch-0000"


@FAULTS
@pytest.mark.slow
def test_a_nan_of_one_rank_is_named_as_on_one_device(
    tmp_path: Path, run_finetune: Finetune, shards: Path, tiny_encoder: Path
) -> None:
    """The rarest token overflows: it makes the loss NaN of a rank that has it."""
    examples = ShardSet(shards, "train").examples
    tokens, counts = torch.unique(torch.from_numpy(examples.input_ids.astype("int64")), return_counts=True)
    folder = shutil.copytree(tiny_encoder, tmp_path / "encoder")
    tensors = load_file(folder / "model.safetensors")
    name = next(name for name in tensors if name.endswith("word_embeddings.weight"))
    tensors[name][tokens[counts.argmin()]] = 3e38
    save_file(tensors, folder / "model.safetensors")
    lines = []
    for devices in (1, 2):
        with pytest.raises(UserError, match="became nan in step") as error:
            run_finetune(tmp_path / str(devices), encoder=folder, devices=devices)
        lines.append(str(error.value))
    assert lines[0] == lines[1]


@FAULTS
@pytest.mark.slow
def test_ranks_end_with_a_killed_caller_and_a_rerun_resumes(
    tmp_path: Path, run_finetune: Finetune, shards: Path, tiny_encoder: Path
) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\nfrom pathlib import Path\n"
        "from nli_core.config import FinetuneConfig\nfrom nli_core.training.finetune import finetune\n"
        "if __name__ == '__main__':\n"
        "    shards, encoder, out = map(Path, sys.argv[1:])\n"
        "    config = FinetuneConfig(epochs=2, batch_size=16, learning_rate=1e-3, log_every=4, precision='fp32',\n"
        "                            devices=2, checkpoint_every=5)\n"
        "    finetune(shards, encoder, config, out=out)\n",
        encoding="utf-8",
    )
    out = tmp_path / "cut"
    out.mkdir()
    caller = subprocess.Popen([sys.executable, str(script), str(shards), str(tiny_encoder), str(out)])
    while not list(out.glob(f"{CHECKPOINTS}/step-*[0-9]")):
        assert caller.poll() is None
        time.sleep(0.01)
    ranks = psutil.Process(caller.pid).children(recursive=True)
    os.kill(caller.pid, signal.SIGKILL)
    caller.wait()
    _gone, alive = psutil.wait_procs(ranks, timeout=10)
    assert not alive
    run_finetune(out, devices=2, checkpoint_every=5)
    run_finetune(tmp_path / "whole", devices=2, checkpoint_every=5)
    assert _bytes(out) == _bytes(tmp_path / "whole")


@pytest.mark.parametrize(("devices", "match"), [(17, r"finetune\.devices: 17 cannot share a batch of 16; lower it")])
def test_more_devices_than_examples_are_refused(
    tmp_path: Path, run_finetune: Finetune, devices: int, match: str
) -> None:
    with pytest.raises(UserError, match=match):
        run_finetune(tmp_path, devices=devices)


@FAULTS
def test_an_error_before_the_first_step_is_one_line(tmp_path: Path, run_finetune: Finetune, tiny_encoder: Path) -> None:
    encoder = shutil.copytree(tiny_encoder, tmp_path / "encoder")
    (encoder / "model.safetensors").write_bytes(b"none")
    with pytest.raises(UserError, match=r"model\.safetensors") as error:
        run_finetune(tmp_path / "out", encoder=encoder, devices=2)
    assert "rank" not in str(error.value)
