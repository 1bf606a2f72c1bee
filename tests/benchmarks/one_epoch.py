"""What the benchmarks of training share: the architectures, and one epoch of the finetune stage in silence.

It needs no more than the core does, so that it runs on a bare GPU machine too.
"""

import tempfile
from pathlib import Path
from typing import Any

from nli_core.config import FinetuneConfig
from nli_core.training.finetune import finetune

VOCABULARY = 30_522
BERT_SMALL = {"hidden_size": 256, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 512}
MINILM = {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536}
BERT_BASE = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072}


def train_one_epoch(shards: Path, encoder: Path, batch_size: int) -> dict[str, Any]:
    """The facts of the stage, with its defaults but for the size of a batch."""
    config = FinetuneConfig(epochs=1, batch_size=batch_size, checkpoint_every=None)
    with tempfile.TemporaryDirectory() as out:
        return finetune(shards, encoder, config, out=Path(out))
