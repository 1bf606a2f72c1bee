"""Fine-tuning, against the book's loop (fp32, padded to 128) and the trainer way (dynamic padding, by length).

All train the same architecture from random weights on the same packed examples, whole epochs of them, so that it does
not matter which batches come first. A process measures one way, with each shape; only optimiser steps are timed.
"""

import math
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bounds import PRECISION, arithmetic_bound, bytes_a_second, bytes_moved, floating_point_operations, machine_note
from one_epoch import BERT_SMALL, MINILM, VOCABULARY, train_one_epoch
from peers import trainer_epoch
from reporting import DATA, ratio, spread, table, write_page
from safetensors import safe_open
from snli_text import write_corpus
from turns import answer, collect_garbage, take_turns

REPEATS = 5
CORES = 2
SHAPES = {"bert.small": BERT_SMALL, "MiniLM": MINILM}
BATCH_SIZE = {"bert.small": 512, "MiniLM": 64}
STEPS = {
    ("bert.small", "ours"): 16,
    ("bert.small", "trainer"): 4,
    ("bert.small", "book"): 1,
    ("MiniLM", "ours"): 12,
    ("MiniLM", "trainer"): 12,
}
# A CPU that is not fast at bf16 takes a quarter of the steps, to be done in minutes too.
PART = 1 if PRECISION == "bf16" else 4
EXAMPLES = {(shape, way): max(steps // PART, 1) * BATCH_SIZE[shape] for (shape, way), steps in STEPS.items()}


def ours(shape: str, shards: Path, encoder: Path) -> float:
    """The stage's own loop, for one epoch."""
    return float(train_one_epoch(shards, encoder, BATCH_SIZE[shape])["training_seconds"])


def trainer(shape: str, shards: Path, encoder: Path) -> float:
    """`transformers.Trainer`, on the same examples."""
    import transformers

    tokenizer = transformers.BertTokenizerFast(vocab=str(encoder / "vocab.txt"))
    rows = [{**_row(example), "length": len(example["ids"])} for example in _examples(shards)]
    return trainer_epoch(encoder, tokenizer, rows, BATCH_SIZE[shape])


def book(shape: str, shards: Path, encoder: Path) -> float:
    """The loop of the book's train_ch13 over its model and padded batches."""
    from book import import_d2l

    d2l, sizes = import_d2l(), SHAPES[shape]
    bert = d2l.BERTModel(
        VOCABULARY,
        num_hiddens=sizes["hidden_size"],
        ffn_num_hiddens=sizes["intermediate_size"],
        num_heads=sizes["num_attention_heads"],
        num_blks=sizes["num_hidden_layers"],
        dropout=0.1,
        max_len=512,
    )

    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder, self.hidden, self.output = bert.encoder, bert.hidden, torch.nn.LazyLinear(3)

        def forward(self, inputs: Any) -> torch.Tensor:
            return self.output(self.hidden(self.encoder(*inputs)[:, 0, :]))

    net, rows = Net(), _examples(shards)
    padded = {name: torch.zeros(len(rows), 128, dtype=torch.long) for name in ("ids", "types")}
    for place, row in enumerate(rows):
        for name, tensor in padded.items():
            tensor[place, : len(row[name])] = torch.tensor(row[name])
    lengths, labels = (torch.tensor([row[name] for row in rows]) for name in ("length", "label"))
    data = torch.utils.data.TensorDataset(padded["ids"], padded["types"], lengths, labels)
    loader = torch.utils.data.DataLoader(data, BATCH_SIZE[shape], shuffle=True)
    net([part[:2] for part in data.tensors[:3]])
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-4)
    loss, devices = torch.nn.CrossEntropyLoss(reduction="none"), [torch.device("cpu")]
    started = time.perf_counter()
    for ids, types, valid, wanted in loader:
        d2l.train_batch_ch13(net, [ids, types, valid], wanted, loss, optimizer, devices)
    return time.perf_counter() - started


def _examples(shards: Path) -> list[dict[str, Any]]:
    from nli_core.data.examples.shards import ShardSet

    train = ShardSet(shards, "train")
    starts = np.cumsum(train.examples.lengths) - train.examples.lengths
    rows = []
    for start, length, boundary, label in zip(
        starts, train.examples.lengths, train.examples.boundaries, train.targets, strict=True
    ):
        ids = train.examples.input_ids[start : start + length].tolist()
        types = [0] * boundary + [1] * (length - boundary)
        rows.append({"ids": ids, "types": types, "length": int(length), "label": int(label)})
    return rows


def _row(example: dict[str, Any]) -> dict[str, Any]:
    return {"input_ids": example["ids"], "token_type_ids": example["types"], "labels": example["label"]}


WAYS: dict[str, Callable[[str, Path, Path], float]] = {"ours": ours, "trainer": trainer, "book": book}

NAMES = {"ours": "this project", "trainer": "`transformers.Trainer`", "book": "the book's loop"}


def seconds_of(way: str, folder: Path) -> dict[str, float]:
    """What a way takes for an epoch of each shape that it is measured with."""
    told = {}
    for shape in SHAPES:
        if (shape, way) in EXAMPLES:
            collect_garbage()
            shards = folder / f"shards-{EXAMPLES[shape, way]}"
            told[shape] = WAYS[way](shape, shards, folder / f"encoder-{shape}")
    return told


def prepare(folder: Path, shape: str) -> Path:
    """A random encoder of this shape in the Hugging Face layout."""
    from transformers import BertConfig, BertModel

    encoder = folder / f"encoder-{shape}"
    torch.manual_seed(0)
    BertModel(BertConfig(vocab_size=VOCABULARY, **SHAPES[shape])).save_pretrained(encoder)
    (encoder / "vocab.txt").write_bytes((DATA / "bert-base-uncased" / "vocab.txt").read_bytes())
    return encoder


def pack_rows(folder: Path, encoder: Path, rows: int) -> tuple[Path, int]:
    """Shards of so many training pairs, and how many tokens they have."""
    from pack_stage import pack_pairs

    corpus, out = folder / f"corpus-{rows}", folder / f"shards-{rows}"
    if not out.exists():
        out.mkdir()
        write_corpus(DATA / "snli_1.0_subset.zip", corpus, rows, 300)
        pack_pairs(corpus, "parquet", encoder, out)
    from nli_core.data.examples.shards import ShardSet

    return out, int(ShardSet(out, "train").examples.lengths.sum())


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder, told = Path(name), {}
        encoders = {shape: prepare(folder, shape) for shape in SHAPES}
        parameters = {shape: _parameters(encoder) for shape, encoder in encoders.items()}
        shards = {rows: pack_rows(folder, encoders["MiniLM"], rows) for rows in set(EXAMPLES.values())}
        settings = {"OMP_NUM_THREADS": CORES, "TOKENIZERS_PARALLELISM": "false"}
        for way, measured in take_turns(__file__, list(WAYS), folder, repeats=REPEATS, **settings):
            for shape, seconds in measured.items():
                told.setdefault((shape, way), []).append(seconds)
                print(shape, way, f"{EXAMPLES[shape, way] / seconds:.0f} examples/s", file=sys.stderr)
    speed = {key: [shards[EXAMPLES[key]][1] / each for each in seconds] for key, seconds in told.items()}
    rows = []
    for (shape, way), examples in EXAMPLES.items():
        seconds = told[shape, way]
        median = statistics.median(seconds)
        tokens = shards[examples][1]
        operations = floating_point_operations(SHAPES[shape], tokens, examples, training=True)
        steps = -(-examples // BATCH_SIZE[shape])
        moved = bytes_moved(SHAPES[shape], parameters[shape], tokens, steps) / bytes_a_second(CORES)
        rows.append(
            (
                shape,
                NAMES[way],
                BATCH_SIZE[shape],
                f"{examples:,}",
                spread([examples / each for each in seconds]),
                f"{tokens / median:,.0f}",
                f"{arithmetic_bound(operations, CORES) / median:.0%}",
                f"{moved / median:.0%}",
                "" if way == "ours" else ratio(speed[shape, "ours"], speed[shape, way]),
            )
        )
    header = ("architecture", "way", "batch", "examples", "examples/s", "tokens/s", "arithmetic", "bytes")
    write_page(
        "training",
        "Fine-tuning",
        f"Random weights, a vocabulary of {VOCABULARY:,}, SNLI-like pairs; {CORES} threads; medians of {REPEATS} "
        "turns [least, largest] after one that warms up; each way has a process, and they take turns. The trainer: "
        f"{PRECISION}, dynamic padding, grouped by length, fused AdamW. The book: fp32, padded to 128. Ours: its "
        "defaults.",
        f"{machine_note(CORES)} *Arithmetic* is the part of the time that our matrix products alone would take at that "
        "rate, *bytes* the part in which what training must read and write would be moved (`bounds.py`).",
        table((*header, "ours is faster by (tokens/s)"), rows),
    )


def _parameters(encoder: Path) -> int:
    with safe_open(encoder / "model.safetensors", "pt") as file:
        return sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118


if __name__ == "__main__":
    if len(sys.argv) > 1:
        answer(partial(seconds_of, sys.argv[1], Path(sys.argv[2])))
    else:
        main()
