"""Packing a corpus of many rows must not take memory in proportion to them: read, cleaned, carved, compared, packed."""

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
from nli_core.download.corpora.files import FileCorpus
from nli_core.config import PackConfig
from nli_core.data.pack import pack
from nli_core.data.pack_shard import pack_shard
from nli_core.download.fetch import Fetcher
rows, folder, encoder = int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
words = "a girl in a blue dress plays on the lawn beside two dogs and an old man"
with (folder / "train.csv").open("w") as file:
    file.write("premise,hypothesis,label\n")
    file.writelines(f"{words} {row},{words} {row % 97},{'yes' if row % 2 else 'no'}\n" for row in range(rows))
corpus, out = folder / "corpus", folder / "out"
corpus.mkdir(), out.mkdir()
config = FileCorpus(train=str(folder / "train.csv"), labels=("no", "yes"))
config.download(corpus, Fetcher(folder, folder))
facts = pack(corpus, config.layout, encoder, PackConfig(max_length=64, rows_per_shard=50_000), out=out,
             run_jobs=lambda jobs: [pack_shard(job) for job in jobs])
assert sum(facts["splits"][split]["rows"] for split in ("train", "dev", "test")) == rows
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def test_memory_stays_flat_as_rows_grow(tmp_path: Path, tiny_encoder: Path) -> None:
    peaks: dict[int, int] = {}
    for rows in (300_000, 3_000_000):
        folder = tmp_path / str(rows)
        folder.mkdir()
        command = [sys.executable, "-c", SCRIPT, str(rows), str(folder), str(tiny_encoder)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks[rows] = int(json.loads(done.stdout))
    assert peaks[3_000_000] < 1.3 * peaks[300_000], peaks
