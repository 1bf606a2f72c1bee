"""All challenge sets. To add one, write a file beside this one and add a line to `PUBLISHED`."""

from collections.abc import Mapping
from dataclasses import replace

from nli_core.config import ChallengeConfig
from nli_core.data.corpus.challenge import section_of
from nli_core.download.challenges.base import Challenge
from nli_core.download.challenges.breaking_nli import BREAKING_NLI
from nli_core.download.challenges.files import own_file
from nli_core.download.challenges.hans import HANS
from nli_core.errors import UserError, did_you_mean

PUBLISHED: Mapping[str, Challenge] = {each.table.name: each for each in (HANS, BREAKING_NLI)}


def find_challenge(config: ChallengeConfig, *, has_pairs: bool) -> Challenge:
    """Return the challenge set of a config; `has_pairs` says whether the model's examples are pairs.

    Raises:
        UserError: the config names neither a published set nor a file, or a published set is for other examples.
    """
    where = section_of(config.name)
    if config.path is not None:
        if config.name in PUBLISHED:
            raise UserError(f"{where}: is a published set; set source to a copy of it, or give your file another name")
        if config.hypothesis is not None and not has_pairs:
            raise UserError(f"{where}.hypothesis: this corpus has single texts; leave it out")
        return own_file(config, has_pairs=has_pairs)
    if config.name not in PUBLISHED:
        known = ", ".join(PUBLISHED)
        alike = did_you_mean(config.name, PUBLISHED)
        raise UserError(f"{where}: there is no published set of this name, only {known}{alike}; set path to your file")
    if given := sorted(config.given()):
        raise UserError(f"{where}.{given[0]}: the columns of a published set are known; leave it out")
    if not has_pairs:
        raise UserError(f"{where}: has pairs of texts, and this corpus single texts; leave it out")
    published = PUBLISHED[config.name]
    # Of a copy elsewhere no digest is known.
    return replace(published, address=config.source, sha256=None) if config.source else published
