"""What the benchmarks share: running a recipe, and a page of results that says where and when it was measured."""

import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

PROJECT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("NLI_TEST_DATA", PROJECT.parent / "shared" / "data"))


def results() -> Path:
    """The folder of pages of this kind of CPU: those that are not fast at bf16 have one of their own."""
    from bounds import PRECISION  # imports torch, which a benchmark of imports does itself

    folder = Path(__file__).with_name("results") / ("" if PRECISION == "bf16" else PRECISION)
    folder.mkdir(exist_ok=True)
    return folder


def run_recipe(recipe: str, settings: Mapping[str, object]) -> dict[str, Any]:
    """`nli run RECIPE --set ... --json` in a process of its own; the JSON, with the facts of each stage added."""
    words = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    command = [str(Path(sys.executable).with_name("nli")), "run", recipe, *words, "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    summary: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    for stage in summary["outputs"].values():
        stage["facts"] = json.loads((Path(stage["path"]) / "manifest.json").read_text(encoding="utf-8"))["facts"]
    return summary


def measure(script: str, *words: object, **environment: object) -> dict[str, float]:
    """What `script`, in a process of its own, prints as lines of JSON, and its largest memory in `mebibytes`.

    The memory is that of the process and its children together.
    """
    running = start(script, *words, **environment)
    told: dict[str, float] = {"mebibytes": 0.0}
    process = psutil.Process(running.pid)
    while running.poll() is None:
        try:
            family = [process, *process.children(recursive=True)]
            used = sum(member.memory_info().rss for member in family) / 2**20
            told["mebibytes"] = max(told["mebibytes"], used)
        except psutil.Error:
            continue
        time.sleep(0.02)
    if running.returncode != 0:
        raise subprocess.CalledProcessError(running.returncode, running.args)
    for line in running.stdout or ():
        told |= told_in(line)
    return told


def start(script: str, *words: object, **environment: object) -> subprocess.Popen[str]:
    """Start `script` in a process of its own, whose input and output are pipes."""
    settings = {name: str(value) for name, value in environment.items()}
    command = [sys.executable, script, *map(str, words)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    return subprocess.Popen(command, text=True, env={**os.environ, **settings}, **pipes)


def told_in(line: str) -> dict[str, float]:
    """What a line of a script's output tells in JSON; transformers prints dictionaries of its own."""
    told: dict[str, float] = json.loads(line) if line.startswith('{"') else {}
    return told


def spread(values: Sequence[float], digits: int = 0) -> str:
    """The median of repeats, with the least and the largest: `12,345 [11,900, 12,800]`."""
    middle, low, high = (f"{value:,.{digits}f}" for value in (statistics.median(values), min(values), max(values)))
    return f"{middle} [{low}, {high}]"


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> str:
    """The ratio of the medians of two ways' repeats; where their ranges overlap it says so, and is no gain."""
    found = f"{statistics.median(ours) / statistics.median(theirs):.2f}"
    return f"{found} (the ranges overlap)" if min(ours) <= max(theirs) and min(theirs) <= max(ours) else found


def accuracy(summary: Mapping[str, Any], split: str) -> str:
    """Accuracy with its 95 % interval."""
    value, low, high = (summary["metrics"][f"{split}/accuracy{end}"] for end in ("", "_low", "_high"))
    return f"{value:.3f} [{low:.3f}, {high:.3f}]"


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def write_page(name: str, title: str, *parts: str) -> None:
    """Print the page and keep it in `results()`, with hardware, versions and date."""
    packages = ", ".join(f"{package} {version(package)}" for package in ("torch", "tokenizers", "prefect", "mlflow"))
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=PROJECT, capture_output=True, text=True)
    measured = (
        f"Measured {datetime.date.today()} at commit {commit.stdout.strip()} with `bench_{name}.py` on {_processor()}, "
        f"{os.cpu_count()} cores; Python {platform.python_version()}, {packages}."
    )
    page = "\n\n".join([f"# {title}", measured, *parts]) + "\n"
    (results() / f"{name}.md").write_text(page, encoding="utf-8")
    print(page)


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    name = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    flags = next(line for line in lines if line.startswith("flags")).split()
    return f"{name} ({', '.join(flag for flag in ('avx512_bf16', 'amx_bf16') if flag in flags) or 'no bf16'})"
