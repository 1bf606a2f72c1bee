"""Check what runs need before the first one: versions, processor, store, servers, data."""

import os
import re
import shutil
import socket
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from nli_core.download.source import Source
from nli_core.errors import UserError
from nli_core.model.device import choose_device
from nli_core.run.config import RunConfig
from nli_core.urls import without_password
from tasks.operations.preflight import check_prefect, check_tracking, check_webhook
from tasks.operations.sources import check_source, sources
from tasks.runtime.sharing import needed_outputs
from tasks.settings import REMOTE, WEBHOOK, Settings, project_root, webhook

_LEAST_GIB = 5
_REQUESTS = 8  # at a time
_MOST_SKEW_SECONDS = 60
_START = "start it (nli ui starts both), or unset its variable"
_PIN = re.compile(r"^([\w.-]+)==([^\s+]+)", re.MULTILINE)


@dataclass(frozen=True)
class Finding:
    """What was checked, the verdict, what was found, and how to fix it.

    `warning`: runs are possible, but not all, or not at full speed.
    """

    what: str
    verdict: Literal["ok", "warning", "error"]
    found: str
    remedy: str = ""


def diagnose(settings: Settings, configs: Iterable[RunConfig], *, needed: bool) -> Iterator[Finding]:
    """Check one thing after the other; the last are the sources of these configs.

    A source that is `needed` and missing is an error, otherwise a warning.
    """
    yield _versions()
    yield _processor()
    yield _gpu()
    yield _store(settings)
    yield _checked("MLflow", settings.shown_tracking_uri, lambda: check_tracking(settings), _START)
    address = os.environ.get("PREFECT_API_URL")
    if address:
        yield _checked("Prefect", without_password(address), check_prefect, _START)
    else:
        yield Finding("Prefect", "ok", "PREFECT_API_URL is not set: each run starts a temporary server")
    if settings.remote:
        yield _bucket(settings)
    if webhook():
        yield _checked("notifications", f"{WEBHOOK} is set", check_webhook, f"fix or unset {WEBHOOK}")
    needs = dict.fromkeys(source for config in configs for source in sources(config))
    yield from _sources(list(needs), "error" if needed else "warning")


def _versions() -> Finding:
    path = project_root() / "constraints.txt"
    if not path.exists():
        return Finding("packages", "warning", f"{path} is missing", "run nli in the project's folder")
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
        return Finding("packages", "warning", f"{python}; {', '.join(others)}", remedy)
    return Finding("packages", "ok", f"{python}; versions match constraints.txt")


def _processor() -> Finding:
    device = choose_device("auto")
    found = f"{os.cpu_count()} cores; auto means {device.precision} on {device.torch}: {device.reason}"
    if device.precision == "bf16":
        return Finding("precision", "ok", found)
    return Finding("precision", "warning", found, "training is faster on a processor with AMX, or on a GPU")


def _gpu() -> Finding:
    import torch

    if torch.cuda.is_available():
        names = map(torch.cuda.get_device_name, range(torch.cuda.device_count()))
        return Finding("GPU", "ok", f"{', '.join(names)}; finetune.devices auto takes all of them")
    if Path("/dev/nvidia0").exists():
        reason = f"there is one, and torch {torch.__version__} does not use it"
        return Finding("GPU", "warning", reason, "install torch's CUDA build: make GPU=1 run, in a new .venv")
    return Finding("GPU", "ok", "none: training uses the processor")


def _store(settings: Settings) -> Finding:
    root = settings.store.root
    try:
        root.mkdir(parents=True, exist_ok=True)
        probe = root / f".probe-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        return Finding(
            "store", "error", f"{root} cannot be written ({error.strerror})", "make it writable, or set NLI_STORE"
        )
    free = shutil.disk_usage(root).free / 2**30
    if free < _LEAST_GIB:
        remedy = "free some space (`nli store prune` lists what may go), or set NLI_STORE"
        return Finding("store", "warning", f"{root}, only {free:.1f} GiB free", remedy)
    return Finding("store", "ok", f"{root}, {free:,.0f} GiB free")


def _bucket(settings: Settings) -> Finding:
    """Write, read and delete a small object, and compare the clocks: S3 refuses requests that are minutes off."""
    what, keys = "bucket", f"fix {REMOTE}, the network or the keys (docs/bucket.md)"
    try:
        bucket = needed_outputs(settings).bucket
        name = f"probes/{socket.gethostname()}-{os.getpid()}"
        bucket.write(name, b"probe")
        taken = bucket.write_new(name, b"probe")
        entry = bucket.entry(name)
        bucket.delete([name])
    except UserError as error:
        return Finding(what, "error", str(error), keys)
    if taken or entry is None:
        return Finding(what, "error", f"{settings.remote} cannot refuse to overwrite", "use a store with If-None-Match")
    skew = abs((datetime.now(UTC) - entry.modified).total_seconds())
    if skew > _MOST_SKEW_SECONDS:
        return Finding(what, "warning", f"{settings.remote}: its clock is {skew:.0f} s off", "set this machine's clock")
    return Finding(what, "ok", f"{settings.remote} can be read and written")


def _checked(name: str, found: str, check: Callable[[], object], remedy: str) -> Finding:
    try:
        check()
    except UserError as error:
        return Finding(name, "error", str(error), remedy)
    return Finding(name, "ok", found)


def _sources(needs: list[Source], verdict: Literal["error", "warning"]) -> Iterator[Finding]:
    """Look for all sources; yield one finding for those of a publisher that are alike."""
    with ThreadPoolExecutor(_REQUESTS) as pool:
        faults = list(pool.map(_fault_of, needs))
    alike: dict[tuple[str, str], list[Source]] = {}
    for source, fault in zip(needs, faults, strict=True):
        place = urlsplit(source.address).hostname or source.address
        alike.setdefault((place, fault), []).append(source)
    for (place, fault), group in alike.items():
        names = "; ".join(source.purpose for source in group)
        if fault:
            fields = " or ".join(dict.fromkeys(f"--set {source.field}=..." for source in group))
            yield Finding(names, verdict, f"{place}: {fault}", f"name a copy or a mirror: {fields}")
        else:
            yield Finding(names, "ok", place)


def _fault_of(source: Source) -> str:
    """Return why a source cannot be reached, or an empty text."""
    try:
        check_source(source)
    except UserError as error:
        return str(error).removeprefix(f"{without_password(source.address)}: ")
    return ""
