"""A corpus is one file and one line: shown on a copy of the core, with a toy corpus."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

from nli_core.download.corpora.ag_news import AG_NEWS_ADDRESS
from nli_core.download.corpora.snli import SNLI_ADDRESS
from nli_core.download.encoders.d2l import D2L_ADDRESS

TOY = '''
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from nli_core.data.corpus.layout import SPLITS, CorpusLayout
from nli_core.download.corpora.base import Corpus
from nli_core.download.origin import Origin
from nli_core.download.source import Source


class ToyCorpus(Corpus):
    """Rows of one word."""

    name: Literal["toy"] = "toy"
    rows: int = Field(12, ge=2, description="rows of each split")

    @property
    def has_pairs(self) -> bool:
        return False

    @property
    def layout(self) -> CorpusLayout:
        files = {split: f"{split}.csv" for split in SPLITS}
        return CorpusLayout(
            format="csv", files=files, premise=("text",), hypothesis=None, label="label", labels=("no", "yes")
        )

    def identity(self) -> dict[str, Any]:
        return self.result_fields()

    def sources(self) -> Iterator[Source]:
        yield Source("toy", "/toys", "corpus.rows")

    def download(self, out: Path, fetcher: Any) -> Origin:
        for split in SPLITS:
            rows = [f"{split} word{row},{'yes' if row % 2 else 'no'}" for row in range(self.rows)]
            (out / f"{split}.csv").write_text("\\n".join(["text,label", *rows]) + "\\n")
        return Origin("toys", None, True)
'''
USE = """
import json, sys
from pathlib import Path

from nli_core.download.corpora.ag_news import AG_NEWS_ADDRESS
from nli_core.download.corpora.snli import SNLI_ADDRESS
from nli_core.download.encoders.d2l import D2L_ADDRESS
from nli_core.data.pack import pack
from nli_core.data.pack_shard import pack_shard
from nli_core.download.stage import download
from nli_core.run.config import parse_config
from nli_core.run.explain import explain
from nli_core.run.plan import key_inputs
from nli_core.store.store import Store
folder = Path(sys.argv[1])
config = parse_config({"corpus": {"name": "toy", "rows": 20}})
for name in ("a", "b", "shards"):
    (folder / name).mkdir()
download(config.corpus, out=folder / "a", cache=folder)
download(config.encoder, out=folder / "b", cache=folder)
run = lambda jobs: [*map(pack_shard, jobs)]
facts = pack(
    folder / "a" / "corpus", config.corpus.layout, folder / "b" / "encoder", config.pack,
    out=folder / "shards", run_jobs=run,
)
sources = [source.purpose for source in config.corpus.sources()]
plans = [plan.reason for plan in explain(config, Store(folder / "store"))]
print(json.dumps([facts["splits"]["train"]["rows"], key_inputs("corpus", config, {})["corpus"], sources, plans[0]]))
"""


def test_a_corpus_is_one_file_and_one_line(tmp_path: Path, project: Path) -> None:
    core = Path(shutil.copytree(project / "nli_core", tmp_path / "nli_core"))
    corpora = core / "download" / "corpora"
    (corpora / "toy.py").write_text(TOY)
    registry = (corpora / "registry.py").read_text()
    line = "CORPORA: tuple[type[Corpus], ...] = ("
    imported = "from nli_core.download.corpora.toy import ToyCorpus\n"
    changed = registry.replace(line, f"{line}ToyCorpus, ").replace("\nCORPORA", f"\n{imported}\nCORPORA")
    (corpora / "registry.py").write_text(changed)
    done = subprocess.run(
        [sys.executable, "-c", USE, str(tmp_path)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    rows, identity, sources, reason = json.loads(done.stdout.splitlines()[-1])
    assert (rows, sources, reason) == (20, ["toy"], "no earlier output")
    assert identity == {"name": "toy", "rows": 20}


def test_nothing_is_fetched_over_plain_http() -> None:
    assert all(address.startswith("https://") for address in (SNLI_ADDRESS, AG_NEWS_ADDRESS, D2L_ADDRESS))
