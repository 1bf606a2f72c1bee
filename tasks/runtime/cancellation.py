"""Being told to stop: by Ctrl-C, by SIGTERM, or by a cancellation in Prefect."""

import contextlib
import signal
import threading
from contextvars import copy_context
from types import FrameType, TracebackType

import httpx
from prefect.client.orchestration import get_client
from prefect.exceptions import CancelledRun, PrefectException
from prefect.runtime import flow_run

from nli_core.callbacks import StoppedError
from tasks.runtime.progress import LOGGER

_POLL_SECONDS = 2.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """Whether work is to end early. Call it to ask.

    Within its `with` block the signals are only noted, so that work can be put away first; behind the block a noted
    signal acts as it would have acted. The second one of a kind acts at once. The SIGTERM with which a worker carries
    out a cancellation does not act where the work ends as stopped: its flow run ends as cancelled, and not as crashed.
    """

    def __init__(self) -> None:
        self._asked, self._over = threading.Event(), threading.Event()
        self._noted: signal.Signals | None = None
        self._handlers: dict[signal.Signals, object] = {}

    def __call__(self) -> bool:
        return self._asked.is_set()

    def __enter__(self) -> "StopRequest":
        if threading.current_thread() is threading.main_thread():
            heeded = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]  # not by nohup
            self._handlers = {number: signal.signal(number, self._note) for number in heeded}
        if flow_run.id:
            threading.Thread(target=copy_context().run, args=(self._poll,), name="cancellation", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._restore()
        if isinstance(error, StoppedError):
            LOGGER.info("%s; the same command goes on from there", error)
        ends = isinstance(error, StoppedError | CancelledRun)
        if self._noted is not None and not (ends and self._noted is signal.SIGTERM and _is_cancelled()):
            signal.raise_signal(self._noted)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if self._noted is not None:
            self._restore()
            signal.raise_signal(number)
        self._noted = signal.Signals(number)
        self._asked.set()

    def _restore(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what signal() gave
        self._handlers = {}

    def _poll(self) -> None:
        while not self._over.wait(_POLL_SECONDS):
            if _is_cancelled():
                self._asked.set()
                return


def _is_cancelled() -> bool:
    """Whether Prefect says that this flow run is; a server that does not answer has cancelled nothing."""
    with contextlib.suppress(httpx.HTTPError, PrefectException), get_client(sync_client=True) as client:
        state = client.read_flow_run(flow_run.id).state if flow_run.id else None
        return bool(state and (state.is_cancelling() or state.is_cancelled()))
    return False
