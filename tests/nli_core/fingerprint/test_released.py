"""A change of code that has every user's work done again is deliberate."""

import json
from pathlib import Path

from nli_core.fingerprint.same_results import SAME_RESULTS
from tests.fixtures.modules import load_module

HERE = Path(__file__).parent
REMEDY = """the code behind these outputs changed, so that everybody's would be made again.
If their bytes are the same (pytest -m slow tests/reliability/test_same_results.py), run `make same-results`.
If they are not, run `make keys`, and say in CHANGELOG.md what reruns."""


def _digests() -> dict[str, str]:
    found: dict[str, str] = load_module(HERE / "released.py", "released").digests()
    return found


def test_keys_change_only_where_it_is_said() -> None:
    released, found = json.loads((HERE / "released.json").read_text()), _digests()
    changed = {name: found.get(name) for name in released if found.get(name) != released[name]}
    assert not changed, REMEDY
    assert found.keys() == released.keys(), "run `make keys`: there is a new output, corpus, encoder or family"


def test_code_that_repeats_results_is_named_by_its_last_digest() -> None:
    """Not by one that stands for another in turn."""
    assert not set(SAME_RESULTS.values()) & SAME_RESULTS.keys()
