"""Breaking NLI: premises of SNLI with one word replaced (Glockner et al., 2018, ACL, P18-2103)."""

from nli_core.data.corpus.challenge import ChallengeTable
from nli_core.data.corpus.layout import CorpusLayout
from nli_core.download.challenges.base import Challenge

BREAKING_NLI = Challenge(
    address="https://raw.githubusercontent.com/BIU-NLP/Breaking_NLI/master/breaking_nli_dataset.zip",
    sha256="b209e8d4ab15bcd8a5fc76be1c70452e4e253a92eaccb1c66c0b1b973e445371",
    member="dataset.jsonl",
    table=ChallengeTable(
        name="breaking-nli",
        layout=CorpusLayout(
            format="jsonl",
            files={"test": "breaking-nli.jsonl"},
            premise=("sentence1",),
            hypothesis="sentence2",
            label="gold_label",
            labels=("entailment", "contradiction", "neutral"),
        ),
        group="category",
    ),
)
"""The set: 8,193 pairs, by the kind of the replaced word."""
