"""How many runs of a sweep end in a minute: on this machine, and on two Ray nodes that share its cores.

Run it with the project's folder in PYTHONPATH; it needs the extra `ray`.
"""

import contextlib
import itertools
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from reporting import table, write_page

from flows.local.servers import prefect_server
from tests.fixtures.mlflow_server import MlflowServer
from tests.fixtures.ray_nodes import Cluster

REPEATS = 3
RUNS = 4
WAYS = {
    "one": "this machine, one run at a time",
    "two": "this machine, two concurrent runs",
    "nodes": "two Ray nodes with a core each",
}
_SEEDS = itertools.count()


def sweep(way: str, cluster: Cluster, **environment: str) -> float:
    """Runs per minute of a sweep that has RUNS of them, all new; the corpus is packed before."""
    rates = ",".join(f"{number}e-4" for number in range(1, RUNS + 1))
    words = ["sweep", "sample", "--grid", f"finetune.learning_rate={rates}", "--set", f"finetune.seed={next(_SEEDS)}"]
    words += ["--set", "finetune.epochs=1", "--set", "corpus.pairs=600", "--json"]
    words += ["--jobs", "1" if way == "one" else "2"]
    variables = {**os.environ, **environment, "NLI_PARALLEL_TRAININGS": "1"}
    if way == "nodes":
        variables["NLI_RAY"] = cluster.address
    elif way == "two":
        variables["OMP_NUM_THREADS"] = "1"
    started = time.perf_counter()
    done = subprocess.run(
        [str(Path(sys.executable).with_name("nli")), *words],
        env=variables,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    seconds = time.perf_counter() - started
    for place in ("*/store", "store"):  # a run leaves 180 MB
        for stage in ("finetune", "evaluate"):
            for outputs in cluster.folder.glob(f"{place}/{stage}"):
                shutil.rmtree(outputs)
    shutil.rmtree(cluster.folder / "served", ignore_errors=True)
    assert len(json.loads(done.stdout)["runs"]) == RUNS
    return 60 * RUNS / seconds


def main() -> None:
    measured: dict[str, list[float]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as ends:
        folder = Path(name)
        prefect = ends.enter_context(prefect_server(temporary=True))
        prefect.wait_until_healthy()
        mlflow = MlflowServer(folder)
        ends.enter_context(mlflow.running())
        places = {
            "PREFECT_API_URL": f"{prefect.address}/api",
            "MLFLOW_TRACKING_URI": mlflow.address,
            "NLI_STORE": str(folder / "store"),
        }
        cluster = Cluster(folder)
        ends.callback(cluster.close)
        for _ in range(2):
            cluster.add()
        for way in ("one", "nodes"):
            sweep(way, cluster, **places)  # the first time, the corpus is packed in each store
        for _ in range(REPEATS):
            for way, rates in measured.items():
                rates.append(sweep(way, cluster, **places))
                print(way, rates[-1], file=sys.stderr)
    medians = {way: statistics.median(rates) for way, rates in measured.items()}
    write_page(
        "cluster",
        "Runs of a sweep on a Ray cluster",
        f"Sweeps of {RUNS} runs (`sample`, 600 pairs, one epoch), from the command to its end, medians of {REPEATS} "
        "alternating runs. The nodes share the cores of this machine: the table shows what Ray costs, and not what "
        "more machines bring.",
        table(
            ("way", "runs a minute", "ratio"),
            [(WAYS[way], f"{rate:.1f}", f"{rate / medians['one']:.2f}") for way, rate in medians.items()],
        ),
    )


if __name__ == "__main__":
    main()
