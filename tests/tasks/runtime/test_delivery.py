import threading
from collections.abc import Sequence

from tasks.runtime.delivery import Outbox


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


def test_items_arrive_once_and_in_order() -> None:
    receiver, said = _Receiver(), []
    outbox = Outbox("MLflow", receiver.take, every=0.001, say=said.append)
    for item in range(200):
        outbox.put(item)
    assert outbox.close(10)
    assert receiver.items == list(range(200))
    assert said == []


def test_what_a_receiver_refuses_waits_for_it() -> None:
    receiver, said = _Receiver(), []
    outbox = Outbox("MLflow", receiver.take, every=0.001, say=said.append)
    receiver.up.clear()
    outbox.put(1)
    assert receiver.refused.wait(10)
    outbox.put(2)
    assert not outbox.flush(0.1)
    assert outbox.failing
    receiver.up.set()
    assert outbox.flush(10)
    assert receiver.items == [1, 2]
    assert not outbox.failing
    assert said == [
        "MLflow takes nothing at present (refused); work goes on, and it gets all later",
        "MLflow answers again",
    ]
    assert outbox.close(0)


def test_nothing_is_delivered_after_the_end() -> None:
    receiver = _Receiver()
    outbox = Outbox("MLflow", receiver.take, every=0.001, say=print)
    assert outbox.close(10)
    outbox.put(1)
    assert not outbox.flush(0.1)
    assert receiver.items == []
