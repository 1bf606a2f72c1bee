"""Delivering to a server in the background, so that work goes on while the server is away."""

import threading
from collections.abc import Callable, Sequence
from contextvars import copy_context
from typing import Generic, TypeVar

from nli_core.errors import reason_of

Item = TypeVar("Item")

_LONGEST_WAIT = 15.0  # seconds before another try


class Outbox(Generic[Item]):
    """Hands items to `deliver` in their order, all that wait at once, and the same ones again if it raises.

    `deliver` runs on a thread of the outbox's own, in the context of whoever made the outbox. `failing` says that it
    raised when it was last called.
    """

    def __init__(
        self, name: str, deliver: Callable[[Sequence[Item]], object], *, every: float, say: Callable[[str], object]
    ) -> None:
        """`name`: what `say` is to call the receiver when it begins to fail, and when it answers again.

        `every`: seconds between two deliveries.
        """
        self._name, self._deliver, self._every, self._say = name, deliver, every, say
        self._waiting: list[Item] = []
        self._changed = threading.Condition()
        self._urgent = self._closed = False
        self.failing = False
        context = copy_context()
        threading.Thread(target=context.run, args=(self._work,), name=f"outbox for {name}", daemon=True).start()

    def put(self, item: Item) -> None:
        """Take an item; it is delivered soon."""
        with self._changed:
            self._waiting.append(item)

    def flush(self, patience: float) -> bool:
        """Have everything delivered now, waiting `patience` seconds at most; whether it was."""
        with self._changed:
            self._urgent = True
            self._changed.notify_all()
            return self._changed.wait_for(lambda: not self._waiting, timeout=patience)

    def close(self, patience: float) -> bool:
        """Flush, and deliver nothing after that."""
        delivered = self.flush(patience)
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        return delivered

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
            self._deliver(items)
        except Exception as error:  # whatever keeps the receiver from taking it, work is to go on
            if not self.failing:
                self._say(
                    f"{self._name} takes nothing at present ({reason_of(error)}); work goes on, and it gets all later"
                )
            self.failing = True
            return False
        if self.failing:
            self._say(f"{self._name} answers again")
        self.failing = False
        with self._changed:
            del self._waiting[: len(items)]
            self._changed.notify_all()
        return True
