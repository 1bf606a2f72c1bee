"""Predicting a file of many rows must not take memory in proportion to them."""

import subprocess
import sys
from pathlib import Path

import pytest

from nli_core.config import PackConfig
from nli_core.model.classifier import Classifier
from nli_core.model.saved import save_classifier
from nli_core.model.weights import load_encoder

# Peak resident memory, in MiB, of predicting the given number of pairs of texts.
SCRIPT = r"""
import random, resource, sys
from pathlib import Path
from nli_core.data.tokenize.fast import FastTokenizer
from nli_core.inference.tables import predict_table
from nli_core.inference.predictor import Predictor
rows, folder, model = int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
source, words = random.Random(0), "a girl in a blue dress plays on the lawn beside two dogs and an old man".split()
with (folder / "pairs.csv").open("w") as file:
    file.write("premise,hypothesis\n")
    for row in range(rows):
        file.write(f"{' '.join(words[:source.randint(3, 16)])} {row},{' '.join(words[:source.randint(2, 8)])}\n")
facts = predict_table(Predictor(model, FastTokenizer), folder / "pairs.csv", folder / "labels.parquet", model="m")
assert facts["rows"] == rows
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_memory_stays_flat_as_rows_grow(tmp_path: Path, tiny_encoder: Path) -> None:
    model = Classifier(load_encoder(tiny_encoder)[0], ("no", "yes"))
    save_classifier(model, tiny_encoder, tiny_encoder, tmp_path / "model", pack=PackConfig(), pairs=True)
    peaks: dict[int, int] = {}
    for rows in (200_000, 1_000_000):
        command = [sys.executable, "-c", SCRIPT, str(rows), str(tmp_path), str(tmp_path / "model")]
        peaks[rows] = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert peaks[1_000_000] < 1.15 * peaks[200_000], peaks
