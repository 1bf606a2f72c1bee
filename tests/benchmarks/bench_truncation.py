"""How the strategies of truncation differ: what each cuts, and what it costs in accuracy where inputs are short.

All of them cut the same number of tokens in all; they differ in whose. Dive into Deep Learning asks this in the second
exercise of 16.7.5.
"""

from pathlib import Path

import numpy as np
from reporting import DATA, accuracy, run_recipe, table, write_page

from nli_core.data.corpus.cleaning import clean_tables
from nli_core.data.examples.truncate import STRATEGIES
from nli_core.data.tokenize.tokenizer import Tokenizer
from nli_core.download.corpora.snli import SNLI_LAYOUT

MAX_LENGTH = 20
_SPECIALS = 3
SETTINGS = {"corpus.source": DATA / "snli_1.0_subset.zip", "finetune.epochs": 1, "evaluate.challenges": []}


def lengths(corpus: Path, tokenizer: Tokenizer, scratch: Path) -> tuple[np.ndarray, np.ndarray]:
    """Lengths in tokens of the premises and hypotheses of SNLI's complete test split."""
    import polars as pl

    layout = SNLI_LAYOUT.model_copy(update={"files": {"test": "snli_1.0_test.txt"}})
    rows = pl.read_ipc(clean_tables(layout, corpus, scratch, empty_text="error", names={})["test"].path)
    premise, hypothesis = (tokenizer.encode(rows[name].to_list())[1] for name in ("premise", "hypothesis"))
    return premise, hypothesis


def main() -> None:
    import tempfile

    rows, summaries = [], {}
    for name in STRATEGIES:
        settings = {
            "corpus.source": DATA / "snli_1.0_subset.zip",
            "pack.max_length": MAX_LENGTH,
            "evaluate.challenges": [],
        }
        summaries[name] = run_recipe("snli-minilm", {**settings, "pack.truncation": name, "finetune.epochs": 1})
    full = run_recipe(
        "snli-minilm", {"corpus.source": DATA / "snli_1.0_subset.zip", "finetune.epochs": 1, "evaluate.challenges": []}
    )
    corpus, encoder = (Path(full["outputs"][name]["path"]) / name for name in ("corpus", "encoder"))
    with tempfile.TemporaryDirectory() as scratch:
        premise, hypothesis = lengths(corpus, Tokenizer(encoder), Path(scratch))
    total = int(premise.sum() + hypothesis.sum())
    for name, strategy in STRATEGIES.items():
        kept_premise, kept_hypothesis = strategy(premise, hypothesis, MAX_LENGTH - _SPECIALS)
        rows.append(
            (
                f"`{name}`",
                f"{np.mean(kept_premise < premise):.1%}",
                f"{np.mean(kept_hypothesis < hypothesis):.1%}",
                f"{(premise - kept_premise).sum() / premise.sum():.1%}",
                f"{(hypothesis - kept_hypothesis).sum() / hypothesis.sum():.1%}",
                accuracy(summaries[name], "dev"),
                accuracy(summaries[name], "test"),
            )
        )
    rows.append(("(128 tokens)", "0.0%", "0.0%", "0.0%", "0.0%", accuracy(full, "dev"), accuracy(full, "test")))
    cut = premise + hypothesis > MAX_LENGTH - _SPECIALS
    header = ("truncation", "premises cut", "hypotheses cut", "premise tokens", "hypothesis tokens", "dev", "test")
    write_page(
        "truncation",
        f"Truncation of SNLI pairs to {MAX_LENGTH} tokens",
        "`snli-minilm` on SNLI's subset of 21,638 training pairs, one epoch, seed 0; complete dev and test. MiniLM has "
        "seen NLI pairs in its own training. "
        f"Shares are of the {len(premise):,} test pairs, of {total / len(premise):.1f} word pieces each without the "
        f"special tokens; {cut.mean():.1%} of them are too long.",
        table(header, rows),
    )


if __name__ == "__main__":
    main()
