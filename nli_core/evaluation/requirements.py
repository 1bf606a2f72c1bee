"""Whether a model meets what its config requires of it, with the worse end of each interval."""

from collections.abc import Iterator, Mapping, Sequence

from nli_core.config import RequirementsConfig
from nli_core.errors import did_you_mean

SURE_CHANGES = ("case", "punctuation", "white_space", "typo", "same_text")
"""The changes whose flips are errors; the others are only shown."""


def missed_requirements(requirements: RequirementsConfig, metrics: Mapping[str, float]) -> list[str]:
    """Describe each requirement that the metrics of an evaluation miss, in order; empty if they meet all.

    What was not measured is missed.
    """
    missed = [
        _below(name, least, metrics)
        for name, least in requirements.floors()
        if metrics.get(f"{name}_low", -1.0) < least
    ]
    missed += [
        f"{name} is {metrics[name]:.4f}, the upper end of its interval {metrics[f'{name}_high']:.4f}, above {most:g}"
        for name, most in _ceilings(requirements, metrics)
        if metrics[f"{name}_high"] > most
    ]
    return missed


def requirements_sentence(missed: Sequence[str]) -> str:
    """Say whether a model meets its requirements, from those that it misses."""
    return f"does not meet its requirements: {'; '.join(missed)}" if missed else "meets its requirements"


def _below(name: str, least: float, metrics: Mapping[str, float]) -> str:
    if name not in metrics:
        parent, _, part = name.removesuffix("/accuracy").rpartition("/")
        measured = [other.removesuffix("/accuracy").rpartition("/") for other in metrics if other.endswith("/accuracy")]
        known = [last for above, _, last in measured if above == parent != "test"]
        return f"{name} was not measured{did_you_mean(part, known)}"
    low = metrics[f"{name}_low"]
    return f"{name} is {metrics[name]:.4f}, the lower end of its interval {low:.4f}, below {least:g}"


def _ceilings(requirements: RequirementsConfig, metrics: Mapping[str, float]) -> Iterator[tuple[str, float]]:
    """Yield the metrics that have a largest value, and that value."""
    if requirements.ece is not None:
        yield "test/calibrated/ece", requirements.ece
    if requirements.flip_rate is not None:
        for change in SURE_CHANGES:
            if (name := f"behaviour/{change}/flip_rate") in metrics:
                yield name, requirements.flip_rate
