"""What every corpus offers. A corpus is one file beside this one, and one line in `registry`."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from nli_core.config.base import Section
from nli_core.data.corpus.layout import CorpusLayout, Split
from nli_core.download.origin import Origin
from nli_core.download.source import Source
from nli_core.errors import UserError
from nli_core.hashing import file_sha256
from nli_core.paths import user_path
from nli_core.urls import is_bucket, is_remote, without_password

if TYPE_CHECKING:
    from nli_core.download.fetch import Fetcher


class Corpus(Section, ABC):
    """A config section that knows its files: their identity, their sources, and how to fetch them."""

    is_published: ClassVar[bool] = True  # and so has a name of its own, unlike a user's files
    annotators: ClassVar[tuple[str, ...]] = ()  # columns with the label that each annotator chose
    licence: ClassVar[str | None] = None
    place: ClassVar[str | None] = "source"  # the field that says where it comes from
    name: str

    @property
    @abstractmethod
    def has_pairs(self) -> bool:
        """Whether an example is a premise and a hypothesis, or a single text."""

    @property
    def user_files(self) -> dict[Split, str]:
        """The paths of the user's own files, by split."""
        return {}

    @property
    @abstractmethod
    def layout(self) -> CorpusLayout:
        """How pack is to read the files that `download` leaves.

        Raises:
            UserError: the files have no common format.
        """

    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """Return what decides the corpus' files, for the key: digests of local files and never their paths.

        Raises:
            UserError: a local file is missing.
        """

    @abstractmethod
    def sources(self) -> Iterator[Source]:
        """Yield what `download` fetches or copies."""

    @abstractmethod
    def download(self, out: Path, fetcher: "Fetcher") -> Origin:
        """Leave the tables that the layout names in the folder `out`.

        Raises:
            UserError: a file cannot be fetched or has another digest.
        """


def existing_file(path: str, field: str) -> Path:
    """Return the path of a user's file.

    Raises:
        UserError: there is no such file; names the field.
    """
    if "://" in path:
        shown = without_password(path).partition("?")[0]  # a signature may follow
        raise UserError(f"{field}: {shown} is neither a path nor in a bucket (s3://...); download it first")
    expanded = user_path(path)
    if expanded.exists() and not expanded.is_file():
        raise UserError(f"{field}: {path} is no regular file; give the path of one")
    if not expanded.is_file():
        raise UserError(f"{field}: there is no file {path} (looked in {Path.cwd()}); give the path of one")
    return expanded


def contents_of(address: str, field: str) -> str:
    """Return what identifies a file in the key: its digest, its mark in a bucket, or an address of http(s).

    Raises:
        UserError: there is no such file; names the field.
    """
    if is_bucket(address):
        from nli_core.remote.objects import find_object  # only those who use a bucket import its package

        entry = find_object(address, field)
        return f"etag {entry.etag}, {entry.size} bytes"
    return without_password(address) if is_remote(address) else file_sha256(existing_file(address, field))
