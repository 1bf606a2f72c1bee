"""`nli attention` on what users name: a run, a folder, an encoder."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from matplotlib import image

from flows.pipeline import RunSummary

Nli = Callable[..., "subprocess.CompletedProcess[str]"]
PAIR = ("A girl sleeps.", "A child is awake.")


def test_the_attention_of_a_run_is_drawn(nli_here: Nli, finished_run: RunSummary, workplace: Path) -> None:
    run_id = finished_run.mlflow_run_id
    assert run_id is not None
    for model in (run_id, f"runs:/{run_id}/model"):
        done = nli_here("attention", model, *PAIR, "--layer", "1", "--head", "2", "--output", "picture.png")
        assert done.returncode == 0, done.stderr
        assert "layer 1, head 2" in done.stdout
        assert image.imread(workplace / "picture.png").ndim == 3


def test_the_attention_of_a_folder_to_a_single_text_is_drawn(
    nli_here: Nli, tiny_encoder: Path, workplace: Path
) -> None:
    done = nli_here("attention", str(tiny_encoder), "A girl sleeps.")
    assert (done.returncode, (workplace / "attention.png").exists()) == (0, True)
    assert "layer 2, mean of heads" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["nothing"], "nothing: is neither the id of an MLflow run"),
        (["runs:/0123/model"], "has no such model"),
        (["minilm-l6", "--output", "picture.xyz"], "name a file that ends in .png"),
        (["minilm-l6", "--output", "."], "name a file that ends in .png"),
        (["minilm-l6", "--output", "out/picture.png"], "there is no folder out; make it"),
        (["minilm-l6", "--layer", "7"], "layer 7: this encoder has layers 1 to 6"),
        (["minilm-l6", "--head", "0"], "head 0: this encoder has heads 1 to 12"),
    ],
)
def test_what_cannot_be_drawn_is_one_line(nli_here: Nli, arguments: list[str], named: str) -> None:
    model, *options = arguments
    done = nli_here("attention", model, *PAIR, *options)
    assert done.returncode == 2
    assert done.stderr.startswith("nli: ")
    assert named in done.stderr


def test_a_fifo_in_a_models_folder_is_not_waited_for(nli_here: Nli, tiny_encoder: Path, tmp_path: Path) -> None:
    shutil.copy(tiny_encoder / "config.json", tmp_path)
    os.mkfifo(tmp_path / "model.safetensors")
    done = nli_here("attention", str(tmp_path), *PAIR)
    assert done.returncode == 2
    assert done.stderr == f"nli: {tmp_path}/model.safetensors: is no regular file; copy the model again\n"
