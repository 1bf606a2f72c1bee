"""The whole pack stage, for benchmarks; as a script it packs in a process of its own, with nothing imported before."""

import os
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from snli_text import pairs_layout

from nli_core.config import PackConfig
from nli_core.data.corpus.layout import TableFormat
from nli_core.data.pack import pack
from nli_core.data.shard_job import ShardFacts, ShardJob
from tasks.runtime.garbage import collect_rarely


def pack_pairs(corpus: Path, kind: TableFormat, encoder: Path, out: Path) -> None:
    """Pack a corpus of `snli_text`, whose files are of this kind, on as many threads as cores."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:

        def run_jobs(jobs: Sequence[ShardJob]) -> list[ShardFacts]:
            from nli_core.data.pack_shard import pack_shard

            return list(pool.map(pack_shard, jobs))

        pack(corpus, pairs_layout(kind), encoder, PackConfig(), out=out, run_jobs=run_jobs)


if __name__ == "__main__":
    collect_rarely()  # `nli` does so earlier, before most imports
    corpus, encoder = map(Path, sys.argv[1:])
    with tempfile.TemporaryDirectory(dir=corpus.parent) as out:
        pack_pairs(corpus, "parquet", encoder, Path(out))
