"""What a search may try: for each field an interval to draw from, or single values."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nli_core.errors import UserError
from nli_core.run.overrides import parse_values

_FORM = "write log(LOW,HIGH), uniform(LOW,HIGH), int(LOW,HIGH), or values such as 16,32"
_CALL = re.compile(r"\s*([A-Za-z]\w*)\s*\((.*)\)\s*")
_BEGINS_AS_CALL = re.compile(r"\s*[A-Za-z]\w*\s*\(")
_DIGITS = 4


@dataclass(frozen=True)
class Interval:
    """Numbers from `low` to `high`, both included: evenly spread, or by their logarithm; whole numbers alone."""

    low: float
    high: float
    log: bool = False
    whole: bool = False

    @property
    def samples(self) -> tuple[float, ...]:
        """Both ends, and a number between them that is not whole where others need not be either."""
        return self.low, self.rounded(self.low + (self.high - self.low) * 0.382), self.high

    @property
    def scale(self) -> str:
        """The scale of an axis: linear or log."""
        return "log" if self.log else "linear"

    def rounded(self, number: float) -> float | int:
        """Round a drawn number to four digits, which people can read and type; never beyond the ends."""
        if self.whole:
            return round(number)
        return min(max(float(f"{number:.{_DIGITS}g}"), self.low), self.high)


Space = Mapping[str, Interval | list[Any]]
"""What to try of each field."""


def parse_space(search: Mapping[str, str]) -> dict[str, Interval | list[Any]]:
    """Read what a search may try, such as `{"finetune.learning_rate": "log(1e-5,5e-4)"}`.

    Raises:
        UserError: an interval or value is malformed.
    """
    return {field: _parse(field, text) for field, text in search.items()}


def _parse(field: str, text: str) -> Interval | list[Any]:
    setting = f"--search {field}={text}"
    if not _BEGINS_AS_CALL.match(text):
        return parse_values("--search", f"{field}={text}", text)
    try:
        call = _CALL.fullmatch(text)
        if call is None or call[1] not in ("log", "uniform", "int"):
            raise ValueError
        kind, inner = call.groups()
        low, high = (int(end) if kind == "int" else float(end) for end in inner.split(","))
        are_ends = math.isfinite(low) and math.isfinite(high) and low < high
    except (ValueError, OverflowError):
        raise UserError(f"{setting}: {_FORM}") from None
    if not are_ends:
        raise UserError(f"{setting}: both numbers should be finite, and the first below the second")
    if kind == "log" and low <= 0:
        raise UserError(f"{setting}: log needs numbers above 0; use uniform")
    return Interval(low, high, log=kind == "log", whole=kind == "int")
