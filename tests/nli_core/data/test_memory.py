"""Packing a corpus of many rows must not take memory in proportion to them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

# Peak resident memory, in MiB, of reading, cleaning and packing the given number of rows.
SCRIPT = r"""
import resource, sys
from pathlib import Path
from nli_core.config import FileCorpus, PackConfig
from nli_core.data.pack import pack, pack_shard
from nli_core.download.corpora import download_corpus
rows, folder, encoder = int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
paths = {split: folder / f"{split}.csv" for split in ("train", "dev", "test")}
for split, path in paths.items():
    with path.open("w") as file:
        file.write("premise,hypothesis,label\n")
        for row in range(rows if split == "train" else 1000):
            file.write(f"a {split} girl {row} plays,somebody {row % 97} plays,{'yes' if row % 2 else 'no'}\n")
corpus, out = folder / "corpus", folder / "out"
corpus.mkdir(), out.mkdir()
config = FileCorpus(**{split: str(path) for split, path in paths.items()}, labels=("no", "yes"))
download_corpus(config, out=corpus, cache=folder, scratch=folder)
facts = pack(corpus, encoder, PackConfig(max_length=64, rows_per_shard=20_000), out=out,
             run_jobs=lambda jobs: [pack_shard(job) for job in jobs])
assert facts["splits"]["train"]["rows"] == rows
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def test_memory_stays_flat_as_rows_grow(tmp_path: Path, tiny_encoder: Path) -> None:
    peaks: dict[int, int] = {}
    for rows in (100_000, 1_000_000):
        folder = tmp_path / str(rows)
        folder.mkdir()
        command = [sys.executable, "-c", SCRIPT, str(rows), str(folder), str(tiny_encoder)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks[rows] = int(json.loads(done.stdout))
    assert peaks[1_000_000] < 1.3 * peaks[100_000], peaks
