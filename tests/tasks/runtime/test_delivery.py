import threading
from collections.abc import Sequence

from tasks.runtime.delivery import BackgroundSender


class _Receiver:
    """Takes items while it is up."""

    def __init__(self) -> None:
        self.up = threading.Event()
        self.up.set()
        self.refused = threading.Event()
        self.items: list[int] = []

    def take(self, items: Sequence[int]) -> None:
        if not self.up.is_set():
            self.refused.set()
            raise ConnectionError("refused\nsecond line")
        self.items.extend(items)


def test_items_arrive_once_and_in_order(logged: list[str]) -> None:
    receiver = _Receiver()
    sender = BackgroundSender("MLflow", receiver.take, every=0.001)
    for item in range(200):
        sender.put(item)
    assert sender.close(10)
    assert receiver.items == list(range(200))
    assert logged == []


def test_what_a_receiver_refuses_waits_for_it(logged: list[str]) -> None:
    receiver = _Receiver()
    sender = BackgroundSender("MLflow", receiver.take, every=0.001)
    receiver.up.clear()
    sender.put(1)
    assert receiver.refused.wait(10)
    sender.put(2)
    assert not sender.flush(0.1)
    assert sender.failing
    receiver.up.set()
    assert sender.flush(10)
    assert receiver.items == [1, 2]
    assert not sender.failing
    assert logged == [
        "MLflow is unavailable (refused); continuing, it gets everything when it is back",
        "MLflow is available again",
    ]
    assert sender.close(0)


def test_nothing_is_delivered_after_the_end() -> None:
    receiver = _Receiver()
    sender = BackgroundSender("MLflow", receiver.take, every=0.001)
    assert sender.close(10)
    sender.put(1)
    assert not sender.flush(0.1)
    assert receiver.items == []
