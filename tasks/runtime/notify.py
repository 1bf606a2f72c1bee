"""Telling somebody outside of Prefect that a flow run did not end well."""

import json
import os
from collections.abc import Mapping
from urllib.request import Request, urlopen

from prefect.blocks.abstract import NotificationBlock
from prefect.blocks.core import Block
from prefect.utilities.asyncutils import run_coro_as_sync

from nli_core.errors import reason_of
from nli_core.urls import is_remote
from tasks.runtime.progress import LOGGER

WEBHOOK = "NLI_WEBHOOK"
_SECONDS = 10


def notify(told: Mapping[str, str | None]) -> None:
    """Send this to the address in `NLI_WEBHOOK` as JSON, or through the notification block that it names.

    A block is named as in Prefect, TYPE/NAME, such as slack-webhook/mine. Whatever goes wrong is a warning.
    """
    if not (target := os.environ.get(WEBHOOK)):
        return
    try:
        if is_remote(target):
            request = Request(target, json.dumps(told).encode(), {"Content-Type": "application/json"})
            urlopen(request, timeout=_SECONDS).close()
        else:
            _through_block(target, told)
    except Exception as error:  # blocks of all kinds raise errors of all kinds
        LOGGER.warning("%s: was not told of the end of this run (%s)", WEBHOOK, reason_of(error))


def _through_block(name: str, told: Mapping[str, str | None]) -> None:
    block = Block.load(name)
    if not isinstance(block, NotificationBlock):
        raise TypeError(f"{name} is no notification block; give one as TYPE/NAME, or an http(s) address")
    stage = f" in the stage {told['stage']}" if told["stage"] else ""
    body = f"{told['state']}{stage}: {told['message']} (flow run {told['flow_run_id']})"
    if waiting := block.notify(body, subject=f"{told['recipe']}: {told['state']}"):
        run_coro_as_sync(waiting)
