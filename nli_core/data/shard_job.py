"""What packing hands to its workers, a shard each, and what they hand back."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from nli_core.arrays import IntArray
from nli_core.config import PackConfig
from nli_core.data.corpus.layout import Split


@dataclass(frozen=True)
class ShardJob:
    """One shard's worth of work: `rows` rows of the text in `table` from `start` on become the file `target`."""

    split: Split
    table: Path
    start: int
    rows: int
    target: Path
    tokenizer: Path
    labels: tuple[str, ...]
    config: PackConfig
    separator: str | None = None


@dataclass(frozen=True)
class ShardFacts:
    """What a shard holds: examples, rows by length [max_length + 1], examples by label [labels], and what was cut.

    `vocabulary_size` is that of the tokenizer, the same in every shard.
    """

    split: Split
    examples: int
    lengths: IntArray
    labels: IntArray
    truncated_examples: int
    truncated_tokens: int
    vocabulary_size: int


RunJobs = Callable[[Sequence[ShardJob]], Sequence[ShardFacts]]
