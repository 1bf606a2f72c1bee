"""A sweep: a recipe's config, the values to try, and the trials that follow from them."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nli_core.errors import UserError
from nli_core.hashing import canonical_digest
from nli_core.run.config import RunConfig, parse_config
from nli_core.run.overrides import with_field

UNCHANGED = "as it is"  # the values of a trial that only differs in its seed
_SEED = "finetune.seed"


@dataclass(frozen=True)
class Sweep:
    """What to try: a recipe's config, the values of each field, and how many seeds each of their products gets."""

    recipe: str
    config: RunConfig
    grid: Mapping[str, Sequence[Any]]
    seeds: int

    @property
    def key(self) -> str:
        """The same for the same sweep, so that a resumed one finds its MLflow run."""
        return canonical_digest([self.recipe, self.config.model_dump(mode="json"), self.grid, self.seeds])

    def trials(self) -> Iterator[tuple[str, RunConfig]]:
        """Yield each trial's values as text, and its config.

        Raises:
            UserError: a field or value is invalid, or no trial follows.
        """
        if self.seeds < 1 or not all(self.grid.values()):
            raise UserError("sweep: give each field of the grid a value, and at least one seed")
        if _SEED in self.grid and self.seeds > 1:
            raise UserError(f"sweep: {_SEED} is in --grid and conflicts with --seeds; use one of them")
        plain = self.config.model_dump(mode="json", exclude_unset=True)
        for values in itertools.product(*self.grid.values()):
            chosen = dict(zip(self.grid, values, strict=True))
            first = int(chosen.get(_SEED, self.config.finetune.seed))
            for seed in range(first, first + self.seeds):
                changed = plain
                for field, value in {**chosen, _SEED: seed}.items():
                    changed = with_field(changed, field, value)
                yield (
                    ", ".join(f"{field}={value}" for field, value in chosen.items()) or UNCHANGED,
                    parse_config(changed),
                )
