"""Cancellation of work: by Ctrl-C, by SIGTERM, or in Prefect."""

import contextlib
import signal
import threading
from contextvars import copy_context
from types import FrameType, TracebackType
from weakref import WeakSet

import httpx
from prefect.client.orchestration import get_client
from prefect.exceptions import CancelledRun, PrefectException
from prefect.runtime import flow_run

from nli_core.callbacks import StoppedError
from nli_core.log import LOGGER

_POLL_SECONDS = 2.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_tokens: "WeakSet[CancellationToken]" = WeakSet()  # in use, whatever their thread


class CancellationToken:
    """Tells work to end early: call it, and it returns whether to stop.

    Within its `with` block a signal is only recorded, so that work can be saved first, and stops the work of other
    threads too. After the block a recorded signal acts as usual. The second signal of a kind acts immediately. A worker
    carries out a cancellation with SIGTERM; that signal is dropped where the work ends as stopped, so the flow run ends
    Cancelled and not Crashed.
    """

    def __init__(self) -> None:
        self._asked, self._over = threading.Event(), threading.Event()
        self._recorded: signal.Signals | None = None
        self._handlers: dict[signal.Signals, object] = {}

    def __call__(self) -> bool:
        """Return whether to stop."""
        return self._asked.is_set()

    def __enter__(self) -> "CancellationToken":
        """Start recording signals and polling Prefect."""
        _tokens.add(self)
        if threading.current_thread() is threading.main_thread():
            heeded = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]  # as nohup does
            self._handlers = {number: signal.signal(number, self._record) for number in heeded}
        if flow_run.id:
            threading.Thread(target=copy_context().run, args=(self._poll,), name="cancellation", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Restore the handlers, and raise a recorded signal."""
        self._over.set()
        _tokens.discard(self)
        self._restore()
        if isinstance(error, StoppedError):
            LOGGER.info("%s; rerun the command to resume", error)
        ends = isinstance(error, StoppedError | CancelledRun)
        if self._recorded is not None and not (ends and self._recorded is signal.SIGTERM and _is_cancelled()):
            signal.raise_signal(self._recorded)

    def ask(self) -> None:
        """Ask the work to stop."""
        self._asked.set()

    def _record(self, number: int, _frame: FrameType | None) -> None:
        if self._recorded is not None:
            self._restore()
            signal.raise_signal(number)
        self._recorded = signal.Signals(number)
        stop_all()

    def _restore(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what signal() returned
        self._handlers = {}

    def _poll(self) -> None:
        while not self._over.wait(_POLL_SECONDS):
            if _is_cancelled():
                self._asked.set()
                return


def stop_all() -> None:
    """Ask the work of all threads to stop."""
    for token in tuple(_tokens):
        token.ask()


def _is_cancelled() -> bool:
    """Return whether Prefect has this flow run cancelled; an unreachable server counts as no."""
    with contextlib.suppress(httpx.HTTPError, PrefectException), get_client(sync_client=True) as client:
        state = client.read_flow_run(flow_run.id).state if flow_run.id else None
        return bool(state and (state.is_cancelling() or state.is_cancelled()))
    return False
