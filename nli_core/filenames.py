"""The names of what each stage leaves in its folder of the store.

Kept apart from the stages, so that whoever only looks for a file need not import what makes it.
"""

# download
CORPUS = "corpus"
ENCODER = "encoder"
WORDS_TO_LEARN = "words_to_learn.json"  # instead of a tokenizer: how many words packing is to learn from train
TOKENIZER_FILES = ("tokenizer.json", "vocab.txt", "tokenizer_config.json", "special_tokens_map.json", WORDS_TO_LEARN)

# pack
TOKENIZER = "tokenizer"

# challenges, in a folder for each
MEANINGS = "meanings.json"

# audit
AUDIT = "audit.json"

# finetune
MODEL = "model"
CHECKPOINTS = "checkpoints"
HISTORY = "history.jsonl"

# evaluate
METRICS = "metrics.json"
DETAILS = "evaluation.json"
GATE = "gate"  # the part of test that only promotion reads
CALIBRATION = "calibration.json"
REPORT = "report.html"
CARD = "README.md"
FIGURES = "figures"


def text_name(split: str) -> str:
    """Return the name of the Arrow file with the text of a split, which pack leaves for dev and test."""
    return f"text-{split}.arrow"


def audit_name(split: str) -> str:
    """Return the name of the Parquet file with what audit says of each example of a split: dev or test."""
    return f"audit-{split}.parquet"


def challenge_name(name: str) -> str:
    """Return the name of the Parquet file with the predictions for a challenge set."""
    return f"challenge-{name}.parquet"


def predictions_name(split: str) -> str:
    """Return the name of the Parquet file with the predictions for a split."""
    return f"predictions-{split}.parquet"
