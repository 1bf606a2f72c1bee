"""The process of a trial's run on this machine."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO
from uuid import UUID

from prefect.settings import PREFECT_API_URL

from flows.local.devices import DeviceSlot
from flows.local.environment import set_library_defaults

_POLL_SECONDS = 0.2
_ENGINE = "PREFECT__"  # prefix of the variables by which a worker controls the process of one flow run


class LocalProcess:
    """A process that runs a flow run."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def has_ended(self) -> bool:
        """Wait a moment; return whether it has ended."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_POLL_SECONDS)
        return self._process.returncode is not None

    def stop(self) -> None:
        """Stop it at a checkpoint, without Prefect."""
        self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it now."""
        self._process.kill()

    @property
    def fate(self) -> str:
        """How it ended, in words."""
        return f"its process ended with status {self._process.returncode}"


@contextmanager
def local_process(slot: DeviceSlot, run_id: UUID, title: str | None) -> Iterator[LocalProcess]:
    """Start the process on the devices of `slot`; the block's end waits for it. If the block raises, it is killed."""
    set_library_defaults()  # so that what it inherits is set before it imports Prefect
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_ENGINE)}
    with subprocess.Popen(
        [sys.executable, "-m", "flows.local.trial_worker", str(run_id)],
        env={**inherited, **slot, "PREFECT_API_URL": str(PREFECT_API_URL.value())},
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE if title else None,
        start_new_session=True,  # Ctrl-C reaches the sweep alone, which passes it on once
        text=True,
    ) as process:
        relaying = threading.Thread(target=_relay, args=(process.stderr, title))
        if process.stderr:
            relaying.start()
        try:
            yield LocalProcess(process)
        except BaseException:
            process.kill()
            raise
        finally:
            if process.stderr:
                relaying.join()


def _relay(lines: IO[str], title: str) -> None:
    for line in lines:
        print(f"[{title}] {line}", end="", file=sys.stderr, flush=True)
