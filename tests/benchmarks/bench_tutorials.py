"""Each tutorial recipe's architecture on the real data that can be had without a network, beside the tutorial's number.

The published weights cannot be fetched where this was written: MiniLM stands in for the lesson's pretrained BERTs, and
the book's small BERT begins from random weights over words of the training subset, as a lower line.
"""

import json
import tempfile
import zipfile
from collections import Counter
from pathlib import Path

import torch
from reporting import DATA, accuracy, run_recipe, table, write_page

from nli_core.download.encoders.d2l import D2lEncoder
from nli_core.model.initialization import BERT_DEVIATION

NEWS = {"corpus.source": DATA / "ag_news_csv", "corpus.train": "train_subset.csv"}
SNLI = {"corpus.source": DATA / "snli_1.0_subset.zip"}
MINILM = {"encoder.name": "minilm-l6"}


def random_checkpoint(folder: Path) -> Path:
    """The book's small BERT with random weights, over the words that stand twice in the training subset's parses."""
    from nli_core.download.encoders.d2l import expected_tensors

    with zipfile.ZipFile(DATA / "snli_1.0_subset.zip") as archive:
        rows = [line.split("\t") for line in archive.read("snli_1.0/snli_1.0_train.txt").decode().splitlines()[1:]]
    counts = Counter(word for row in rows for parse in row[1:3] for word in parse.lower().split())
    words = [word for word, count in counts.most_common() if count > 1 and word not in "()"]
    vocabulary = ["<unk>", "<pad>", "<mask>", "<cls>", "<sep>", *words]
    torch.manual_seed(0)
    tensors = {}
    for name, shape in expected_tensors(D2lEncoder(name="d2l:bert.small"), len(vocabulary)).items():
        fill = 1.0 if ".ln.weight" in name else 0.0
        is_matrix = len(shape) > 1
        tensors[name] = torch.randn(shape) * BERT_DEVIATION if is_matrix else torch.full(shape, fill)
    path = folder / "bert.small.torch.zip"
    torch.save(tensors, folder / "pretrained.params")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("bert.small.torch/vocab.json", json.dumps(vocabulary))
        archive.write(folder / "pretrained.params", "bert.small.torch/pretrained.params")
    return path


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        random = {"encoder.source": random_checkpoint(Path(scratch))}
        runs = [
            ("ag-news-transformer", "12 epochs", {**NEWS, "finetune.epochs": 12}),
            (
                "ag-news-transformer",
                "12 epochs, padding seen as in the lesson",
                {**NEWS, "finetune.epochs": 12, "pack.fill": "true"},
            ),
            (
                "ag-news-bert-features",
                "MiniLM, 40 epochs at 1e-2",
                {**NEWS, **MINILM, "finetune.epochs": 40, "finetune.learning_rate": 1e-2},
            ),
            ("ag-news-bert-finetune", "MiniLM, 1e-4", {**NEWS, **MINILM, "finetune.learning_rate": 1e-4}),
            ("snli-bert-small", "random weights, 5 epochs", {**SNLI, **random}),
            ("snli-bert-small", "random weights, 30 epochs", {**SNLI, **random, "finetune.epochs": 30}),
        ]
        rows, curves = [], []
        for recipe, what, settings in runs:
            summary = run_recipe(recipe, settings)
            facts = summary["outputs"]["finetune"]["facts"]
            rows.append(
                (
                    f"`{recipe}`",
                    what,
                    f"{facts['trainable_parameters']:,} of {facts['parameters']:,}",
                    accuracy(summary, "dev"),
                    accuracy(summary, "test"),
                )
            )
            history = (Path(summary["outputs"]["finetune"]["path"]) / "history.jsonl").read_text().splitlines()
            dev = [point["dev/accuracy"] for point in map(json.loads, history) if "dev/accuracy" in point]
            curves.append((f"`{recipe}`", what, " ".join(f"{value:.3f}" for value in dev)))
    write_page(
        "tutorials",
        "The tutorials' architectures on the data at hand",
        "Accuracies with 95 % intervals (Wilson). AG News: 7,980 training and 420 dev texts out of a subset of 8,400, "
        "the complete test split of 7,600. SNLI: a subset of 21,638 training pairs, complete dev and test. Dev chose "
        "the epoch, test was read once. One seed each. No figure here can be compared with a tutorial's own: those "
        "come from 120,000 and 549,367 training examples and other pretrained weights. MiniLM was itself trained on "
        "sentence pairs that include NLI training pairs.",
        table(("recipe", "with", "trainable parameters", "dev", "test"), rows),
        "## Dev accuracy by epoch",
        table(("recipe", "with", "dev accuracy"), curves),
    )


if __name__ == "__main__":
    main()
