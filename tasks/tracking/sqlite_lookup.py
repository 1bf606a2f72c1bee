"""Whether MLflow has all of an output already, asked without MLflow where that can be done.

Importing MLflow and its SQL store takes longer than everything else in a run whose stages are all cached. So its local
database is asked directly; any doubt (a server, an unknown schema, a run that lacks something) counts as no, and
`tracking` then looks itself.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

from nli_core.store.manifest import Output
from tasks.settings import Settings
from tasks.tracking.tags import EVALUATED_TAG, PUBLISHED_TAG, RUN_ID_FACT, RunLink

_SQLITE = "sqlite:///"
_TAGS_OF_RUN = (
    "SELECT tags.key, tags.value FROM tags JOIN runs ON runs.run_uuid = tags.run_uuid "
    "WHERE runs.run_uuid = ? AND runs.lifecycle_stage = 'active' AND runs.status = 'FINISHED'"
)


def tracked_run(settings: Settings, trained: Output, evaluated: Output | None = None) -> RunLink | None:
    """Return the run that made `trained` if it surely holds all of it, and of `evaluated`."""
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
