"""How cost grows: pack and audit with the rows, training with the size of a batch and the length of its examples.

Packing is the whole stage, from files to shards: cleaning, tokenizing, writing, the facts. Every measurement is a
process of its own. Figures go to `growth` beside the page.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from bench_training import SHAPES, prepare
from bounds import bytes_a_second
from matplotlib.figure import Figure
from one_epoch import VOCABULARY
from reporting import DATA, measure, results, table, write_page
from snli_text import pairs_layout, snli_text

from nli_core.data.corpus.layout import SPLITS

ROWS = (55_000, 550_000, 5_500_000)
PART = 550_000
EXAMPLES = 500  # of dev and test
BATCHES = (8, 16, 32, 64, 128, 256, 512)
LENGTHS = (16, 32, 64, 128, 256, 512)
TOKENS = 4_096  # in each batch of another length
LENGTH = 32  # of the examples in each batch of another size
SECONDS = 2.0


def write_corpus(folder: Path, rows: int) -> None:
    """Pairs in one CSV file a split; the rows of train are made and written in parts."""
    folder.mkdir()
    for split in SPLITS:
        wanted = rows if split == "train" else EXAMPLES
        with (folder / f"{split}.csv").open("wb") as file:
            for part, start in enumerate(range(0, wanted, PART)):
                text = snli_text(DATA / "snli_1.0_subset.zip", min(PART, wanted - start), seed=part)
                text.drop("id").write_csv(file, include_header=start == 0)


def pack_rows(corpus: Path, encoder: Path) -> None:
    """The whole pack stage on as many threads as cores; prints seconds and bytes."""
    from pack_stage import pack_pairs

    with tempfile.TemporaryDirectory(dir=corpus.parent) as out:
        started = time.perf_counter()
        pack_pairs(corpus, "csv", encoder, Path(out))
        seconds = time.perf_counter() - started
        shards = sum(path.stat().st_size for path in Path(out).glob("train-*.arrow"))
        print(json.dumps({"seconds": seconds, "bytes": shards}))


def audit_rows(corpus: Path) -> None:
    """The whole audit stage; prints seconds, of the wall and of processors."""
    from nli_core.audit.audit import audit

    with tempfile.TemporaryDirectory(dir=corpus.parent) as out:
        started, before = time.perf_counter(), time.process_time()
        audit(corpus, pairs_layout("csv"), (), empty_text="error", out=Path(out))
        print(json.dumps({"seconds": time.perf_counter() - started, "cpu": time.process_time() - before}))


def train_batches(encoder: Path, batch: int, length: int) -> None:
    """Steps of training on batches of one shape for some seconds; prints tokens a second."""
    from nli_core.config import FinetuneConfig
    from nli_core.malloc import keep_freed_memory
    from nli_core.model.classifier import Classifier
    from nli_core.model.device import choose_device
    from nli_core.model.weights import load_encoder
    from nli_core.training.optimizer import build_optimizer

    model, device = (
        Classifier(load_encoder(encoder)[0], ("a", "b", "c"), head_dropout=0.1).train(),
        choose_device("auto"),
    )
    optimizer = build_optimizer(model, model.encoder.architecture.num_hidden_layers, FinetuneConfig())
    ids, lengths = torch.randint(5, VOCABULARY, (batch, length)), torch.full((batch,), length)
    labels = torch.randint(0, 3, (batch,))

    def step() -> None:
        with device.autocast():
            logits = model(ids, torch.zeros_like(ids), lengths)
        torch.nn.functional.cross_entropy(logits.float(), labels).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    with keep_freed_memory():
        step()
        steps, started = 0, time.perf_counter()
        while steps < 2 or time.perf_counter() - started < SECONDS:
            step()
            steps += 1
        print(json.dumps({"rate": steps * batch * length / (time.perf_counter() - started)}))


def plot(name: str, panels: Sequence[tuple[str, str, Sequence[tuple[str, Sequence[float], Sequence[float]]]]]) -> str:
    """One PNG with a panel for each (x title, y title, lines); returns the markdown that shows it."""
    figure = Figure(figsize=(4.5 * len(panels), 3.6), layout="constrained")
    for axes, (x_title, y_title, lines) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        for label, places, values in lines:
            axes.plot(places, values, marker="o", label=label)
        axes.set_xscale("log", base=10 if x_title == "rows" else 2)
        axes.set_xlabel(x_title)
        axes.set_ylabel(y_title)
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
        if len(lines) > 1:
            axes.legend()
    folder = results() / "growth"
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / f"{name}.png", dpi=110)
    return f"![{name}](growth/{name}.png)"


def packing(folder: Path) -> list[str]:
    """The part of the page about packing."""
    encoder = prepare(folder, "MiniLM")
    rows, rates, memories = [], [], []
    for size in ROWS:
        corpus = folder / f"corpus-{size}"
        write_corpus(corpus, size)
        if size == ROWS[0]:
            measure(__file__, "pack", corpus, encoder)  # compiles what is not compiled yet
        told = measure(__file__, "pack", corpus, encoder)
        moved = ((corpus / "train.csv").stat().st_size + told["bytes"]) / bytes_a_second(os.cpu_count() or 1)
        rates.append(size / told["seconds"] / 1000)
        memories.append(told["mebibytes"])
        rows.append(
            (
                f"{size:,}",
                f"{told['seconds']:.1f}",
                f"{size / told['seconds']:,.0f}",
                f"{told['mebibytes']:,.0f}",
                f"{told['bytes'] / size:.1f}",
                f"{moved:.2f}",
            )
        )
        print(*rows[-1], file=sys.stderr)
    panels = [
        ("rows", "thousand rows/s", [("", ROWS, rates)]),
        ("rows", "largest memory, MiB", [("", ROWS, memories)]),
        ("rows", "seconds for a million rows", [("", ROWS, [1000 / rate for rate in rates])]),
    ]
    header = ("rows", "seconds", "rows/s", "largest memory, MiB", "bytes a row on the disk", "bytes' bound, s")
    return [
        "## Packing",
        "The whole stage on CSV files, from reading and cleaning to shards and facts. The bytes' bound is the time of "
        "a copy as large as the text and the shards together.",
        table(header, rows),
        plot("packing", panels),
    ]


def auditing(folder: Path) -> list[str]:
    """The part of the page about audit, on the corpora that packing left."""
    rows = []
    for size in ROWS:
        told = measure(__file__, "audit", folder / f"corpus-{size}")
        figures = (f"{told['seconds']:.1f}", f"{told['cpu']:.1f}", f"{told['mebibytes']:,.0f}")
        rows.append((f"{size:,}", *figures, f"{told['mebibytes'] * 2**20 / size:,.0f}"))
        print(*rows[-1], file=sys.stderr)
    return [
        "## Audit",
        "The whole stage on the same files: baseline, give-away words, duplicates. It runs beside training.",
        table(("rows", "seconds", "seconds of processors", "largest memory, MiB", "bytes a row"), rows),
    ]


def training(folder: Path) -> list[str]:
    """The part of the page about training."""
    encoders = {shape: prepare(folder, shape) for shape in SHAPES}
    told = {}
    for shape, encoder in encoders.items():
        for batch, length in [(size, LENGTH) for size in BATCHES] + [(TOKENS // length, length) for length in LENGTHS]:
            if (shape, batch, length) not in told:
                told[shape, batch, length] = measure(__file__, "train", encoder, batch, length)
                print(shape, batch, length, told[shape, batch, length], file=sys.stderr)
    sizes = [(f"{batch} of {LENGTH}", *(_cell(told[shape, batch, LENGTH]) for shape in SHAPES)) for batch in BATCHES]
    lengths = [
        (f"{TOKENS // length} of {length}", *(_cell(told[shape, TOKENS // length, length]) for shape in SHAPES))
        for length in LENGTHS
    ]
    panels = [
        (
            f"examples of {LENGTH} tokens in a batch",
            "tokens/s",
            [(shape, BATCHES, [told[shape, batch, LENGTH]["rate"] for batch in BATCHES]) for shape in SHAPES],
        ),
        (
            f"length of examples, {TOKENS:,} tokens in a batch",
            "tokens/s",
            [
                (shape, LENGTHS, [told[shape, TOKENS // length, length]["rate"] for length in LENGTHS])
                for shape in SHAPES
            ],
        ),
        (
            f"examples of {LENGTH} tokens in a batch",
            "largest memory, MiB",
            [(shape, BATCHES, [told[shape, batch, LENGTH]["mebibytes"] for batch in BATCHES]) for shape in SHAPES],
        ),
    ]
    return [
        "## Training",
        f"Optimiser steps on batches of one shape for {SECONDS:.0f} s each; tokens/s and the largest memory.",
        table(("batch", *SHAPES), sizes + lengths),
        plot("training", panels),
    ]


def _cell(told: dict[str, float]) -> str:
    return f"{told['rate']:,.0f} tokens/s, {told['mebibytes']:,.0f} MiB"


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_page("growth", "How cost grows", *packing(folder), *auditing(folder), *training(folder))


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] == "pack":
        pack_rows(Path(sys.argv[2]), Path(sys.argv[3]))
    elif len(sys.argv) > 1 and sys.argv[1] == "audit":
        audit_rows(Path(sys.argv[2]))
    elif len(sys.argv) > 1:
        train_batches(Path(sys.argv[2]), *map(int, sys.argv[3:]))
    else:
        main()
