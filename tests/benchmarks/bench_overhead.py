"""What Prefect and MLflow cost: seconds of a run, and a run with everything cached.

What they cost does not grow with the training. So it is measured where it shows: a run whose own work takes seconds,
as plain functions of the core and as `nli run` against a running Prefect server, in fresh stores, alternately.
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

from reporting import PROJECT, measure, spread, table, write_page

REPEATS = 5
RECIPE, SETTINGS = "sample", {"corpus.pairs": 90, "finetune.epochs": 1}


def bare(folder: Path) -> None:
    """The stages of the small run, without Prefect and MLflow."""
    from nli_core.audit.audit import audit
    from nli_core.data.pack import pack
    from nli_core.data.pack_shard import pack_shard
    from nli_core.download.stage import download
    from nli_core.evaluation.evaluate import evaluate
    from nli_core.filenames import CORPUS, ENCODER, MODEL
    from nli_core.run.config import parse_config
    from nli_core.run.overrides import override
    from nli_core.training.curves import read_history
    from nli_core.training.finetune import finetune
    from tasks.recipes import find_recipe

    words = [f"{name}={value}" for name, value in SETTINGS.items()]
    config = parse_config(override(find_recipe(PROJECT / "prefect.yaml", RECIPE).config, words))
    stages = {name: folder / name for name in ("corpus", "encoder", "pack", "audit", "finetune", "evaluate")}
    for stage in stages.values():
        stage.mkdir()
    for wanted, name in ((config.corpus, "corpus"), (config.encoder, "encoder")):
        download(wanted, out=stages[name], cache=folder / "cache")
    encoder = stages["encoder"] / ENCODER
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        pack(
            stages["corpus"] / CORPUS,
            config.corpus.layout,
            encoder,
            config.pack,
            out=stages["pack"],
            run_jobs=lambda jobs: list(pool.map(pack_shard, jobs)),
        )
    trained = stages["finetune"]
    finetune(stages["pack"], encoder, config.finetune, out=trained)
    audit(stages["corpus"] / CORPUS, config.corpus.layout, (), empty_text="error", out=stages["audit"])
    folders = trained / MODEL, stages["pack"], stages["audit"]
    evaluate(*folders, read_history(trained), config.evaluate, out=stages["evaluate"])


def run(folder: Path, address: str | None) -> tuple[float, set[str]]:
    """Seconds of `nli run` with the Prefect server at this address, or with none, and the states of its stages."""
    words = [word for name, value in SETTINGS.items() for word in ("--set", f"{name}={value}")]
    environment = {**os.environ, "NLI_STORE": str(folder / "store")}
    for name in ("MLFLOW_TRACKING_URI", "PREFECT_API_URL"):
        environment.pop(name, None)
    if address:
        environment["PREFECT_API_URL"] = f"{address}/api"
    command = [str(Path(sys.executable).with_name("nli")), "run", RECIPE, *words, "--json"]
    started = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, check=True)
    seconds = time.perf_counter() - started
    stages = json.loads(done.stdout.splitlines()[-1])["outputs"]
    return seconds, {stage["state"] for stage in stages.values()}


def main() -> None:
    from flows.local.servers import prefect_server

    os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["PREFECT_HOME"] = name
        with prefect_server() as server:
            server.wait_until_healthy()
            told: dict[str, list[float]] = {"plain": [], "whole": [], "cached": []}
            for repeat in range(REPEATS):
                store = folder / str(repeat)
                store.mkdir()
                told["plain"].append(measure(__file__, store)["seconds"])
                for name, state in (("whole", "Completed"), ("cached", "Cached")):
                    seconds, states = run(store, server.address)
                    assert states == {state}, states
                    told[name].append(seconds)
        told["alone"] = [run(folder / "0", None)[0] for _ in range(REPEATS)]
    plain, whole = (statistics.median(told[name]) for name in ("plain", "whole"))
    rows = [
        ("the four stages of a small run as plain functions", spread(told["plain"], 1)),
        ("the same as `nli run`", spread(told["whole"], 1)),
        ("what Prefect and MLflow add", f"{whole - plain:.1f}"),
        ("`nli run` with everything cached", spread(told["cached"], 1)),
        ("the same without a server, which starts one", spread(told["alone"], 1)),
    ]
    write_page(
        "overhead",
        "What Prefect and MLflow cost",
        f"Wall-clock time of whole processes, imports included, against a running Prefect server, MLflow on SQLite; "
        f"medians of {REPEATS} alternating runs [least, largest]. The small run is `{RECIPE}` with "
        f"{SETTINGS['corpus.pairs']} pairs and one epoch.",
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
