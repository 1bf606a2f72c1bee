"""Breaking NLI: premises of SNLI with one word replaced (Glockner et al., 2018, ACL, P18-2103)."""

from nli_core.config import ChallengeConfig
from nli_core.data.corpus.challenge import ChallengeTable
from nli_core.data.corpus.layout import CorpusLayout
from nli_core.download.challenges.base import Challenge, copy_of

NAME = "breaking-nli"
ADDRESS = "https://raw.githubusercontent.com/BIU-NLP/Breaking_NLI/master/breaking_nli_dataset.zip"
SHA256 = "b209e8d4ab15bcd8a5fc76be1c70452e4e253a92eaccb1c66c0b1b973e445371"


def breaking_nli(config: ChallengeConfig) -> Challenge:
    """Return the set: 8,193 pairs, by the kind of the replaced word."""
    address, sha256 = copy_of(config, ADDRESS, SHA256)
    layout = CorpusLayout(
        format="jsonl",
        files={"test": "breaking-nli.jsonl"},
        premise=("sentence1",),
        hypothesis="sentence2",
        label="gold_label",
        labels=("entailment", "contradiction", "neutral"),
    )
    return Challenge(address, sha256, "dataset.jsonl", ChallengeTable(NAME, layout, None, "category"))
