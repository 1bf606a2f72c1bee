"""The steps between two points of the training curves."""

import math
import time

from torch import Tensor

from nli_core.arrays import IntArray

_SHOWN_IDS = 8
_SUMS = ("loss", "norm", "steps", "examples", "tokens", "slots")


class RunningMetrics:
    """Sums over the steps since the last point. Losses and norms stay on their device until the point is due.

    `seconds` and `examples` are those of all closed windows: only there has a GPU done what it was given.
    """

    def __init__(self, totals: dict[str, float]) -> None:
        """Continue the sums of a checkpoint; an empty dict starts new ones."""
        self._sums: dict[str, float | Tensor] = {name: totals.get(name, 0.0) for name in _SUMS}
        self._recent: list[tuple[Tensor, Tensor, IntArray]] = []
        self.seconds = 0.0
        self.examples = 0
        self._started: float | None = None
        self._timed_seconds = 0.0
        self._timed_examples = self._timed_tokens = 0  # after a resumption, the sums reach back before the clock
        self.start_clock()

    def add(self, loss: Tensor, norm: Tensor, ids: IntArray, *, tokens: int, slots: Tensor | int) -> None:
        """Count one step: its mean loss, gradient norm, the examples' ids, tokens, and slots with padding."""
        examples, loss = len(ids), loss.detach()
        added: dict[str, float | Tensor] = {"loss": loss.double() * examples, "norm": norm.double()}
        added.update(steps=1, examples=examples, tokens=tokens, slots=slots)
        self._recent.append((loss, norm, ids))
        for name, value in added.items():
            self._sums[name] = self._sums[name] + value
        self._timed_examples += examples
        self._timed_tokens += tokens

    def totals(self) -> dict[str, float]:
        """Return the sums so far, for a checkpoint."""
        return {name: float(value) for name, value in self._sums.items()}

    def first_fault(self, *, last_step: int) -> str | None:
        """Describe the first step whose loss or gradient is NaN or infinite. Waits for the device."""
        if math.isfinite(float(self._sums["loss"])) and math.isfinite(float(self._sums["norm"])):
            return None
        first = last_step - len(self._recent) + 1
        for step, (loss, norm, ids) in enumerate(self._recent, start=first):
            for name, value in (("loss", float(loss)), ("gradient's norm", float(norm))):
                if not math.isfinite(value):
                    shown = ", ".join(map(str, sorted(ids.tolist())[:_SHOWN_IDS]))
                    more = f" and {len(ids) - _SHOWN_IDS} more" if len(ids) > _SHOWN_IDS else ""
                    return f"the {name} became {value} in step {step}, whose batch has the train rows {shown}{more}"
        return None

    def close(self) -> tuple[dict[str, float], dict[str, float]]:
        """Return metrics that the seed decides and speeds that the clock decides; then start new sums."""
        self.pause_clock()
        sums, seconds = self.totals(), self._timed_seconds
        self.seconds += seconds
        self.examples += self._timed_examples
        metrics = {
            "train/loss": sums["loss"] / sums["examples"],
            "train/grad_norm": sums["norm"] / sums["steps"],
            "train/padding_fraction": 1 - sums["tokens"] / sums["slots"],
        }
        speeds = {
            "train/examples_per_second": self._timed_examples / seconds,
            "train/tokens_per_second": self._timed_tokens / seconds,
        }
        self._sums = dict.fromkeys(_SUMS, 0.0)
        self._recent.clear()
        self._timed_seconds = 0.0
        self._timed_examples = self._timed_tokens = 0
        self.start_clock()
        return metrics, speeds

    @property
    def steps(self) -> int:
        """How many steps there are in the sums."""
        return int(self._sums["steps"])

    def pause_clock(self) -> None:
        """Stop the clock before something else than steps. Waits for the device."""
        self.totals()
        if self._started is not None:
            self._timed_seconds += time.perf_counter() - self._started
        self._started = None

    def start_clock(self) -> None:
        """Start the clock again."""
        self._started = time.perf_counter()
