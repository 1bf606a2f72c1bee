"""The digests of the code behind every output, as keys have them; printed as JSON for `released.json`."""

import json

from nli_core.download.corpora.registry import CORPORA
from nli_core.download.encoders.registry import ENCODERS
from nli_core.fingerprint.code import code_of
from nli_core.fingerprint.same_results import SAME_RESULTS
from nli_core.model.families.registry import family_entries
from nli_core.run.plan import ENTRIES


def digests() -> dict[str, str]:
    """The digest in keys, by the output's kind, and what it is for: a corpus, an encoder or a family."""
    particular = {
        "corpus": [f"{each.__module__}:{each.__name__}" for each in CORPORA],
        "encoder": [f"{each.__module__}:{each.__name__}" for each in ENCODERS],
        "finetune": family_entries(),
        "evaluate": family_entries(),
    }
    found = {}
    for kind, entries in ENTRIES.items():
        for one in particular.get(kind, [""]):
            digest = code_of(*entries, *filter(None, [one])).digest
            found[f"{kind} {one}".strip()] = SAME_RESULTS.get(digest, digest)
    return found


if __name__ == "__main__":
    print(json.dumps(digests(), indent=1))
