"""A sweep: a recipe's config, what to try, and the trials that follow: a choice of values each, run with every seed."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, Literal

from nli_core.errors import UserError
from nli_core.evaluation.sweep import Values
from nli_core.hashing import canonical_digest
from nli_core.run.config import RunConfig, parse_config
from nli_core.run.kinds import kinds_of, kinds_until
from nli_core.run.overrides import with_field
from nli_core.run.plan import code_behind, key_inputs
from nli_core.run.space import Interval, Space, parse_space

PruningRule = Literal["median", "hyperband"]
"""How bad trials are stopped early: below the median of the earlier ones, or by Hyperband (Li et al. 2018)."""

_SEED = "finetune.seed"


@dataclass(frozen=True)
class Sweep:
    """What to try: all products of the grid's values, or what a search draws, each with some seeds."""

    recipe: str
    config: RunConfig
    grid: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    search: Mapping[str, str] = field(default_factory=dict)
    seeds: int = 1

    @property
    def fields(self) -> list[str]:
        """The names of the fields that are tried."""
        return [*self.grid, *self.search]

    @cached_property
    def space(self) -> Space:
        """What a search may draw."""
        return parse_space(self.search)

    @cached_property
    def key(self) -> str:
        """The same for the same sweep of the same data by the same code, so that a rerun resumes it."""
        tried = {name: asdict(each) if isinstance(each, Interval) else each for name, each in self.space.items()}
        plain = [self.recipe, self.config.model_dump(mode="json"), self.grid, tried, self.seeds]
        downloads = {
            canonical_digest(key_inputs(kind, config, {}))
            for config in self._examples()
            for kind in kinds_of("download", config)
        }
        code = [code_behind(kind, self.config, {}).digest for kind in kinds_until("evaluate", self.config)]
        return canonical_digest([plain, sorted(downloads), code])

    def check(self, trials: int | None = None, prune: PruningRule | None = None) -> None:
        """Look at everything that a trial could be refused for, and at the number of trials and the rule.

        Raises:
            UserError: a field or value is invalid, or no trial follows.
        """
        if self.grid and self.search:
            raise UserError("sweep: --grid and --search exclude each other; a search takes values too: FIELD=V1,V2")
        if self.seeds < 1 or not all(self.grid.values()):
            raise UserError("sweep: give each field of the grid a value, and at least one seed")
        if _SEED in self.fields and self.seeds > 1:
            option = "--grid" if self.grid else "--search"
            raise UserError(f"sweep: {_SEED} is in {option} and conflicts with --seeds; use one of them")
        if trials is not None and not self.search:
            raise UserError("sweep: --trials is the number of trials of a --search; a grid has all its products")
        if trials is not None and trials < 1:
            raise UserError(f"sweep: --trials: {trials} is below 1")
        if prune and self.config.finetune.epochs == 1 and "finetune.epochs" not in self.fields:
            raise UserError(
                "sweep: --prune looks at dev after each epoch, and finetune.epochs is 1; set more, or leave it out"
            )
        for _config in self._examples():
            pass

    def products(self) -> Iterator[Values]:
        """Yield all products of the grid's values; of no grid, one without values."""
        for values in itertools.product(*self.grid.values()):
            yield dict(zip(self.grid, values, strict=True))

    def runs(self, values: Values) -> list[RunConfig]:
        """Return the config of each run of a trial: one per seed.

        Raises:
            UserError: a value is invalid.
        """
        plain = self.config.model_dump(mode="json", exclude_unset=True)
        for name, value in values.items():
            plain = with_field(plain, name, value)
        first = parse_config(plain).finetune.seed
        return [parse_config(with_field(plain, _SEED, seed)) for seed in range(first, first + self.seeds)]

    def _examples(self) -> Iterator[RunConfig]:
        """Yield every config of a grid; of a search, some of each interval, and those with each value."""
        if not self.search:
            for values in self.products():
                yield from self.runs(values)
        for name, tried in self.space.items():
            for value in tried.samples if isinstance(tried, Interval) else tried:
                try:
                    yield from self.runs({name: value})
                except UserError as error:
                    remedy = "; int(LOW,HIGH) draws whole numbers" if isinstance(value, float) else ""
                    raise UserError(f"--search {name}={self.search[name]}: {error}{remedy}") from None
