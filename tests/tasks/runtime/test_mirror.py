"""Checkpoints of a training that stops, in a real bucket of moto's server."""

import json
from pathlib import Path

import pytest

from nli_core.callbacks import StoppedError, never
from nli_core.filenames import CHECKPOINTS
from nli_core.remote.bucket import Bucket
from nli_core.store.store import Store
from tasks.runtime.mirror import CheckpointMirror
from tasks.settings import REMOTE, Settings


@pytest.mark.parametrize("finished", [False, True])
def test_a_training_that_is_stopped_is_mirrored_once_more(
    s3: str, workplace: Path, monkeypatch: pytest.MonkeyPatch, finished: bool
) -> None:
    monkeypatch.setenv(REMOTE, s3)
    settings = Settings.from_environment()
    with Store(workplace / "store").claim("finetune", {"number": 1}) as claim:
        with pytest.raises(StoppedError), CheckpointMirror(settings, claim, never, fresh=False):
            checkpoint = claim.partial / CHECKPOINTS / "step-00000007-epoch-0001"
            checkpoint.mkdir(parents=True)
            (checkpoint / "position.json").write_text(json.dumps({"finished": finished}))
            raise StoppedError
        mirrored = [Path(entry.name).stem for entry in Bucket(s3, setting=REMOTE).entries("checkpoints")]
    assert mirrored == ([] if finished else [checkpoint.name])  # one that is finished is an output soon
