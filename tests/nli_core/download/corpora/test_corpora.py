import gzip
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nli_core.data.corpus.layout import CorpusLayout
from nli_core.download.corpora.ag_news import AG_NEWS_ADDRESS, AG_NEWS_SHA256, AgNewsCorpus
from nli_core.download.corpora.files import FileCorpus
from nli_core.download.corpora.sample import SampleCorpus
from nli_core.download.corpora.snli import SNLI_ADDRESS, SNLI_SHA256, SnliCorpus
from nli_core.download.encoders.d2l import D2L_ADDRESS
from nli_core.download.fetch import Fetcher
from nli_core.errors import UserError

pytestmark = pytest.mark.faults("inputs tried")

ROWS = [{"text": f"text {place}", "class": "yes" if place % 2 else "no"} for place in range(10)]


@pytest.fixture
def download(tmp_path: Path) -> Callable[[Any], Path]:
    def run(config: Any) -> Path:
        out, scratch = tmp_path / "out", tmp_path / "scratch"
        out.mkdir()
        scratch.mkdir()
        config.download(out, Fetcher(tmp_path / "cache", scratch))
        return out

    return run


def _file_corpus(path: Path, **fields: Any) -> FileCorpus:
    return FileCorpus(train=str(path), premise="text", hypothesis=None, label="class", labels=("no", "yes"), **fields)


def test_the_sample_corpus_needs_nothing(download: Callable[[Any], Path]) -> None:
    out = download(SampleCorpus(pairs=90))
    layout = CorpusLayout.load(out)
    rows = [json.loads(line) for line in (out / layout.files["train"]).read_text().splitlines()]
    assert len(rows) == 60
    assert {row["label"] for row in rows} == set(layout.labels)


def test_snli_comes_from_a_server_with_its_digest_checked(
    server, shared_data: Path, download: Callable[[Any], Path]
) -> None:
    archive = (shared_data / "snli_1.0_subset.zip").read_bytes()
    (server.folder / "snli_1.0.zip").write_bytes(archive)
    sha256 = "96d24c2293e677915d4ed0e865ce7636255726dffc10606f84964c66e0fd965d"
    out = download(SnliCorpus(source=f"{server.address}/snli_1.0.zip", sha256=sha256))
    assert len((out / "snli_1.0_dev.txt").read_text().splitlines()) == 10_001
    assert CorpusLayout.load(out).labels == ("entailment", "contradiction", "neutral")


def test_the_release_is_known_by_its_digest_anywhere(tmp_path: Path) -> None:
    assert SnliCorpus().identity()["sha256"] == SNLI_SHA256
    mirrored = SnliCorpus(source="https://mirror.example/snli.zip", sha256=SNLI_SHA256)
    assert mirrored.identity() == SnliCorpus().identity()


def test_a_local_archive_is_known_by_its_contents(tmp_path: Path) -> None:
    one, two = tmp_path / "one.zip", tmp_path / "two.zip"
    one.write_bytes(b"same")
    two.write_bytes(b"same")
    assert SnliCorpus(source=str(one)).identity() == SnliCorpus(source=str(two)).identity()
    two.write_bytes(b"other")
    assert SnliCorpus(source=str(one)).identity() != SnliCorpus(source=str(two)).identity()
    with pytest.raises(UserError, match=r"corpus\.source: there is no file"):
        SnliCorpus(source=str(tmp_path / "none.zip")).identity()


@pytest.mark.parametrize("member", ["../snli_1.0_train.txt", "/etc/snli_1.0_train.txt", "a\\..\\snli_1.0_train.txt"])
def test_an_archive_whose_paths_lead_out_is_refused(
    tmp_path: Path, download: Callable[[Any], Path], member: str
) -> None:
    path = tmp_path / "evil.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, "x")
    with pytest.raises(UserError, match="leads out of the archive"):
        download(SnliCorpus(source=str(path)))
    assert not (tmp_path / "snli_1.0_train.txt").exists()


def test_a_link_in_an_archive_is_refused(tmp_path: Path, download: Callable[[Any], Path]) -> None:
    path = tmp_path / "link.zip"
    member = zipfile.ZipInfo("snli_1.0_train.txt")
    member.external_attr = 0o120777 << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, "/etc/passwd")
    with pytest.raises(UserError, match="is a link and not a file"):
        download(SnliCorpus(source=str(path)))


