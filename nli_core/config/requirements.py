"""The config of what a model must reach."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from nli_core.config.base import Float, Section

Share = Annotated[Float, Field(ge=0, le=1)]
Shares = dict[str, Share]
Slice = Literal["hard", "easy", "in_train", "not_in_train", "agreed", "disagreed"]


class RequirementsConfig(Section):
    """What a model must reach on test, with the worse end of each 95 % interval. Without a field nothing is asked."""

    accuracy: Share | None = Field(None, description="least accuracy")
    micro_f1: Share | None = Field(None, description="least micro-F1, of a multi-label corpus")
    macro_f1: Share | None = Field(None, description="least macro-F1, of a multi-label corpus")
    classes: Shares = Field({}, description="least accuracy on the examples of a label: {LABEL: 0.7}")
    slices: dict[Slice, Share] = Field({}, description="least accuracy on a part of test: {hard: 0.5}")
    challenges: Shares = Field({}, description="least accuracy on a challenge set, or a group of it: {hans: 0.6}")
    ece: Share | None = Field(None, description="largest calibration error, after calibration")
    flip_rate: Share | None = Field(None, description="largest flip rate of a change that surely keeps the label")

    def floors(self) -> Iterator[tuple[str, float]]:
        """Yield the metrics that have a least value, and that value."""
        for name in ("accuracy", "micro_f1", "macro_f1"):
            if (least := getattr(self, name)) is not None:
                yield f"test/{name}", least
        yield from ((f"test/class/{label}/accuracy", least) for label, least in self.classes.items())
        yield from ((f"test/{name}/accuracy", least) for name, least in self.slices.items())
        yield from ((f"challenge/{name}/accuracy", least) for name, least in self.challenges.items())

    @property
    def is_empty(self) -> bool:
        """Whether nothing is asked."""
        return self == RequirementsConfig()
