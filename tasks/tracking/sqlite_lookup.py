"""Whether MLflow has all of an output already, asked without MLflow where that can be done.

Importing MLflow and its SQL store takes longer than everything else in a run whose stages are all cached. So its local
database is asked directly; any doubt (a server, an unknown schema, a run that lacks something) counts as no, and
`tracking` then looks itself.
"""

import sqlite3

from nli_core.store.manifest import Output
from tasks.settings import Settings
from tasks.tracking.database import opened_to_read, sqlite_path
from tasks.tracking.tags import EVALUATED_TAG, PUBLISHED_TAG, REPORTED_TAG, RUN_ID_FACT, VERDICT_TAG, RunLink

_TAGS_OF_RUN = (
    "SELECT tags.key, tags.value FROM tags JOIN runs ON runs.run_uuid = tags.run_uuid "
    "WHERE runs.run_uuid = ? AND runs.lifecycle_stage = 'active' AND runs.status = 'FINISHED'"
)


def tracked_run(
    settings: Settings, trained: Output, evaluated: Output | None = None, verdict: str | None = None
) -> RunLink | None:
    """Return the run that made `trained` if it surely holds all of it, and of `evaluated` with this verdict."""
    path = sqlite_path(settings)
    if path is None:
        return None
    run_id = str(trained.facts[RUN_ID_FACT])
    try:
        with opened_to_read(path) as database:
            tags = dict(database.execute(_TAGS_OF_RUN, (run_id,)).fetchall())
    except sqlite3.Error:
        return None
    there = PUBLISHED_TAG in tags
    if evaluated is not None:
        there = there and tags.get(EVALUATED_TAG) == tags.get(REPORTED_TAG) == evaluated.key
        there = there and tags.get(VERDICT_TAG) == verdict
    return RunLink(run_id, None) if there else None
