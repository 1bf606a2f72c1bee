"""Fine-tuning on a GPU: the stage itself on packed batches, against `transformers.Trainer` in bf16.

Needs torch, numpy, pyarrow, tokenizers, safetensors and pydantic alone, and no files: examples have SNLI's lengths and
random tokens, since speed does not depend on what they say. `transformers` is timed where it is installed. Run it from
the project's folder: python tests/benchmarks/bench_gpu.py
"""

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import torch
from bounds import floating_point_operations
from one_epoch import BERT_BASE, BERT_SMALL, VOCABULARY, train_one_epoch
from safetensors.torch import save_file

from nli_core.config import PackConfig
from nli_core.data.examples.encode import EncodedTexts
from nli_core.data.examples.ragged import RaggedExamples
from nli_core.data.examples.shards import ShardMetadata, ShardSet, shard_name, write_shard
from nli_core.filenames import TOKENIZER
from nli_core.model.classifier import Classifier
from nli_core.model.families.registry import build_encoder, read_architecture
from nli_core.model.weights import classifier_tensors

SHAPES = {"bert.small": BERT_SMALL, "bert.base": BERT_BASE}
BATCH_SIZE = 512
EXAMPLES = {"bert.small": 550_152, "bert.base": 100_352}
REPEATS = 3
LABELS = ("entailment", "contradiction", "neutral")
PEAKS = {"H100": 989e12, "H200": 989e12, "A100": 312e12}  # dense bf16 operations a second, from NVIDIA's data sheets


def write_data(folder: Path, examples: int) -> None:
    """Shards of examples as long as SNLI's: 27.5 tokens in the mean, 53 at the 99th percentile."""
    random = np.random.default_rng(0)
    (folder / TOKENIZER).mkdir(parents=True)
    for split, rows in (("train", examples), ("dev", 1024), ("test", 1024)):
        lengths = np.clip(np.round(random.lognormal(3.266, 0.3, rows)), 8, 128).astype(np.int64)
        ids = random.integers(1000, VOCABULARY, int(lengths.sum()), dtype=np.int64)
        packed = EncodedTexts(RaggedExamples(ids, lengths, lengths // 2, pad_id=0), 0, 0)
        metadata = ShardMetadata(
            split=split,
            first_id=0,
            labels=LABELS,
            tokenizer_sha256="0" * 64,
            vocabulary_size=VOCABULARY,
            pad_id=0,
            config=PackConfig(),
            truncated_examples=0,
            truncated_tokens=0,
        )
        labels = random.integers(0, len(LABELS), rows)
        write_shard(folder / shard_name(split, 0), np.arange(rows), labels, packed, metadata)


def write_encoder(folder: Path, shape: str) -> None:
    """Random weights in the Hugging Face layout."""
    folder.mkdir()
    described = {"model_type": "bert", "vocab_size": VOCABULARY, "max_position_embeddings": 512, **SHAPES[shape]}
    (folder / "config.json").write_text(json.dumps(described), encoding="utf-8")
    torch.manual_seed(0)
    model = Classifier(build_encoder(read_architecture(folder)), LABELS)
    save_file(classifier_tensors(model), folder / "model.safetensors", metadata={"format": "pt"})


def ours(shards: Path, encoder: Path) -> float:
    """Examples a second of the finetune stage's one epoch."""
    return float(train_one_epoch(shards, encoder, BATCH_SIZE)["examples_per_second"])


def trainer(shards: Path, encoder: Path) -> float:
    """Examples a second of the trainer's one epoch: bf16, dynamic padding, grouped by length, fused AdamW."""
    import transformers

    train = ShardSet(shards, "train").examples
    starts = np.cumsum(train.lengths) - train.lengths

    class Rows(torch.utils.data.Dataset[dict[str, Any]]):
        def __len__(self) -> int:
            return min(len(train), 50 * BATCH_SIZE)

        def __getitem__(self, place: int) -> dict[str, Any]:
            length = int(train.lengths[place])
            ids = train.input_ids[starts[place] : starts[place] + length].tolist()
            return {"input_ids": ids, "labels": place % len(LABELS)}

    def collate(rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        ids = [torch.tensor(row["input_ids"]) for row in rows]
        padded = torch.nn.utils.rnn.pad_sequence(ids, batch_first=True)
        return {
            "input_ids": padded,
            "attention_mask": (padded != 0).long(),
            "labels": torch.tensor([row["labels"] for row in rows]),
        }

    model = transformers.BertForSequenceClassification.from_pretrained(encoder, num_labels=len(LABELS))
    with tempfile.TemporaryDirectory() as out:
        arguments = transformers.TrainingArguments(
            out,
            num_train_epochs=1,
            per_device_train_batch_size=BATCH_SIZE,
            train_sampling_strategy="group_by_length",
            bf16=True,
            optim="adamw_torch_fused",
            dataloader_num_workers=8,
            report_to="none",
            save_strategy="no",
            disable_tqdm=True,
        )
        rows = Rows()
        training = transformers.Trainer(model, arguments, train_dataset=rows, data_collator=collate)
        torch.cuda.synchronize()
        started = time.perf_counter()
        training.train()
        torch.cuda.synchronize()
        return len(rows) / (time.perf_counter() - started)


def main() -> None:
    if not torch.cuda.is_available():
        sys.exit("bench_gpu.py: there is no GPU here")
    name = torch.cuda.get_device_name()
    peak = next((peak for known, peak in PEAKS.items() if known in name), None)
    print(f"{name}, torch {torch.__version__}; medians of {REPEATS}")
    for shape, examples in EXAMPLES.items():
        with tempfile.TemporaryDirectory() as folder:
            shards, encoder = Path(folder) / "shards", Path(folder) / "encoder"
            write_data(shards, examples)
            write_encoder(encoder, shape)
            mean = float(ShardSet(shards, "train").examples.lengths.mean())
            told: dict[str, list[float]] = {}
            for _ in range(REPEATS):
                told.setdefault("this project", []).append(ours(shards, encoder))
                try:
                    told.setdefault("transformers.Trainer, bf16", []).append(trainer(shards, encoder))
                except ImportError:
                    del told["transformers.Trainer, bf16"]
        for way, rates in told.items():
            rate = statistics.median(rates)
            operations = floating_point_operations(SHAPES[shape], mean * rate, rate, training=True)
            share = f"{operations / peak:.1%} MFU" if peak else "peak unknown"
            print(f"{shape}, {way}: {rate:,.0f} examples/s, {rate * mean:,.0f} tokens/s, {share}")


if __name__ == "__main__":
    main()
