import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nli_core.download.corpora.sample import SampleCorpus
from nli_core.download.origin import Origin

pytestmark = pytest.mark.faults("inputs tried")


def test_the_sample_corpus_needs_nothing(out: Path, download: Callable[[Any], Origin]) -> None:
    corpus = SampleCorpus(pairs=90)
    download(corpus)
    layout = corpus.layout
    rows = [json.loads(line) for line in (out / layout.files["train"]).read_text().splitlines()]
    assert len(rows) == 60
    assert {row["label"] for row in rows} == set(layout.labels)
