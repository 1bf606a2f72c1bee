"""What several devices cost and bring on one CPU: the launcher with one rank, and two ranks against two threads.

On a CPU the ranks share the cores, so that no more than the cost of dividing shows. Every measurement is a process of
its own, in whole and in optimiser steps alone.
"""

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

from bench_training import BATCH_SIZE, SHAPES, pack_rows, prepare
from reporting import measure, table, write_page

REPEATS = 3
CORES = 2
EXAMPLES = {"bert.small": 8_192, "MiniLM": 1_024}
WAYS = {
    "in process": "in process, two threads",
    "launched": "one rank of the launcher, two threads",
    "two ranks": "two ranks (gloo), a thread each",
}


def run(way: str, shape: str, shards: Path, encoder: Path) -> dict[str, float]:
    """Seconds of one epoch: of its steps, and of all with the start of the processes."""
    from nli_core.callbacks import TrainingCallbacks
    from nli_core.config import FinetuneConfig
    from nli_core.training.finetune import finetune
    from nli_core.training.output import Job
    from nli_core.training.processes.launch import launch
    from nli_core.training.processes.torchrun import Torchrun

    config = FinetuneConfig(
        epochs=1, batch_size=BATCH_SIZE[shape], checkpoint_every=None, devices=2 if way == "two ranks" else 1
    )
    with tempfile.TemporaryDirectory() as name:
        started = time.perf_counter()
        if way == "launched":
            facts = launch(Torchrun(Job(shards, encoder, config, Path(name)), 1), TrainingCallbacks())
        else:
            facts = finetune(shards, encoder, config, out=Path(name))
        return {"steps": facts["training_seconds"], "whole": time.perf_counter() - started}


def main() -> None:
    measured: dict[tuple[str, str], list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        encoders = {shape: prepare(folder, shape) for shape in SHAPES}
        shards = {rows: pack_rows(folder, encoders["MiniLM"], rows)[0] for rows in EXAMPLES.values()}
        for _ in range(REPEATS):
            for shape, examples in EXAMPLES.items():
                for way in WAYS:
                    seconds = measure(__file__, way, shape, shards[examples], encoders[shape], OMP_NUM_THREADS=CORES)
                    measured.setdefault((shape, way), []).append(seconds)
                    print(shape, way, seconds, file=sys.stderr)
    medians = {
        place: {what: statistics.median(each[what] for each in seconds) for what in ("steps", "whole")}
        for place, seconds in measured.items()
    }
    rows = [
        (
            shape,
            WAYS[way],
            f"{EXAMPLES[shape] / seconds['steps']:,.0f}",
            f"{medians[shape, 'in process']['steps'] / seconds['steps']:.2f}",
            f"{seconds['whole'] - seconds['steps']:.1f}",
        )
        for (shape, way), seconds in medians.items()
    ]
    write_page(
        "scale",
        "Several devices on one CPU",
        f"One epoch of random pairs with SNLI's lengths, medians of {REPEATS} alternating runs. The ranks share the "
        "cores: the table shows what dividing costs, and not what more devices bring. `start and end` is all but the "
        "steps: processes, imports, the evaluation of dev, the last checkpoint.",
        table(("architecture", "way", "examples/s", "ratio to in process", "start and end, s"), rows),
    )


if __name__ == "__main__":
    if len(sys.argv) > 1:
        way, shape, shards, encoder = sys.argv[1:]
        print(json.dumps(run(way, shape, Path(shards), Path(encoder))))
    else:
        main()
