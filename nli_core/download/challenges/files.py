"""The user's own file as a challenge set."""

from pathlib import Path

from nli_core.config import ChallengeConfig
from nli_core.data.corpus.challenge import ChallengeTable, section_of
from nli_core.data.corpus.layout import CorpusLayout, format_of
from nli_core.download.challenges.base import Challenge


def own_file(config: ChallengeConfig, *, has_pairs: bool) -> Challenge:
    """Return the set in the file that `path` names, with the columns of a corpus of files unless others are named.

    Raises:
        UserError: the name of the file tells no format.
    """
    assert config.path is not None
    form = format_of(Path(config.path))
    layout = CorpusLayout(
        format=form,
        files={"test": f"{config.name}.{form}"},
        premise=config.premise or ("premise",),
        hypothesis=config.hypothesis or "hypothesis" if has_pairs else None,
        label=config.label or "label",
        labels=(),
        section=section_of(config.name),
    )
    return Challenge(config.path, None, None, ChallengeTable(config.name, layout, config.labels, config.group))
