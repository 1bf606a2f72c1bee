import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

from prefect.events import Event
from prefect.events.clients import PrefectEventsClient

from flows.local.servers import prefect_server

EVENTS = 100


async def _send(address: str) -> None:
    async with PrefectEventsClient(address) as client:
        for _ in range(EVENTS):
            await client.emit(Event(event="nli.test", resource={"prefect.resource.id": "nli.test"}))


def test_a_server_that_is_stopped_keeps_all_events_that_it_received(prefect_home: Path) -> None:
    """Task runs reach Prefect's database as events."""
    with prefect_server(temporary=True) as server:
        server.wait_until_healthy()
        asyncio.run(_send(f"{server.address}/api"))
    with closing(sqlite3.connect(prefect_home / "prefect.db")) as database:
        assert database.execute("SELECT count(*) FROM events WHERE event = 'nli.test'").fetchone() == (EVENTS,)
