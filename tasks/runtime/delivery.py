"""Send items to a server in the background, so that work continues while the server is away."""

import threading
from collections.abc import Callable, Sequence
from contextvars import copy_context
from typing import Generic, TypeVar

from nli_core.errors import reason_of
from nli_core.log import LOGGER

Item = TypeVar("Item")

_LONGEST_WAIT = 15.0  # seconds before another try


class BackgroundSender(Generic[Item]):
    """Hands waiting items to `send` in their order, all of them together, and the same ones again if it raises.

    `send` runs on a thread of its own, in the context of whoever made the sender. `failing` says that the last call
    raised.
    """

    def __init__(self, name: str, send: Callable[[Sequence[Item]], object], *, every: float) -> None:
        """`name` is the receiver in log lines; `every` is the seconds between two calls of `send`."""
        self._name, self._send, self._every = name, send, every
        self._waiting: list[Item] = []
        self._changed = threading.Condition()
        self._urgent = self._closed = False
        self.failing = False
        context = copy_context()
        threading.Thread(target=context.run, args=(self._work,), name=f"sender to {name}", daemon=True).start()

    def put(self, item: Item) -> None:
        """Queue an item; it is sent soon."""
        with self._changed:
            self._waiting.append(item)

    def flush(self, patience: float) -> bool:
        """Send everything now and wait `patience` seconds at most; return whether all was sent."""
        with self._changed:
            self._urgent = True
            self._changed.notify_all()
            return self._changed.wait_for(lambda: not self._waiting, timeout=patience)

    def close(self, patience: float) -> bool:
        """Flush, then send nothing more."""
        sent = self.flush(patience)
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        return sent

    def _work(self) -> None:
        wait = self._every
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._urgent or self._closed, timeout=wait)
                if self._closed:
                    return
                self._urgent = False
                items = list(self._waiting)
            wait = self._every if not items or self._try(items) else min(2 * wait, _LONGEST_WAIT)

    def _try(self, items: Sequence[Item]) -> bool:
        try:
            self._send(items)
        except Exception as error:  # whatever the receiver's fault is, work continues
            if not self.failing:
                LOGGER.warning(
                    "%s is unavailable (%s); continuing, it gets everything when it is back",
                    self._name,
                    reason_of(error),
                )
            self.failing = True
            return False
        if self.failing:
            LOGGER.warning("%s is available again", self._name)
        self.failing = False
        with self._changed:
            del self._waiting[: len(items)]
            self._changed.notify_all()
        return True
