"""Prefect's server for the users of one machine: `python -m flows.local.prefect_app --host 127.0.0.1 --port 4200`.

It answers only requests to names of loopback, so that no web page can reach it by a name of its own (DNS rebinding).
`prefect server start` answers any host. It also keeps what it has received when it is stopped, where Prefect's own
command drops events that its services have not read yet. The rest comes from the environment, as for that command.
"""

import argparse
import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from tasks.runtime.garbage import collect_rarely

if TYPE_CHECKING:
    from fastapi import FastAPI

LOOPBACK = ("127.0.0.1", "localhost")
_READ_SECONDS = 5.0


def main() -> None:
    """Serve until a signal."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--temporary", action="store_true", help="without pages and schedules; runs are recorded")
    options = parser.parse_args()
    collect_rarely()
    import uvicorn
    from prefect.server.api.server import create_app
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    app = create_app(final=True, ephemeral=options.temporary)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(LOOPBACK))
    _let_services_finish(app)
    uvicorn.run(app, host=options.host, port=options.port, log_level="critical")


def _let_services_finish(app: "FastAPI") -> None:
    """Stop Prefect's services only after they have read all events: task runs reach the database as events."""
    from prefect.server.utilities.messaging.memory import METRICS

    with_services = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(app: "FastAPI") -> AsyncIterator[Any]:
        async with with_services(app) as state:
            yield state
            give_up = time.monotonic() + _READ_SECONDS
            while any(each["consumed"] < each["published"] for each in METRICS.values()) and time.monotonic() < give_up:
                await asyncio.sleep(0.01)

    app.router.lifespan_context = lifespan


if __name__ == "__main__":
    main()
