"""A recipe with other values and seeds, one run after the other: a run uses the whole machine by itself."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, cast

from prefect import State, flow
from prefect.artifacts import create_markdown_artifact
from prefect.exceptions import CancelledRun
from prefect.states import Cancelled

from flows.pipeline import RunSummary, ends, lifetime, pipeline
from nli_core.config import RunConfig, parse_config
from nli_core.errors import UserError
from nli_core.evaluation.sweep import Trial
from tasks.progress import LOGGER, artifact_key
from tasks.recipes import with_field
from tasks.settings import Settings
from tasks.sweeping import Sweep, adopt, publish_sweep, sweep_markdown, sweep_run

_SEED = "finetune.seed"


@flow(name="sweep", flow_run_name="sweep {recipe}", **ends)
def sweep(config: RunConfig, grid: dict[str, list[Any]], seeds: int = 1, recipe: str = "custom") -> dict[str, Any]:
    """Run a recipe for all products of some values, each with some seeds; stages that several runs need are done once.

    A sweep that ended early goes on where it was when the same is run again. A run that fails does not stop the others.

    Args:
        config: The recipe's configuration.
        grid: Values to try by field, such as {"finetune.learning_rate": [1e-5, 3e-5]}.
        seeds: How many seeds each of their products gets, from the config's on.
        recipe: The recipe's name.

    Raises:
        UserError: a field or value is not valid, and nothing is run then; or a run failed.
    """
    asked, settings = Sweep(recipe, config, grid, seeds), Settings.from_environment()
    plan = list(_plan(asked))
    try:
        with lifetime(), sweep_run(settings, asked) as parent:
            trials, failures = _run_all(plan, settings, parent, recipe)
            if trials:
                found = publish_sweep(settings, parent, trials)
                key = artifact_key(recipe, "sweep")
                create_markdown_artifact(sweep_markdown(found), key=key, description=f"{recipe}: {len(trials)} runs")
            if failures:
                raise UserError(f"sweep: {len(failures)} of {len(plan)} runs failed; {failures[0]}")
    except CancelledRun as stopped:
        return cast(dict[str, Any], Cancelled(message=str(stopped)))
    return {"mlflow_run_id": parent, "trials": trials, "choices": found}


def _run_all(
    plan: Sequence[tuple[str, RunConfig]], settings: Settings, parent: str, recipe: str
) -> tuple[list[Trial], list[str]]:
    """What the runs came to, and what became of those that failed.

    Raises:
        CancelledRun: a run was cancelled, and so the sweep is.
    """
    trials, failures = [], []
    for place, (values, config) in enumerate(plan, start=1):
        LOGGER.info("sweep: run %d of %d, %s, seed %d", place, len(plan), values, config.finetune.seed)
        state = pipeline(config, recipe=recipe, return_state=True)
        if state.is_cancelled():
            raise CancelledRun(state.message)
        if state.is_completed():
            trials.append(_trial(values, config, state))
            adopt(settings, parent, trials[-1].run_id)
        else:
            failures.append(f"{values}, seed {config.finetune.seed}: {state.message}")
    return trials, failures


def _plan(asked: Sweep) -> Iterator[tuple[str, RunConfig]]:
    """Each run's values as text, and its config; raises UserError for what is not valid."""
    if asked.seeds < 1 or not all(asked.grid.values()):
        raise UserError("sweep: each field of the grid needs a value, and there must be one seed at least")
    if _SEED in asked.grid and asked.seeds > 1:
        raise UserError(f"sweep: {_SEED} is in the grid, so that --seeds says the same twice; leave out one of the two")
    plain = asked.config.model_dump(mode="json", exclude_unset=True)
    for values in itertools.product(*asked.grid.values()):
        chosen = dict(zip(asked.grid, values, strict=True))
        first = int(chosen.get(_SEED, asked.config.finetune.seed))
        for seed in range(first, first + asked.seeds):
            changed = plain
            for field, value in {**chosen, _SEED: seed}.items():
                changed = with_field(changed, field, value)
            yield ", ".join(f"{field}={value}" for field, value in chosen.items()) or "as it is", parse_config(changed)


def _trial(values: str, config: RunConfig, state: State[RunSummary]) -> Trial:
    summary = state.result()
    metrics = summary.metrics
    run_id = str(summary.mlflow_run_id)
    return Trial(values, config.finetune.seed, run_id, metrics["dev/accuracy"], metrics["test/accuracy"])
