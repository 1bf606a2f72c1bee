"""A challenge set's table: how to read it, and what its labels mean for a model."""

from collections.abc import Mapping
from dataclasses import dataclass

from nli_core.data.corpus.layout import CorpusLayout

GROUP = "group"  # the column of the groups, once they are packed


@dataclass(frozen=True)
class ChallengeTable:
    """How to read the only file of a challenge set, its split test, and what its labels mean.

    `means` maps each of its labels to labels of a model; None: to the one of the same name. `group` is a column by
    whose values results are reported too.
    """

    name: str
    layout: CorpusLayout
    means: Mapping[str, tuple[str, ...]] | None = None
    group: str | None = None

    @property
    def section(self) -> str:
        """What errors call its config."""
        return section_of(self.name)


def section_of(name: str) -> str:
    """Return what errors call the config of the challenge set of this name."""
    return f"evaluate.challenges[{name}]"
