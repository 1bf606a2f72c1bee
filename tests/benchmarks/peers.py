"""`transformers.Trainer`, the peer of the benchmarks of training."""

import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bounds import PRECISION


def trainer_epoch(encoder: Path, tokenizer: Any, rows: Sequence[Mapping[str, Any]], batch_size: int) -> float:
    """Seconds of one epoch, as its documentation recommends it for texts of different lengths.

    That is in the machine's fast precision, padded to the longest of a batch, and grouped by the rows' `length`.
    """
    import transformers
    from datasets import Dataset

    model = transformers.AutoModelForSequenceClassification.from_pretrained(encoder, num_labels=3)
    with tempfile.TemporaryDirectory() as out:
        arguments = transformers.TrainingArguments(
            out,
            num_train_epochs=1,
            per_device_train_batch_size=batch_size,
            train_sampling_strategy="group_by_length",
            bf16=PRECISION == "bf16",
            use_cpu=True,
            optim="adamw_torch_fused",
            report_to="none",
            save_strategy="no",
            disable_tqdm=True,
        )
        collator = transformers.DataCollatorWithPadding(tokenizer)
        dataset = Dataset.from_list([dict(row) for row in rows])
        training = transformers.Trainer(model, arguments, train_dataset=dataset, data_collator=collator)
        started = time.perf_counter()
        training.train()
        return time.perf_counter() - started
