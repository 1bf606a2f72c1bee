"""What a long training takes of its machine: processor, memory and GPU, as MLflow's system metrics."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

_FIRST_SECONDS = 60.0  # a shorter training has none
_EVERY_SECONDS = 10.0


@contextmanager
def system_metrics(log: Callable[[Mapping[str, float], int], None], started: float) -> Iterator[None]:
    """Measure now and then during the block, from its second minute on.

    `log` takes metrics and their step: seconds since `started`, the time when the run began.
    """
    over = threading.Event()
    thread = threading.Thread(target=_measure, args=(log, started, over), name="system metrics", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _measure(log: Callable[[Mapping[str, float], int], None], started: float, over: threading.Event) -> None:
    if over.wait(_FIRST_SECONDS):
        return
    monitors = _monitors()
    _values(monitors)  # the share of a processor is that since the look before
    while not over.wait(_EVERY_SECONDS):
        log(_values(monitors), int(time.time() - started))


def _values(monitors: Sequence[Any]) -> dict[str, float]:
    values: dict[str, float] = {}
    for monitor in monitors:
        monitor.collect_metrics()
        values |= {f"system/{name}": value for name, value in monitor.aggregate_metrics().items()}
        monitor.clear_metrics()
    return values


def _monitors() -> list[Any]:
    """Make MLflow's monitors; the one of GPUs refuses where there is none, or no driver."""
    from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
    from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor

    found = []
    for monitor in (CPUMonitor, GPUMonitor):
        with suppress(RuntimeError):
            found.append(monitor())
    return found
