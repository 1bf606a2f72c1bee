"""Whether MLflow has all of an output already, asked without MLflow where that can be done.

Importing MLflow and its SQL store takes longer than everything else in a run whose stages are all cached. So its local
database is asked directly; any doubt (a server, an unknown schema, a run that lacks something) counts as no, and
`tracking` then looks itself.
"""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from nli_core.store.manifest import Output
from tasks.settings import Settings

PUBLISHED_TAG = "nli.published.finetune"
EVALUATED_TAG = "nli.key.evaluate"
RUN_ID_FACT = "mlflow_run_id"
_SQLITE = "sqlite:///"
_TAGS_OF_RUN = (
    "SELECT tags.key, tags.value FROM tags JOIN runs ON runs.run_uuid = tags.run_uuid "
    "WHERE runs.run_uuid = ? AND runs.lifecycle_stage = 'active' AND runs.status = 'FINISHED'"
)


@dataclass(frozen=True)
class RunLink:
    """A run of MLflow and, where a server shows it, the address of its page."""

    run_id: str
    address: str | None

    @property
    def markdown(self) -> str:
        return f"[{self.run_id}]({self.address})" if self.address else f"`{self.run_id}` (`make ui` shows it)"


def tracked_run(settings: Settings, trained: Output, evaluated: Output | None = None) -> RunLink | None:
    """The run that made `trained`, if it surely holds all of it, and of `evaluated`."""
    if not settings.tracking_uri.startswith(_SQLITE):
        return None
    run_id = str(trained.facts[RUN_ID_FACT])
    path = Path(settings.tracking_uri.removeprefix(_SQLITE)).absolute()
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
            tags = dict(database.execute(_TAGS_OF_RUN, (run_id,)).fetchall())
    except sqlite3.Error:
        return None
    there = PUBLISHED_TAG in tags and (evaluated is None or tags.get(EVALUATED_TAG) == evaluated.key)
    return RunLink(run_id, None) if there else None
