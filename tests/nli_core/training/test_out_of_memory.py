"""A process that may use no more address space than a limit: the allocations that fail are real."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from transformers import BertConfig, BertModel

pytestmark = pytest.mark.faults("faults injected")

LIMITED = """
import resource, sys
from pathlib import Path
from nli_core.config import FinetuneConfig
from nli_core.data.examples.shards import ShardSet
from nli_core.errors import UserError
from nli_core.inference.logits import predict_logits
from nli_core.model.classifier import Classifier
from nli_core.model.device import choose_device
from nli_core.inference.prepare import prepare_for_inference
from nli_core.model.weights import load_encoder
from nli_core.training.finetune import finetune

work, shards, encoder, out = sys.argv[1], *map(Path, sys.argv[2:])
train, device = ShardSet(shards, "train"), choose_device("fp32")
model = prepare_for_inference(Classifier(load_encoder(encoder)[0], train.labels), device)
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 300 * 2**20,) * 2)
try:
    if work == "train":
        config = FinetuneConfig(epochs=1, batch_size=len(train), precision="fp32")
        finetune(shards, encoder, config, out=out)
    else:
        predict_logits(model, train.examples, device)
except UserError as error:
    print(error)
"""


@pytest.fixture
def wide_encoder(tiny_encoder: Path, tmp_path: Path) -> Path:
    """Few weights, and activations that fill hundreds of MiB."""
    folder, words = tmp_path / "wide", (tiny_encoder / "vocab.txt").read_text()
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 65_536}
    BertModel(BertConfig(vocab_size=len(words.split()), max_position_embeddings=128, **sizes)).save_pretrained(folder)
    (folder / "vocab.txt").write_text(words)
    return folder


@pytest.mark.parametrize(
    ("work", "message"),
    [
        (
            "train",
            r"no memory is left for step 1 of finetune, a batch of 240 examples of up to \d+ tokens, 60 at a time; "
            r"set finetune\.micro_batch_size below 60, or lower pack\.max_length",
        ),
        pytest.param(
            "predict",
            r"no memory is left for predicting \d+ examples of up to \d+ tokens; lower pack\.max_length",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_batch_that_does_not_fit_is_named(
    tmp_path: Path, shards: Path, wide_encoder: Path, work: str, message: str
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    command = [sys.executable, "-c", LIMITED, work, str(shards), str(wide_encoder), str(out)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    (line,) = done.stdout.splitlines()
    assert re.match(message, line), line
    assert not list(out.glob("model*"))