def test_an_archive_that_swells_beyond_measure_is_refused(tmp_path: Path, download: Callable[[Any], Path]) -> None:
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("snli_1.0_train.txt", b"0" * 200_000_000)
    with pytest.raises(UserError, match=r"would swell from [\d,]+ to 200,000,000 bytes"):
        download(SnliCorpus(source=str(path)))
    assert sum(found.stat().st_size for found in tmp_path.rglob("*") if found != path) < 1_000_000


def test_what_is_no_zip_or_lacks_a_file_is_refused(tmp_path: Path, download: Callable[[Any], Path]) -> None:
    path = tmp_path / "page.zip"
    path.write_text("<html>not found</html>")
    with pytest.raises(UserError, match=r"not an intact zip archive.*corpus\.source"):
        download(SnliCorpus(source=str(path)))


def test_an_archive_without_a_split_is_refused(tmp_path: Path, download: Callable[[Any], Path]) -> None:
    path = tmp_path / "part.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("snli_1.0/snli_1.0_train.txt", "x")
    with pytest.raises(UserError, match=r"has no snli_1\.0_dev\.txt"):
        download(SnliCorpus(source=str(path)))


def test_gzipped_files_arrive_plain(tmp_path: Path, download: Callable[[Any], Path]) -> None:
    path = tmp_path / "rows.jsonl.gz"
    text = "".join(json.dumps(row) + "\n" for row in ROWS)
    path.write_bytes(gzip.compress(text.encode()))
    out = download(_file_corpus(path))
    layout = CorpusLayout.load(out)
    assert (out / layout.files["train"]).read_text() == text
    assert layout.format == "jsonl"
    assert layout.carve == {"dev": 0.05, "test": 0.1}


def test_a_name_that_says_compressed_is_another_corpus(tmp_path: Path) -> None:
    paths = [tmp_path / "rows.csv", tmp_path / "rows.csv.gz"]
    for path in paths:
        path.write_bytes(gzip.compress(b"text,class\n"))
    plain, packed = (_file_corpus(path).identity() for path in paths)
    assert plain != packed


def test_a_truncated_gzip_is_refused(tmp_path: Path, download: Callable[[Any], Path]) -> None:
    path = tmp_path / "rows.csv.gz"
    path.write_bytes(gzip.compress(b"text,class\n" * 1000)[:-20])
    with pytest.raises(UserError, match="not an intact gzip file"):
        download(_file_corpus(path))


def test_user_files_are_known_by_contents_and_not_by_path(write_rows: Callable[..., Path]) -> None:
    one, two = write_rows("one.csv", ROWS), write_rows("two.csv", ROWS)
    assert _file_corpus(one).identity() == _file_corpus(two).identity()
    assert _file_corpus(one).identity() != _file_corpus(write_rows("three.csv", ROWS[:9])).identity()


def test_user_files_that_cannot_be_read_are_named(write_rows: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"corpus\.train: there is no file"):
        _file_corpus(tmp_path / "none.csv").identity()
    with pytest.raises(UserError, match="its name must end in"):
        _file_corpus(write_rows("rows.txt", ROWS)).identity()


@pytest.fixture
def news(tmp_path: Path) -> Path:
    folder = tmp_path / "news"
    folder.mkdir()
    for name in ("train", "test"):
        rows = [f'"{1 + place % 4}","Title {place}","of {name}"' for place in range(80)]
        (folder / f"{name}.csv").write_text("\n".join(rows) + "\n")
    return folder


def test_ag_news_comes_from_a_folder_or_a_server(server, news: Path, download: Callable[[Any], Path]) -> None:
    for path in news.iterdir():
        (server.folder / path.name).write_bytes(path.read_bytes())
    out = download(AgNewsCorpus(source=f"{server.address}/"))
    layout = CorpusLayout.load(out)
    assert layout.labels == ("World", "Sports", "Business", "Sci/Tech")
    assert layout.carve == {"dev": 0.05}
    assert (out / "train.csv").read_bytes() == (news / "train.csv").read_bytes()


def test_ag_news_is_known_by_its_contents(news: Path) -> None:
    published = AgNewsCorpus().identity()
    assert {published["train_sha256"], published["test_sha256"]} == set(AG_NEWS_SHA256.values())
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


def test_nothing_is_fetched_over_plain_http() -> None:
    assert all(address.startswith("https://") for address in (SNLI_ADDRESS, AG_NEWS_ADDRESS, D2L_ADDRESS))


def test_the_source_of_ag_news_is_a_folder(news: Path) -> None:
    with pytest.raises(
        UserError, match=r"corpus\.source: there is no folder .*train\.csv; give one with train\.csv and"
    ):
        AgNewsCorpus(source=str(news / "train.csv")).identity()
