"""Python's garbage collection in the processes that the project starts itself."""

import atexit
import gc


def collect_rarely() -> None:
    """Save half a second of every command: imports make many objects, and all of them stay."""
    gc.set_threshold(100_000, 50, 100)
    atexit.register(gc.freeze)
