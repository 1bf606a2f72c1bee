"""`nli deploy`: every recipe becomes a deployment in Prefect."""

from flows.cli.output import JsonOption, echo, print_json, print_rows
from flows.local.launch import prefect_api
from tasks.settings import RECIPE_BOOK, project_root


def deploy(json: JsonOption = False) -> None:
    """Hand all recipes to Prefect with their schedules, each stage of one's own recipes included.

    Example: nli deploy
    """
    with prefect_api():
        from flows import deployments

        root = project_root()
        described = list(deployments.deployments_of(root / RECIPE_BOOK))
        pools = dict.fromkeys(each["work_pool"]["name"] for each in described)
        made = [pool for pool in pools if deployments.make_pool(pool)]
        rows = []
        for each in described:
            deployment = deployments.deploy(each, root)
            when = ", ".join(str(schedule.get("cron") or schedule) for schedule in each.get("schedules") or ())
            rows.append((f"{deployment.flow_name}/{deployment.name}", when))
    if json:
        print_json({"deployments": [name for name, _ in rows], "work_pools": list(pools)})
        return
    print_rows(("deployment", "schedule"), rows)
    echo()
    for pool in pools:
        new = " (made now)" if pool in made else ""
        echo(f"Work pool {pool}{new}: prefect worker start --pool {pool}")
