"""Running a flow from a terminal: a Prefect server, the stages' lines on stderr, Ctrl-C for a cancellation."""

import atexit
import contextlib
import logging
import os
import sys
from collections.abc import Iterator

from rich.console import Console
from rich.logging import RichHandler

from flows.local.environment import set_library_defaults
from flows.local.servers import prefect_server
from nli_core.log import LOGGER
from tasks.settings import Settings


@contextlib.contextmanager
def local_session() -> Iterator[None]:
    """Run flows within the block.

    Raises:
        KeyboardInterrupt: one was cancelled.
        UserError: the configured Prefect server does not answer.
    """
    Settings.from_environment().store.check_writable()
    with prefect_api(), log_to_stderr():
        from prefect.exceptions import CancelledRun

        from flows.lifecycle import mark_dead
        from tasks.runtime.liveness import register_launch

        try:
            with register_launch(Settings.from_environment(), mark_dead):
                yield
        except CancelledRun:
            raise KeyboardInterrupt from None


@contextlib.contextmanager
def prefect_api() -> Iterator[None]:
    """Use the configured Prefect server, or else a temporary one over the same database.

    Prefect would start a temporary one by itself, but only when the flow begins, and would import the whole server into
    this process too. Started here, it comes up while Prefect and the pipeline are imported.
    """
    set_library_defaults()
    until_exit = contextlib.ExitStack()
    server = None
    if not os.environ.get("PREFECT_API_URL"):  # nor in a profile, most likely; only Prefect itself knows that
        server = until_exit.enter_context(prefect_server(temporary=True))
    # Handlers of exit run in reverse order: those that Prefect adds later send their last logs and events first.
    atexit.register(until_exit.close)
    from prefect.settings import PREFECT_API_URL, PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    # A thread of Prefect's sends them, and keeps a flow that has ended waiting for up to a second.
    no_heartbeats = {PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}
    if server is None or PREFECT_API_URL.value():
        until_exit.close()
        from tasks.operations.preflight import check_prefect

        with temporary_settings(no_heartbeats):
            check_prefect()
            yield
        return
    import fastapi.encoders  # noqa: F401  # which Prefect imports when a flow begins

    import flows.pipeline  # noqa: F401

    server.wait_until_healthy()
    with temporary_settings({PREFECT_API_URL: f"{server.address}/api", **no_heartbeats}):
        yield


@contextlib.contextmanager
def log_to_stderr() -> Iterator[None]:
    """Show the stages' own lines on stderr while the block runs."""
    handler: logging.Handler
    if sys.stderr.isatty():
        handler = RichHandler(
            console=Console(stderr=True), show_level=False, show_path=False, log_time_format="%H:%M:%S"
        )
    else:  # one event, one line
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    LOGGER.addHandler(handler)
    LOGGER.setLevel(logging.INFO)
    try:
        yield
    finally:
        LOGGER.removeHandler(handler)
