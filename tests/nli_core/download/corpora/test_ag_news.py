from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nli_core.download.corpora.ag_news import AG_NEWS_SHA256, AgNewsCorpus
from nli_core.download.fetch import Fetcher
from nli_core.download.origin import Origin
from nli_core.errors import UserError

pytestmark = pytest.mark.faults("inputs tried")


@pytest.fixture
def news(tmp_path: Path) -> Path:
    folder = tmp_path / "news"
    folder.mkdir()
    for name in ("train", "test"):
        rows = [f'"{1 + place % 4}","Title {place}","of {name}"' for place in range(80)]
        (folder / f"{name}.csv").write_text("\n".join(rows) + "\n")
    return folder


def test_ag_news_comes_from_a_folder_or_a_server(
    server, news: Path, out: Path, download: Callable[[Any], Origin]
) -> None:
    for path in news.iterdir():
        (server.folder / path.name).write_bytes(path.read_bytes())
    corpus = AgNewsCorpus(source=f"{server.address}/")
    download(corpus)
    layout = corpus.layout
    assert layout.labels == ("World", "Sports", "Business", "Sci/Tech")
    assert layout.carve == {"dev": 0.05}
    assert (out / "train.csv").read_bytes() == (news / "train.csv").read_bytes()


def test_ag_news_is_known_by_its_contents(news: Path) -> None:
    published = AgNewsCorpus().identity()
    assert published == AG_NEWS_SHA256
    mirrored = AgNewsCorpus(
        source="https://mirror.example",
        train="a.csv",
        train_sha256=AG_NEWS_SHA256["train"],
        test_sha256=AG_NEWS_SHA256["test"],
    )
    assert mirrored.identity() == published
    (news / "copy.csv").write_bytes((news / "train.csv").read_bytes())
    ours = AgNewsCorpus(source=str(news)).identity()
    assert ours == AgNewsCorpus(source=str(news), train="copy.csv").identity()


def test_the_genuine_test_file_of_ag_news_counts_as_verified(shared_data: Path, tmp_path: Path) -> None:
    config = AgNewsCorpus(
        source=str(shared_data / "ag_news_csv"), train="test.csv", train_sha256=AG_NEWS_SHA256["test"]
    )
    assert config.download(tmp_path, Fetcher(tmp_path, tmp_path)).verified
    subset = AgNewsCorpus(source=str(shared_data / "ag_news_csv"), train="train_subset.csv")
    assert not subset.download(tmp_path, Fetcher(tmp_path, tmp_path)).verified


def test_a_missing_file_of_ag_news_is_one_line(news: Path) -> None:
    (news / "test.csv").unlink()
    with pytest.raises(UserError, match=r"corpus\.test: there is no file .*news/test\.csv"):
        AgNewsCorpus(source=str(news)).identity()


def test_the_source_of_ag_news_is_a_folder(news: Path) -> None:
    with pytest.raises(
        UserError, match=r"corpus\.source: there is no folder .*train\.csv; give one with train\.csv and"
    ):
        AgNewsCorpus(source=str(news / "train.csv")).identity()
