"""What Prefect and MLflow cost: a run with everything cached, and their share of a real run's time.

The same four stages run once as plain functions of the core in a process of their own, and once as `nli run` against a
running Prefect server, in fresh stores.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from reporting import DATA, PROJECT, measure, table, write_page

REPEATS = 3
RECIPE = "snli-minilm"
SETTINGS = {"corpus.source": DATA / "snli_1.0_subset.zip", "finetune.epochs": 1}


def bare(folder: Path) -> None:
    """The recipe's stages, without Prefect and MLflow."""
    from flows.recipes import find_recipe, override
    from nli_core.config import parse_config
    from nli_core.data.pack import pack, pack_shard
    from nli_core.download.stage import download
    from nli_core.evaluation.evaluate import evaluate
    from nli_core.outputs import CORPUS, ENCODER, MODEL
    from nli_core.training.finetune import finetune
    from nli_core.training.history import read_history

    words = [f"{name}={value}" for name, value in SETTINGS.items()]
    config = parse_config(override(find_recipe(PROJECT / "prefect.yaml", RECIPE).config, words))
    stages = {name: folder / name for name in ("download", "pack", "finetune", "evaluate")}
    for stage in stages.values():
        stage.mkdir()
    files = stages["download"]
    download(config.corpus, config.encoder, out=files, cache=folder / "cache")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        pack(
            files / CORPUS,
            files / ENCODER,
            config.pack,
            out=stages["pack"],
            run_jobs=lambda jobs: list(pool.map(pack_shard, jobs)),
        )
    trained, quiet = stages["finetune"], {"progress": lambda _done, _total, _note: None}
    finetune(
        stages["pack"],
        files / ENCODER,
        config.finetune,
        out=trained,
        log_metrics=lambda _metrics, _step: None,
        **quiet,
    )
    curves = read_history(trained)
    evaluate(trained / MODEL, stages["pack"], curves, config.evaluate, out=stages["evaluate"], **quiet)


def run(folder: Path, address: str) -> tuple[float, dict[str, str]]:
    """Seconds of `nli run`, and the state of each stage."""
    words = [word for name, value in SETTINGS.items() for word in ("--set", f"{name}={value}")]
    environment = {**os.environ, "PREFECT_API_URL": f"{address}/api", "NLI_STORE": str(folder / "store")}
    environment.pop("MLFLOW_TRACKING_URI", None)
    command = [str(Path(sys.executable).with_name("nli")), "run", RECIPE, *words, "--json"]
    started = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, check=True)
    seconds = time.perf_counter() - started
    stages = json.loads(done.stdout.splitlines()[-1])["stages"]
    return seconds, {name: stage["state"] for name, stage in stages.items()}


def main() -> None:
    from flows.servers import prefect_server

    os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["PREFECT_HOME"] = name
        with prefect_server("--no-ui") as server:
            server.wait_until_healthy()
            plain = measure(__file__, folder)["seconds"]
            whole, states = run(folder, server.address)
            assert set(states.values()) == {"Completed"}, states
            cached = [run(folder, server.address) for _ in range(REPEATS)]
            assert all(set(states.values()) == {"Cached"} for _, states in cached), cached
    seconds = [seconds for seconds, _ in cached]
    rows = [
        ("the four stages, without Prefect and MLflow", f"{plain:.1f}"),
        (
            f"`nli run {RECIPE}`",
            f"{whole:.1f}, {(whole - plain) / whole:.1%} more" if whole > plain else f"{whole:.1f}",
        ),
        ("the same again, everything cached", f"{statistics.median(seconds):.1f} (median of {REPEATS})"),
    ]
    write_page(
        "overhead",
        "What Prefect and MLflow cost",
        f"`{RECIPE}` for one epoch over SNLI's subset, against a running Prefect server, MLflow on SQLite. Wall-clock "
        "time of whole processes, imports included; the first two once each.",
        table(("what", "seconds"), rows),
    )


if __name__ == "__main__":
    if len(sys.argv) > 1:
        with tempfile.TemporaryDirectory(dir=sys.argv[1]) as inside:
            begun = time.perf_counter()
            bare(Path(inside))
            print(json.dumps({"seconds": time.perf_counter() - begun}))
    else:
        main()
