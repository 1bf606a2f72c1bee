"""Processes that take turns: each way has one, which starts once and measures whenever it is asked to.

So a machine that changes its speed changes it for all ways, and nothing is started or warmed up twice.
"""

import contextlib
import gc
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence

from reporting import start, told_in


def take_turns(
    script: str, ways: Sequence[str], *words: object, repeats: int, **environment: object
) -> Iterator[tuple[str, dict[str, float]]]:
    """Run `script WAY WORDS` for each way; give pairs of a way and what it measured, `repeats` for each.

    The first turn of each warms it up and does not count.
    """
    with contextlib.ExitStack() as stack:
        running = {way: stack.enter_context(start(script, way, *words, **environment)) for way in ways}
        for turn in range(repeats + 1):
            for way, process in running.items():
                measured = _ask(process)
                if turn > 0:
                    yield way, measured


def answer(measure: Callable[[], dict[str, float]]) -> None:
    """Measure whenever the process that called `take_turns` asks, until it ends."""
    for _ in sys.stdin:
        print(json.dumps(measure()), flush=True)


def collect_garbage() -> None:
    """Collect what earlier passes left, so that it is not collected on the clock of the next."""
    gc.collect()
    gc.freeze()


def _ask(process: subprocess.Popen[str]) -> dict[str, float]:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
    for line in process.stdout or ():
        if measured := told_in(line):
            return measured
    raise subprocess.CalledProcessError(process.wait(), process.args)
