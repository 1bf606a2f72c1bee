"""What the fast path does to accuracy: MiniLM on a part of SNLI, against a plain loop over `transformers`, by seeds.

Fast: the recipe as it is (bf16 where the CPU is fast at it, dropout from random bytes, first-token-only last layer).
Plain: `BertForSequenceClassification` in fp32 with torch's dropout, on the same shards, batches and learning rates.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import torch
from reporting import DATA, accuracy, run_recipe, table, write_page

SEEDS = (0, 1, 2)
ROWS = {"train": 6_000, "dev": 1_000, "test": 4_000}


def write_archive(path: Path) -> None:
    """An archive laid out like SNLI's with the first rows of each split."""
    with zipfile.ZipFile(DATA / "snli_1.0_subset.zip") as whole, zipfile.ZipFile(path, "w") as part:
        for split, rows in ROWS.items():
            name = f"snli_1.0/snli_1.0_{split}.txt"
            lines = whole.read(name).decode().splitlines(keepends=True)
            part.writestr(name, "".join(lines[: rows + 1]))


def plain(shards: Path, encoder: Path, seed: int) -> float:
    """Test accuracy after one epoch of the plain loop."""
    from transformers import BertForSequenceClassification

    from nli_core.config import FinetuneConfig
    from nli_core.data.examples.ragged import Batch
    from nli_core.data.examples.shards import ShardSet
    from nli_core.data.loading.batching import evaluation_batches, training_batches
    from nli_core.training.optimizer import learning_rate

    config = FinetuneConfig(**json.loads(sys.argv[4]))
    train, test = ShardSet(shards, "train"), ShardSet(shards, "test")
    torch.manual_seed(seed)
    model = BertForSequenceClassification.from_pretrained(
        encoder, num_labels=len(train.labels), attn_implementation="eager", classifier_dropout=config.head_dropout
    ).train()

    def logits(batch: Batch) -> torch.Tensor:
        mask = (torch.arange(batch.input_ids.shape[1]) < batch.lengths[:, None]).long()
        return model(batch.input_ids, attention_mask=mask, token_type_ids=batch.token_type_ids).logits

    decayed = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in model.parameters() if parameter.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, eps=config.adam_epsilon)
    batches = training_batches(train.examples.lengths, config.batch_size, seed=seed, epoch=0)
    for step, places in enumerate(batches):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, len(batches), config)
        labels = torch.from_numpy(train.targets[places])
        torch.nn.functional.cross_entropy(logits(train.examples.batch(places)), labels).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip_norm or float("inf"))
        optimizer.step()
        optimizer.zero_grad()
    model.eval()
    correct = 0
    with torch.inference_mode():
        for places in evaluation_batches(test.examples.lengths, 4096):
            predicted = logits(test.examples.batch(places)).argmax(dim=1).numpy()
            correct += int(np.count_nonzero(predicted == test.targets[places]))
    return correct / len(test)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "snli.zip"
        write_archive(archive)
        compare(archive)


def compare(archive: Path) -> None:
    """Both ways on every seed, and the page."""
    rows, told = [], {"fast": [], "plain": []}
    for seed in SEEDS:
        settings = {"corpus.source": archive, "finetune.epochs": 1, "finetune.seed": seed, "evaluate.challenges": []}
        summary = run_recipe("snli-minilm", settings)
        stages = summary["outputs"]
        shards, downloaded = Path(stages["pack"]["path"]), Path(stages["encoder"]["path"])
        manifest = json.loads((Path(stages["finetune"]["path"]) / "manifest.json").read_text(encoding="utf-8"))
        config = json.dumps(manifest["ingredients"]["finetune"])
        command = [sys.executable, __file__, str(shards), str(downloaded / "encoder"), str(seed), config]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        told["fast"].append(summary["metrics"]["test/accuracy"])
        told["plain"].append(float(done.stdout.splitlines()[-1]))
        rows.append((seed, accuracy(summary, "test"), f"{told['plain'][-1]:.3f}"))
        print(*rows[-1], file=sys.stderr)
    rows.append(("mean", *(f"{statistics.mean(values):.3f}" for values in told.values())))
    write_page(
        "accuracy",
        "The fast path and a plain one",
        f"Test accuracy of MiniLM on the first {ROWS['test']:,} test pairs of SNLI after one epoch over the first "
        f"{ROWS['train']:,} training pairs of the subset; 95 % intervals after Wilson. "
        "The fast path is the recipe `snli-minilm`; the plain one a loop over `transformers` in fp32 with torch's own "
        "dropout, on the same batches.",
        table(("seed", "fast", "plain"), rows),
    )


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(plain(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])))
    else:
        main()
