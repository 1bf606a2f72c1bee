"""All corpora. To add one, write a file beside this one and add its class to `CORPORA`."""

from typing import TYPE_CHECKING, Annotated, Union

from pydantic import Field

from nli_core.download.corpora.ag_news import AgNewsCorpus
from nli_core.download.corpora.base import Corpus
from nli_core.download.corpora.files import FileCorpus
from nli_core.download.corpora.sample import SampleCorpus
from nli_core.download.corpora.snli import SnliCorpus

CORPORA: tuple[type[Corpus], ...] = (SampleCorpus, SnliCorpus, AgNewsCorpus, FileCorpus)

if TYPE_CHECKING:
    CorpusConfig = Corpus
else:
    CorpusConfig = Annotated[Union[CORPORA], Field(discriminator="name")]  # noqa: UP007  # of a tuple


def published_corpora() -> set[str]:
    """Return the names of the corpora that are not a user's own files."""
    return {str(corpus.model_fields["name"].default) for corpus in CORPORA if corpus.is_published}
