"""The energy that a block of work takes, where the machine tells: of processors by RAPL, of NVIDIA's GPUs by NVML.

It is that of the whole machine, other work included. What no counter says is not guessed.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

import pynvml

_RAPL = Path("/sys/class/powercap")
_PACKAGES = "intel-rapl:[0-9]"  # AMD's have this name too; the parts of a package have a second number
_SECONDS = 30.0  # between two looks: the counters start again from 0 after some minutes of full load
_MICROJOULES = 1e-6
_MILLIJOULES = 1e-3

Counter = tuple[Callable[[], float], float]
"""Reads joules, and after how many it starts again from 0."""


class EnergyMeter:
    """Adds up the joules between the begin and the end of its `with` block; None if no counter can be read.

    A counter that fails meanwhile adds nothing: no figure is worth a training.
    """

    def __init__(self, rapl: Path = _RAPL) -> None:
        self._counters = [*_processors(rapl), *_gpus()]
        self._last = [read() for read, _ in self._counters]
        self._total, self._lock = 0.0, threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="energy", daemon=True)

    @property
    def joules(self) -> float | None:
        """What was taken so far."""
        if not self._counters:
            return None
        self._look()
        return round(self._total, 1)

    def __enter__(self) -> "EnergyMeter":
        """Begin to count."""
        if self._counters:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop looking."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(_SECONDS):
            self._look()

    def _look(self) -> None:
        with self._lock:
            for place, (read, most) in enumerate(self._counters):
                with contextlib.suppress(OSError, ValueError, pynvml.NVMLError):
                    now = read()
                    self._total += (now - self._last[place]) % most
                    self._last[place] = now


def _processors(rapl: Path) -> Iterator[Counter]:
    for package in sorted(rapl.glob(_PACKAGES)):
        with contextlib.suppress(OSError, ValueError):  # only root may read them on many machines
            most = float((package / "max_energy_range_uj").read_text()) * _MICROJOULES
            read = partial(_read_processor, package / "energy_uj")
            read()
            yield read, most


def _read_processor(counter: Path) -> float:
    return float(counter.read_text()) * _MICROJOULES


def _gpus() -> Iterator[Counter]:
    with contextlib.suppress(pynvml.NVMLError):  # no GPU, or one that does not tell
        pynvml.nvmlInit()
        for index in range(pynvml.nvmlDeviceGetCount()):
            read = partial(_read_gpu, pynvml.nvmlDeviceGetHandleByIndex(index))
            read()
            yield read, float("inf")


def _read_gpu(handle: Any) -> float:
    return float(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)) * _MILLIJOULES
