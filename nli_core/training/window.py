"""The steps between two points of the training curves."""

import time

from torch import Tensor

_SUMS = ("loss", "norm", "steps", "examples", "tokens", "places")


class Window:
    """Sums over the steps since the last point. Losses and norms stay on their device until the point is due.

    `seconds` and `examples` are those of all closed windows: only there has a GPU done what it was given.
    """

    def __init__(self, totals: dict[str, float]) -> None:
        """Go on with the sums of a checkpoint; an empty dict begins anew."""
        self._sums: dict[str, float | Tensor] = {name: totals.get(name, 0.0) for name in _SUMS}
        self.seconds = 0.0
        self.examples = 0
        self.restart_clock()

    def add(self, loss: Tensor, norm: Tensor, *, examples: int, tokens: int, places: int) -> None:
        """Count one step: its mean loss, gradient norm, examples, tokens, and places of the padded batch."""
        added: dict[str, float | Tensor] = {"loss": loss.detach().double() * examples, "norm": norm.double()}
        added.update(steps=1, examples=examples, tokens=tokens, places=places)
        for name, value in added.items():
            self._sums[name] = self._sums[name] + value
        self._timed_examples += examples
        self._timed_tokens += tokens

    def totals(self) -> dict[str, float]:
        """The sums so far, for a checkpoint."""
        return {name: float(value) for name, value in self._sums.items()}

    def close(self) -> tuple[dict[str, float], dict[str, float]]:
        """Metrics that the seed decides, and speeds that the clock decides; then begins anew."""
        sums = self.totals()  # waits for the device
        seconds = time.perf_counter() - self._started
        self.seconds += seconds
        self.examples += self._timed_examples
        metrics = {
            "train/loss": sums["loss"] / sums["examples"],
            "train/grad_norm": sums["norm"] / sums["steps"],
            "train/padding_fraction": 1 - sums["tokens"] / sums["places"],
        }
        speeds = {
            "train/examples_per_second": self._timed_examples / seconds,
            "train/tokens_per_second": self._timed_tokens / seconds,
        }
        self._sums = dict.fromkeys(_SUMS, 0.0)
        self.restart_clock()
        return metrics, speeds

    def restart_clock(self) -> None:
        """Time from now on: something else than steps came in between."""
        # After a resumption the sums reach back before the clock, so what is timed is counted apart.
        self._started = time.perf_counter()
        self._timed_examples = self._timed_tokens = 0
