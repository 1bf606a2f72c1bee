"""Fetching challenge sets: the download stage's output beside corpus and encoder."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nli_core.callbacks import Progress, no_progress
from nli_core.download.challenges.base import Challenge
from nli_core.download.fetch import Fetcher
from nli_core.urls import without_password


def download_challenges(
    challenges: Sequence[Challenge], *, out: Path, cache: Path, progress: Progress = no_progress
) -> dict[str, Any]:
    """Leave the file of each challenge set in `out/NAME`; keep archives in `cache`. Returns the facts.

    Raises:
        UserError: a file cannot be fetched, or is not what it should be.
    """
    shutil.rmtree(out)
    scratch = out / "scratch"
    scratch.mkdir(parents=True)
    facts = {}
    for challenge in challenges:
        folder = out / challenge.table.name
        folder.mkdir()
        challenge.fetch(folder, Fetcher(cache, scratch, progress))
        facts[challenge.table.name] = {
            "source": without_password(challenge.address),
            "verified": challenge.sha256 is not None,
        }
    shutil.rmtree(scratch)
    return facts
