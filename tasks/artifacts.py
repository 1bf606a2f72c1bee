"""What a flow run leaves in Prefect for those who come later: what was done, or what went wrong and how to go on."""

import json
import os
from collections.abc import Mapping
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

from prefect import Flow, State
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import FlowRun

from nli_core.config import Stage
from nli_core.errors import reason_of
from tasks.progress import LOGGER, artifact_key
from tasks.stage import StageResult

WEBHOOK = "NLI_WEBHOOK"
_WEBHOOK_SECONDS = 10


def leave_summary(recipe: str, results: Mapping[Stage, StageResult]) -> None:
    """Which stages ran, which were cached, and where their outputs are."""
    lines = [f"## {recipe}", ""]
    if all(result.cached for result in results.values()):
        lines += ["Nothing had changed: every stage was cached.", ""]
    lines += ["| stage | state | seconds | output |", "|---|---|---|---|"]
    for stage, result in results.items():
        lines.append(f"| {stage} | {result.state_name} | {result.seconds:.1f} | `{result.output.folder}` |")
    create_markdown_artifact("\n".join(lines), key=artifact_key(recipe, "run"), description=f"{recipe}: what was done")


def report_end(flow: Flow[..., Any], flow_run: FlowRun, state: State) -> None:
    """For flows that failed, crashed or were cancelled: an artifact, and a message to the address in `NLI_WEBHOOK`.

    Prefect calls it in the flow's own process, or in the worker's if that is gone.
    """
    recipe = str(flow_run.parameters.get("recipe", flow.name))
    message = state.message or "no reason is known"
    how = "run the same again: finished stages are cached, and a training goes on from its last checkpoint"
    lines = [f"## {recipe}: {state.name}", "", message, "", f"To go on, {how}."]
    create_markdown_artifact("\n".join(lines), key=artifact_key(recipe, "end"), description=f"{recipe}: {state.name}")
    if address := os.environ.get(WEBHOOK):
        told = {"recipe": recipe, "state": state.name, "message": message, "flow_run_id": str(flow_run.id)}
        request = Request(address, json.dumps(told).encode(), {"Content-Type": "application/json"})
        try:
            urlopen(request, timeout=_WEBHOOK_SECONDS).close()
        except (URLError, OSError, ValueError) as error:
            LOGGER.warning("%s: was not told of the end of this run (%s)", WEBHOOK, reason_of(error))
