"""Several ranks train one model: on a CPU they are processes that share its cores."""

import json
import os
import random
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
from nli_core.config import FinetuneConfig, PackConfig
from nli_core.data.examples.shards import ShardSet
from nli_core.data.pack import pack
from nli_core.data.pack_shard import pack_shard
from nli_core.download.corpora.snli import SnliCorpus
from nli_core.download.fetch import Fetcher
from nli_core.errors import UserError
from nli_core.filenames import CHECKPOINTS, MODEL
from nli_core.training.curves import read_history
from nli_core.training.finetune import finetune

Finetune = Callable[..., dict[str, Any]]
FAULTS = pytest.mark.faults("faults of ranks")
KILLS = 5 + int(os.environ.get("NLI_KILL_ROUNDS", "1"))


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
        pytest.param(
            2,
            {"ema": 0.9, "evaluate_every": 4, "max_steps": 20, "class_weights": [1, 2, 1], "layer_decay": 0.9},
            marks=pytest.mark.slow,
        ),
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


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [2, 3])
@pytest.mark.parametrize(
    "sizes",
    [
        pytest.param((256, 2, 4, 512), id="bert.small"),
        pytest.param((384, 6, 12, 1536), id="MiniLM"),
    ],
)
def test_ranks_agree_on_real_pairs_at_real_sizes(
    tmp_path: Path, shared_data: Path, ranks: int, sizes: tuple[int, int, int, int]
) -> None:
    from transformers import BertConfig, BertModel

    encoder, corpus, shards = (tmp_path / name for name in ("encoder", "corpus", "shards"))
    names = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
    none = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    torch.manual_seed(0)
    BertModel(BertConfig(**dict(zip(names, sizes, strict=True)), **none)).save_pretrained(encoder)
    shutil.copy(shared_data / "bert-base-uncased" / "vocab.txt", encoder)
    for folder in (corpus, shards):
        folder.mkdir()
    source = SnliCorpus(source=str(shared_data / "snli_1.0_subset.zip"))
    source.download(corpus, Fetcher(corpus, corpus))
    _keep_lines(corpus / "snli_1.0_train.txt", 400)
    pack(corpus, source.layout, encoder, PackConfig(), out=shards, run_jobs=lambda jobs: list(map(pack_shard, jobs)))
    for devices in (1, ranks):
        config = FinetuneConfig(epochs=1, batch_size=33, precision="fp32", log_every=1, head_dropout=0, devices=devices)
        out = tmp_path / str(devices)
        out.mkdir()
        finetune(shards, encoder, config, out=out)
    _assert_alike(tmp_path / "1", tmp_path / str(ranks))


def _keep_lines(path: Path, count: int) -> None:
    path.write_text("".join(path.read_text(encoding="utf-8").splitlines(keepends=True)[:count]), encoding="utf-8")


@FAULTS
@pytest.mark.parametrize(
    ("before", "after"), [pytest.param(*pair, marks=pytest.mark.slow) for pair in ((2, 1), (1, 2), (1, 3), (2, 2))]
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


def _ranks(caller: psutil.Process) -> list[psutil.Process]:
    """The processes of ranks, in their order."""
    return [child for child in caller.children() if "spawn_main" in " ".join(child.cmdline())]


@FAULTS
@pytest.mark.slow
def test_a_stop_before_the_ranks_begin_ends_them(tmp_path: Path, run_finetune: Finetune) -> None:
    with pytest.raises(StoppedError, match="stopped before it began"):
        run_finetune(tmp_path / "out", devices=2, callbacks=TrainingCallbacks(should_stop=lambda: True))
    assert not [child for child in psutil.Process().children(recursive=True) if "multiprocessing" in str(child)]


@pytest.mark.slow
@pytest.mark.parametrize("killed", [0, 1])
def test_a_killed_rank_ends_the_others_and_a_rerun_resumes(tmp_path: Path, run_finetune: Finetune, killed: int) -> None:
    def kill(_metrics: Mapping[str, float], step: int) -> None:
        if step == 12:
            ranks.extend(_ranks(psutil.Process()))
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
@pytest.mark.slow
def test_an_interrupt_of_a_rank_alone_changes_nothing(tmp_path: Path, run_finetune: Finetune) -> None:
    def interrupt(_metrics: Mapping[str, float], step: int) -> None:
        if step == 12:
            _ranks(psutil.Process())[1].send_signal(signal.SIGINT)

    facts = run_finetune(tmp_path, devices=2, callbacks=TrainingCallbacks(log_metrics=interrupt))
    assert facts["steps"] == 30


@FAULTS
@pytest.mark.slow
def test_a_suspended_rank_does_not_outlive_its_caller(tmp_path: Path, run_finetune: Finetune) -> None:
    ranks: list[psutil.Process] = []

    def suspend(_metrics: Mapping[str, float], step: int) -> None:
        if step == 12:
            ranks.extend(_ranks(psutil.Process()))
            ranks[1].suspend()

    def stop() -> bool:
        if ranks:
            raise KeyboardInterrupt  # as by the second Ctrl-C
        return False

    with pytest.raises(KeyboardInterrupt):
        run_finetune(tmp_path, devices=2, callbacks=TrainingCallbacks(log_metrics=suspend, should_stop=stop))
    assert not any(rank.is_running() for rank in ranks)


@pytest.mark.slow
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


def _saved_step(out: Path) -> int:
    """The step of the newest whole checkpoint, 0 without one."""
    names = [path.name for path in out.glob(f"{CHECKPOINTS}/step-*") if not path.name.endswith(".partial")]
    return max((int(name.split("-")[1]) for name in names), default=0)


SCRIPT = """
import sys
from pathlib import Path
from nli_core.config import FinetuneConfig, PackConfig
from nli_core.training.finetune import finetune

if __name__ == "__main__":
    shards, encoder, out = map(Path, sys.argv[1:4])
    finetune(shards, encoder, FinetuneConfig.model_validate_json(sys.argv[4]), out=out)
"""


@FAULTS
@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_ranks_killed_anywhere_come_to_the_same(tmp_path: Path, shards: Path, tiny_encoder: Path) -> None:
    """The process that started the ranks is killed, or one of them; no process is left behind."""
    config = FinetuneConfig(epochs=5 * KILLS, batch_size=16, precision="fp32", devices=2, checkpoint_every=5)
    script, chance = tmp_path / "script.py", random.Random(0)
    script.write_text(SCRIPT, encoding="utf-8")
    for name in ("whole", "cut"):
        (tmp_path / name).mkdir()
    finetune(shards, tiny_encoder, config, out=tmp_path / "whole")
    paths = (shards, tiny_encoder, tmp_path / "cut")
    command = [sys.executable, str(script), *map(str, paths), config.model_dump_json()]
    for number in range(KILLS):
        caller = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        while _saved_step(tmp_path / "cut") < config.epochs * 15 * number // KILLS:
            assert caller.poll() is None
            time.sleep(0.002)
        time.sleep(chance.uniform(0, 0.2 if number else 5))  # the first kill falls into the start
        assert caller.poll() is None
        process = psutil.Process(caller.pid)
        ranks = _ranks(process)
        chance.choice([process, *ranks]).kill()
        assert caller.wait(20) != 0
        _gone, alive = psutil.wait_procs(ranks, timeout=20)
        assert not alive
    subprocess.run(command, check=True)
    assert _bytes(tmp_path / "cut") == _bytes(tmp_path / "whole")


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
