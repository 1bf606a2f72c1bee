"""`nli deploy`: every recipe becomes a deployment in Prefect."""

from flows.cli.output import JsonOption, echo, print_json, print_rows
from flows.local.launch import log_to_stderr, prefect_api
from tasks.settings import RECIPE_BOOK, project_root


def deploy(json: JsonOption = False) -> None:
    """Hand all recipes to Prefect with their schedules, each stage of one's own recipes included.

    Example: nli deploy
    """
    from tasks.runtime.shown_progress import ShownProgress

    with prefect_api(), log_to_stderr(), ShownProgress("deploy") as progress:
        from flows import deployments

        root = project_root()
        described = deployments.all_deployments(root / RECIPE_BOOK)
        for each in described:  # before any is sent
            deployments.schedules_of(each)
        pools = dict.fromkeys(each["work_pool"]["name"] for each in described)
        made = [pool for pool in pools if deployments.make_pool(pool)]
        rows = []
        for number, each in enumerate(described, 1):
            name = deployments.deploy(each, root)
            progress(number, len(described), name)
            when = ", ".join(str(schedule.get("cron") or schedule) for schedule in each.get("schedules") or ())
            rows.append((name, when))
    if json:
        print_json({"deployments": [name for name, _ in rows], "work_pools": list(pools)})
        return
    print_rows(("deployment", "schedule"), rows)
    echo()
    for pool in pools:
        new = " (made now)" if pool in made else ""
        echo(f"Work pool {pool}{new}: prefect worker start --pool {pool}")
    from prefect.settings import PREFECT_API_URL

    if not PREFECT_API_URL.value():
        echo("PREFECT_API_URL is not set: nothing runs on a schedule until `nli ui` or `prefect server start` is up.")
