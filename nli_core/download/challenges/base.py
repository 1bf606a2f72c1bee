"""What every challenge set offers. A published one is a file beside this one, and one line in `registry`."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nli_core.data.corpus.challenge import ChallengeTable
from nli_core.download import archives
from nli_core.download.corpora.base import contents_of
from nli_core.download.source import Source
from nli_core.urls import is_bucket, is_remote

if TYPE_CHECKING:
    from nli_core.download.fetch import Fetcher


@dataclass(frozen=True)
class Challenge:
    """A challenge set: where its file is, the digest that it must have, and how to read it.

    `member` is its name within a zip archive; None: the file is no archive.
    """

    address: str
    sha256: str | None
    member: str | None
    table: ChallengeTable

    @property
    def file(self) -> str:
        """The name of its file in the folder that `fetch` fills."""
        return self.table.layout.files["test"]

    def identity(self) -> dict[str, Any]:
        """Return what decides its file, for the key.

        Raises:
            UserError: a local file is missing.
        """
        contents = self.sha256 or contents_of(self.address, self._field)
        return {"contents": contents, "member": self.member, "gzipped": self.address.endswith(".gz")}

    def source(self) -> Source:
        """Return what `fetch` fetches or copies."""
        return Source(self.table.name, self.address, self._field)

    def fetch(self, out: Path, fetcher: "Fetcher") -> None:
        """Leave the file in the folder `out`.

        Raises:
            UserError: it cannot be fetched, or has another digest.
        """
        remedy = f"point {self._field} at a good copy"
        fetched = fetcher.fetch(self.address, digest=self.sha256, remedy=remedy)
        if self.member is not None:
            archives.extract(fetched, [self.member], out, remedy=remedy)
            (out / self.member).rename(out / self.file)
        elif self.address.endswith(".gz"):
            archives.gunzip(fetched, out / self.file, name=self.address, remedy=remedy)
        else:
            shutil.copyfile(fetched, out / self.file)

    @property
    def shown(self) -> str:
        """What errors call its file."""
        elsewhere = is_remote(self.address) or is_bucket(self.address)
        return self.member or (Path(self.address).name if elsewhere else self.address)

    @property
    def _field(self) -> str:
        return f"{self.table.section}.{'path' if self.table.layout.section else 'source'}"
