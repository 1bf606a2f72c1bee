"""Looking at what runs need, before there is one: versions, processor, store, servers, data."""

import os
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from nli_core.config import RunConfig
from nli_core.errors import UserError
from nli_core.model.device import choose_device
from nli_core.urls import without_password
from tasks.operations.preflight import check_prefect, check_tracking
from tasks.operations.sources import Source, sources
from tasks.settings import Settings, project_root

_LEAST_GIB = 5
_PIN = re.compile(r"^([\w.-]+)==([^\s+]+)", re.MULTILINE)


@dataclass(frozen=True)
class Finding:
    """What was looked at, whether it is well, what was found, and what to do if it is not well.

    `attention`: runs are possible, but not all, or not as fast as they could be.
    """

    what: str
    verdict: Literal["well", "attention", "fault"]
    found: str
    remedy: str = ""


def diagnose(settings: Settings, configs: Iterable[RunConfig], *, needed: bool) -> Iterator[Finding]:
    """Look at one thing after the other, at last at where the data and encoders of these configs come from.

    Where they are `needed`, it is a fault that they cannot be had.
    """
    yield _versions()
    yield _processor()
    yield _gpu()
    yield _store(settings)
    yield _server("MLflow", settings.shown_tracking_uri, lambda: check_tracking(settings))
    address = os.environ.get("PREFECT_API_URL")
    if address:
        yield _server("Prefect", without_password(address), check_prefect)
    else:
        yield Finding("Prefect", "well", "PREFECT_API_URL is not set: each run starts a temporary server")
    for source in dict.fromkeys(source for config in configs for source in sources(config)):
        yield _source(source, "fault" if needed else "attention")


def _versions() -> Finding:
    path = project_root() / "constraints.txt"
    if not path.exists():
        return Finding("packages", "attention", f"{path} is not there", "run nli in the project's folder")
    others = []
    for name, wanted in _PIN.findall(path.read_text(encoding="utf-8")):
        try:
            installed = version(name).partition("+")[0]
        except PackageNotFoundError:
            continue
        if installed != wanted:
            others.append(f"{name} {installed} instead of {wanted}")
    python = f"Python {sys.version.split()[0]}"
    if others:
        remedy = "pip install --constraint constraints.txt --editable ."
        return Finding("packages", "attention", f"{python}; {', '.join(others)}", remedy)
    return Finding("packages", "well", f"{python}; all as in constraints.txt, which the tests passed with")


def _processor() -> Finding:
    device = choose_device("auto")
    found = f"{os.cpu_count()} cores; auto means {device.precision} on {device.torch}: {device.reason}"
    if device.precision == "bf16":
        return Finding("precision", "well", found)
    return Finding("precision", "attention", found, "training is faster on a processor with AMX, or on a GPU")


def _gpu() -> Finding:
    import torch

    if torch.cuda.is_available():
        return Finding("GPU", "well", ", ".join(map(torch.cuda.get_device_name, range(torch.cuda.device_count()))))
    if Path("/dev/nvidia0").exists():
        reason = f"there is one, and torch {torch.__version__} does not use it"
        return Finding("GPU", "attention", reason, "install torch's CUDA build: make GPU=1 run, in a new .venv")
    return Finding("GPU", "well", "none: training uses the processor")


def _store(settings: Settings) -> Finding:
    root = settings.store.root
    try:
        root.mkdir(parents=True, exist_ok=True)
        probe = root / f".probe-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        return Finding("store", "fault", f"{root} cannot be written ({error.strerror})", "mend it, or set NLI_STORE")
    free = shutil.disk_usage(root).free / 2**30
    if free < _LEAST_GIB:
        remedy = "make room: nli store prune says what may go; or set NLI_STORE"
        return Finding("store", "attention", f"{root}, only {free:.1f} GiB free", remedy)
    return Finding("store", "well", f"{root}, {free:,.0f} GiB free")


def _server(name: str, address: str, check: Callable[[], object]) -> Finding:
    try:
        check()
    except UserError as error:
        return Finding(name, "fault", str(error), "start it (nli ui starts both), or unset its variable")
    return Finding(name, "well", address)


def _source(source: Source, verdict: Literal["fault", "attention"]) -> Finding:
    try:
        source.check()
    except UserError as error:
        return Finding(source.what, verdict, str(error), f"name a copy or a mirror: --set {source.field}=...")
    return Finding(source.what, "well", without_password(source.place))
