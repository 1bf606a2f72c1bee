"""The digests of the code behind every output. Printed as JSON they are `released.json`: what keys are made of.

With `same`, write into `same_results.py` which digests of now repeat the results of the released ones instead.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from nli_core.download.corpora.registry import CORPORA
from nli_core.download.encoders.registry import ENCODERS
from nli_core.fingerprint import same_results
from nli_core.fingerprint.code import code_of
from nli_core.model.families.registry import family_entries
from nli_core.run.plan import ENTRIES


def digests() -> dict[str, str]:
    """The digest in keys, by the output's kind, and what it is for: a corpus, an encoder or a family."""
    return {name: same_results.SAME_RESULTS.get(digest, digest) for name, digest in _own_digests()}


def _own_digests() -> Iterator[tuple[str, str]]:
    particular = {
        "corpus": [f"{each.__module__}:{each.__name__}" for each in CORPORA],
        "encoder": [f"{each.__module__}:{each.__name__}" for each in ENCODERS],
        "finetune": family_entries(),
        "evaluate": family_entries(),
    }
    for kind, entries in ENTRIES.items():
        for one in particular.get(kind, [""]):
            yield f"{kind} {one}".strip(), code_of(*entries, *filter(None, [one])).digest


def _repeated() -> str:
    """The table of `same_results.py`: under each released digest those of now, and what they are for."""
    released = json.loads(Path(__file__).with_name("released.json").read_text(encoding="utf-8"))
    groups: dict[str, dict[str, list[str]]] = {}
    for name, digest in _own_digests():
        if name in released and digest != released[name]:
            kind, _, entry = name.partition(" ")
            shown = f"{kind} {entry.partition(':')[0].rpartition('.')[2]}".strip()
            groups.setdefault(released[name], {}).setdefault(digest, []).append(shown)
    lines = ["_REPEATED = {"]
    for earlier, now in groups.items():
        lines += [f'    "{earlier}": [', *(f'        "{each}",  # {", ".join(names)}' for each, names in now.items())]
        lines.append("    ],")
    return "\n".join([*lines, "}"])


def _write_same_results() -> None:
    path = Path(same_results.__file__)
    before, _, rest = path.read_text(encoding="utf-8").partition("_REPEATED = {")
    path.write_text(f"{before}{_repeated()}\nSAME_RESULTS{rest.partition('SAME_RESULTS')[2]}", encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:] == ["same"]:
        _write_same_results()
    else:
        print(json.dumps(digests(), indent=1))
