"""The deployments that this project hands to Prefect: those of the recipe book, and those of the user's own recipes."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import ConcurrencyLimitConfig
from prefect.client.schemas.schedules import construct_schedule
from prefect.deployments.runner import DeploymentApplyError, RunnerDeployment
from prefect.exceptions import ObjectNotFound
from prefect.runner.storage import LocalStorage
from prefect.schedules import Schedule
from pydantic import ValidationError

from nli_core.config import STAGES
from nli_core.errors import UserError, reason_of
from nli_core.run.config import parse_config
from tasks.recipes import Recipe, read_deployments, read_recipes

_TEMPLATE = "sample"  # the deployment whose work pool and queueing the user's own recipes share


def all_deployments(book: Path) -> list[dict[str, Any]]:
    """Describe the deployments of a recipe book, and for each recipe beside it one, and one for each of its stages.

    Raises:
        UserError: a file is missing or malformed, two recipes have one name, or the config of one is not valid.
    """
    described = read_deployments(book)
    own = [recipe for name, recipe in read_recipes(book).items() if name not in {each["name"] for each in described}]
    template = next((each for each in described if each.get("name") == _TEMPLATE), described[0])
    for recipe in own:
        try:
            parse_config(recipe.config)
        except UserError as error:
            raise UserError(f"recipe {recipe.name}: {error}") from None
    return [*described, *(each for recipe in own for each in _of_recipe(recipe, template))]


def _of_recipe(recipe: Recipe, template: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    shared = {name: template[name] for name in ("work_pool", "concurrency_limit") if name in template}
    shared["parameters"] = {"recipe": recipe.name, "config": dict(recipe.config)}
    yield {
        **shared,
        "name": recipe.name,
        "description": recipe.description,
        "entrypoint": "flows/pipeline.py:pipeline",
        "tags": [recipe.name],
        "schedules": recipe.schedules,
    }
    for stage in STAGES:
        yield {
            **shared,
            "name": f"{recipe.name}-{stage}",
            "description": f"The {stage} stage of the recipe {recipe.name}, alone.",
            "entrypoint": f"flows/stages.py:{stage}_stage",
            "tags": [recipe.name, "stage"],
        }


def schedules_of(described: Mapping[str, Any]) -> list[Schedule]:
    """Read the schedules of a deployment, as `prefect.yaml` writes them.

    Raises:
        UserError: one is malformed.
    """
    try:
        schedules = [Schedule(**each) for each in described.get("schedules") or ()]
        for each in schedules:
            construct_schedule(interval=each.interval, cron=each.cron, rrule=each.rrule, timezone=each.timezone)
    except (TypeError, ValueError, AttributeError) as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else reason_of(error)
        reason = re.sub(r"\S*__init__\(\)|prefect\S+ argument after \*\*", "it", reason)
        written = '[{cron: "0 3 * * *", timezone: Etc/UTC}]'
        raise UserError(f"{described['name']}: schedules: {reason}; write them as {written}") from None
    return schedules


def deploy(described: Mapping[str, Any], root: Path) -> str:
    """Hand a deployment to Prefect, and return its name there; its runs start in the folder `root`.

    Raises:
        UserError: Prefect refuses it.
    """
    pool, limit = described["work_pool"], described.get("concurrency_limit")
    try:
        deployment = RunnerDeployment.from_storage(
            storage=LocalStorage(str(root)),
            entrypoint=described["entrypoint"],
            name=described["name"],
            description=described["description"],
            tags=described.get("tags"),
            parameters=described.get("parameters"),
            schedules=schedules_of(described),
            concurrency_limit=ConcurrencyLimitConfig(**limit) if isinstance(limit, Mapping) else limit,
            work_pool_name=pool["name"],
            job_variables=pool.get("job_variables"),
        )
        assert isinstance(deployment, RunnerDeployment)  # a coroutine only where an event loop runs
        deployment.apply()
    except (TypeError, ValueError, DeploymentApplyError) as error:
        raise UserError(f"{described['name']}: Prefect refuses the deployment ({reason_of(error)})") from None
    return f"{deployment.flow_name}/{deployment.name}"


def make_pool(name: str) -> bool:
    """Make the work pool whose workers start processes; return whether there was none of this name."""
    with get_client(sync_client=True) as client:
        try:
            client.read_work_pool(name)
        except ObjectNotFound:
            client.create_work_pool(WorkPoolCreate(name=name, type="process"))
            return True
    return False
