"""HANS: pairs on which three careless heuristics fail (McCoy et al., 2019, "Right for the Wrong Reasons")."""

from nli_core.data.corpus.challenge import ChallengeTable
from nli_core.data.corpus.layout import CorpusLayout
from nli_core.download.challenges.base import Challenge

HANS = Challenge(
    address="https://raw.githubusercontent.com/tommccoy1/hans/master/heuristics_evaluation_set.txt",
    sha256="c55b62feef9913070e88f38938dc2492018c945ac81f70139346472494124e79",  # by huggingface/datasets, hans 1.0.0
    member=None,
    table=ChallengeTable(
        name="hans",
        layout=CorpusLayout(
            format="raw_tsv",
            files={"test": "hans.tsv"},
            premise=("sentence1",),
            hypothesis="sentence2",
            label="gold_label",
            labels=("entailment", "non-entailment"),
        ),
        means={"entailment": ("entailment",), "non-entailment": ("neutral", "contradiction")},
        group="heuristic",
    ),
)
"""The evaluation set: 30,000 pairs, half of them entailed, by heuristic."""
