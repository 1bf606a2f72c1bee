"""What every kind of encoder offers. A kind is one file beside this one, and one line in `registry`."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from nli_core.config.base import Section
from nli_core.download.origin import Origin
from nli_core.download.source import Source

if TYPE_CHECKING:
    from nli_core.download.fetch import Fetcher

CONFIG_NAME = "config.json"


class Encoder(Section, ABC):
    """A config section that knows its files: their identity, their sources, and how to fetch them.

    The files have the Hugging Face layout: `config.json`, the weights, and the tokenizer's files.
    """

    is_pretrained: ClassVar[bool] = True
    reads_pairs: ClassVar[bool] = True
    name: str

    @property
    def seen(self) -> str | None:
        """What is known of labelled examples in its pretraining, in words; None: nothing is."""
        return None

    @property
    def licence(self) -> str | None:
        """The licence of its weights, as far as it is known."""
        return None

    @classmethod
    @abstractmethod
    def claims(cls, name: str) -> bool:
        """Return whether an encoder of this name is of this kind."""

    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """Return what decides the files, for the key: digests, a hub revision, or sizes.

        Raises:
            UserError: the name has no known form, or a local file is missing.
        """

    @abstractmethod
    def sources(self) -> Iterator[Source]:
        """Yield what `download` fetches or copies; installed files are not among it."""

    @abstractmethod
    def download(self, out: Path, fetcher: "Fetcher") -> Origin:
        """Leave the encoder's files in the folder `out`.

        Raises:
            UserError: a file cannot be fetched, is damaged, or has another digest.
        """
