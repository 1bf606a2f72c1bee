"""Notify somebody outside of Prefect of a flow run that did not end well."""

from collections.abc import Mapping

import httpx
from prefect.blocks.abstract import NotificationBlock
from prefect.blocks.core import Block
from prefect.utilities.asyncutils import run_coro_as_sync

from nli_core.errors import reason_of
from nli_core.log import LOGGER
from nli_core.urls import is_remote
from tasks.settings import WEBHOOK, webhook

_TIMEOUT_SECONDS = 10


def notify(message: Mapping[str, str | None]) -> None:
    """Send this to the address in `NLI_WEBHOOK` as JSON, or through the Prefect notification block that it names.

    A block is named TYPE/NAME, such as slack-webhook/mine. Any fault is only a warning.
    """
    if not (target := webhook()):
        return
    try:
        if is_remote(target):
            httpx.post(target, json=dict(message), timeout=_TIMEOUT_SECONDS).raise_for_status()
        else:
            _notify_block(target, message)
    except Exception as error:  # blocks of all kinds raise errors of all kinds
        # Errors about an address quote parts of it, and it may be a secret as a whole.
        reason = reason_of(error) if isinstance(error, TypeError | ValueError) else type(error).__name__
        LOGGER.warning("%s: could not be notified of this run's end (%s)", WEBHOOK, reason)


def _notify_block(name: str, message: Mapping[str, str | None]) -> None:
    block = Block.load(name)
    if not isinstance(block, NotificationBlock):
        raise TypeError(f"{name} is no notification block; give one as TYPE/NAME, or an http(s) address")
    stage = f" in the stage {message['stage']}" if message["stage"] else ""
    body = f"{message['state']}{stage}: {message['message']} (flow run {message['flow_run_id']})"
    if waiting := block.notify(body, subject=f"{message['recipe']}: {message['state']}"):
        run_coro_as_sync(waiting)
