import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nli_core.download.corpora.snli import SNLI_SHA256, SnliCorpus
from nli_core.download.origin import Origin
from nli_core.errors import UserError

pytestmark = pytest.mark.faults("inputs tried")


def test_snli_comes_from_a_server_with_its_digest_checked(
    server, shared_data: Path, out: Path, download: Callable[[Any], Origin]
) -> None:
    archive = (shared_data / "snli_1.0_subset.zip").read_bytes()
    (server.folder / "snli_1.0.zip").write_bytes(archive)
    sha256 = "96d24c2293e677915d4ed0e865ce7636255726dffc10606f84964c66e0fd965d"
    download(SnliCorpus(source=f"{server.address}/snli_1.0.zip", sha256=sha256))
    assert len((out / "snli_1.0_dev.txt").read_text().splitlines()) == 10_001
    assert {path.name for path in out.iterdir()} == set(SnliCorpus().layout.files.values())
    assert SnliCorpus().layout.labels == ("entailment", "contradiction", "neutral")


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


def test_an_archive_without_a_split_is_refused(tmp_path: Path, download: Callable[[Any], Origin]) -> None:
    path = tmp_path / "part.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("snli_1.0/snli_1.0_train.txt", "x")
    with pytest.raises(UserError, match=r"has no snli_1\.0_dev\.txt"):
        download(SnliCorpus(source=str(path)))
