"""The deployments that this project hands to Prefect: those of the recipe book, and those of the user's own recipes."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import ConcurrencyLimitConfig
from prefect.deployments.runner import RunnerDeployment
from prefect.exceptions import ObjectNotFound
from prefect.runner.storage import LocalStorage
from prefect.schedules import Schedule

from nli_core.config import STAGES
from nli_core.errors import UserError, reason_of
from tasks.recipes import Recipe, read_deployments, read_own_recipes

_TEMPLATE = "sample"  # the deployment whose work pool and queueing the user's own recipes share


def deployments_of(book: Path) -> Iterator[dict[str, Any]]:
    """Yield the deployments of a recipe book, and for each recipe beside it one, and one for each of its stages.

    Raises:
        UserError: a file is missing or malformed.
    """
    described = read_deployments(book)
    yield from described
    template = next((each for each in described if each.get("name") == _TEMPLATE), described[0])
    for recipe in read_own_recipes(book):
        yield from _of_recipe(recipe, template)


def _of_recipe(recipe: Recipe, template: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    shared = {name: template[name] for name in ("work_pool", "concurrency_limit") if name in template}
    shared["parameters"] = {"recipe": recipe.name, "config": dict(recipe.config)}
    yield {
        **shared,
        "name": recipe.name,
        "description": recipe.description,
        "entrypoint": "flows/pipeline.py:pipeline",
        "tags": [recipe.name],
        "schedules": list(recipe.schedules),
    }
    for stage in STAGES:
        yield {
            **shared,
            "name": f"{recipe.name}-{stage}",
            "description": f"The {stage} stage of the recipe {recipe.name}, alone.",
            "entrypoint": f"flows/stages.py:{stage}_stage",
            "tags": [recipe.name, "stage"],
        }


def deploy(described: Mapping[str, Any], root: Path) -> RunnerDeployment:
    """Hand a deployment to Prefect; its runs start in the folder `root`, on workers of its pool.

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
            schedules=[Schedule(**schedule) for schedule in described.get("schedules") or ()],
            concurrency_limit=ConcurrencyLimitConfig(**limit) if isinstance(limit, Mapping) else limit,
            work_pool_name=pool["name"],
            job_variables=pool.get("job_variables"),
        )
        assert isinstance(deployment, RunnerDeployment)  # a coroutine only where an event loop runs
        deployment.apply()
    except (TypeError, ValueError) as error:
        raise UserError(f"deployment {described['name']}: {reason_of(error)}") from None
    return deployment


def make_pool(name: str) -> bool:
    """Make the work pool whose workers start processes; return whether there was none of this name."""
    with get_client(sync_client=True) as client:
        try:
            client.read_work_pool(name)
        except ObjectNotFound:
            client.create_work_pool(WorkPoolCreate(name=name, type="process"))
            return True
    return False
