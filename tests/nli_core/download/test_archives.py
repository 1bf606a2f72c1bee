import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nli_core.download.corpora.snli import SnliCorpus
from nli_core.download.origin import Origin
from nli_core.errors import UserError

pytestmark = pytest.mark.faults("inputs tried")


@pytest.mark.parametrize("member", ["../snli_1.0_train.txt", "/etc/snli_1.0_train.txt", "a\\..\\snli_1.0_train.txt"])
def test_an_archive_whose_paths_lead_out_is_refused(
    tmp_path: Path, download: Callable[[Any], Origin], member: str
) -> None:
    path = tmp_path / "evil.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, "x")
    with pytest.raises(UserError, match="leads out of the archive"):
        download(SnliCorpus(source=str(path)))
    assert not (tmp_path / "snli_1.0_train.txt").exists()


def test_a_link_in_an_archive_is_refused(tmp_path: Path, download: Callable[[Any], Origin]) -> None:
    path = tmp_path / "link.zip"
    member = zipfile.ZipInfo("snli_1.0_train.txt")
    member.external_attr = 0o120777 << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, "/etc/passwd")
    with pytest.raises(UserError, match="is a link and not a file"):
        download(SnliCorpus(source=str(path)))


def test_an_archive_that_swells_beyond_measure_is_refused(tmp_path: Path, download: Callable[[Any], Origin]) -> None:
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("snli_1.0_train.txt", b"0" * 200_000_000)
    with pytest.raises(UserError, match=r"would swell from [\d,]+ to 200,000,000 bytes"):
        download(SnliCorpus(source=str(path)))
    assert sum(found.stat().st_size for found in tmp_path.rglob("*") if found != path) < 1_000_000


def test_what_is_no_zip_or_lacks_a_file_is_refused(tmp_path: Path, download: Callable[[Any], Origin]) -> None:
    path = tmp_path / "page.zip"
    path.write_text("<html>not found</html>")
    with pytest.raises(UserError, match=r"not an intact zip archive.*corpus\.source"):
        download(SnliCorpus(source=str(path)))
