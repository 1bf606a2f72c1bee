"""The key of each output of a run: what it is made from.

The key inputs of an output are config fields, digests of files, and a digest of code: those that can change it. The
store derives the key from them. A stage that reran and left the same bytes invalidates nothing after it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from nli_core.config import OutputKind, Stage
from nli_core.errors import UserError
from nli_core.filenames import CORPUS, ENCODER, HISTORY, MODEL, TOKENIZER, TOKENIZER_FILES
from nli_core.fingerprint.code import Code, code_of
from nli_core.fingerprint.same_results import SAME_RESULTS
from nli_core.model.families.registry import family_entry
from nli_core.run.config import RunConfig
from nli_core.run.kinds import KINDS, kinds_until, stage_of
from nli_core.store.manifest import KeyInputs, Output
from nli_core.store.store import Store, output_key

ENTRIES: dict[OutputKind, tuple[str, ...]] = {
    "corpus": ("nli_core.download.stage:download",),
    "encoder": ("nli_core.download.stage:download",),
    "pack": (
        "nli_core.data.pack:pack",
        "nli_core.data.pack_shard:pack_shard",
        "nli_core.data.corpus.layout:CorpusLayout",  # handed to `pack`, and so not reached from there
    ),
    "challenges": ("nli_core.download.challenges.download:download_challenges",),
    "challenge_shards": (
        "nli_core.data.pack_challenges:pack_challenges",
        "nli_core.data.pack_shard:pack_shard",
        "nli_core.data.corpus.layout:CorpusLayout",
    ),
    "audit": (
        "nli_core.audit.audit:audit",
        "nli_core.data.corpus.layout:CorpusLayout",
    ),
    "finetune": ("nli_core.training.finetune:finetune",),
    "evaluate": ("nli_core.evaluation.evaluate:evaluate",),
}
Outputs = dict[OutputKind, Output]
Elsewhere = Callable[[OutputKind, KeyInputs], Output | None]
"""Looks for an output that the store lacks, in the bucket behind it."""


def nowhere(_kind: OutputKind, _inputs: KeyInputs) -> None:
    """Find nothing: the default `Elsewhere`."""


@dataclass(frozen=True)
class StageRequest:
    """What a stage is asked for: a run's config and recipe, the outputs of the stages before it, and a forced rerun."""

    config: RunConfig
    recipe: str
    upstream: Outputs = field(default_factory=dict)
    rerun: bool = False


def key_inputs(kind: OutputKind, config: RunConfig, upstream: Outputs) -> KeyInputs:
    """Collect all that the output depends on; `upstream` holds the outputs that its stage reads."""
    code = code_behind(kind, config, upstream).digest
    return {**_INPUTS[kind](config, upstream), "code": SAME_RESULTS.get(code, code)}


def code_behind(kind: OutputKind, config: RunConfig, upstream: Outputs) -> Code:
    """Digest the core code that can change the output: of a corpus, an encoder or a model, that of its own kind."""
    entries = ENTRIES[kind]
    if kind in ("corpus", "encoder"):
        downloaded = config.corpus if kind == "corpus" else config.encoder
        entries += (f"{type(downloaded).__module__}:{type(downloaded).__name__}",)
    elif kind == "finetune" and "encoder" in upstream:
        entries += (family_entry(upstream["encoder"].folder / ENCODER),)
    elif kind == "evaluate" and "finetune" in upstream:
        entries += (family_entry(upstream["finetune"].folder / MODEL),)
    return code_of(*entries)


def _corpus(config: RunConfig, upstream: Outputs) -> dict[str, Any]:
    return {"corpus": config.corpus.identity()}


def _encoder(config: RunConfig, upstream: Outputs) -> dict[str, Any]:
    return {"encoder": config.encoder.identity()}


def _pack(config: RunConfig, upstream: Outputs) -> dict[str, Any]:
    return {
        "files": upstream["corpus"].digest(f"{CORPUS}/"),
        "layout": config.corpus.layout.identity(),
        "tokenizer": upstream["encoder"].digest(*(f"{ENCODER}/{name}" for name in TOKENIZER_FILES)),
        "pack": config.pack.result_fields(),
    }


def _challenges(config: RunConfig, upstream: Outputs) -> dict[str, Any]:
    return {"challenges": {each.table.name: each.identity() for each in config.challenges}}


def _challenge_shards(config: RunConfig, upstream: Outputs) -> dict[str, Any]:
    tables = [each.table for each in config.challenges]
    return {
        "files": upstream["challenges"].digest(),
        "tables": {
            table.name: {
                "layout": table.layout.identity(),
                "means": table.means and {theirs: list(ours) for theirs, ours in table.means.items()},
                "group": table.group,
            }
            for table in tables
        },
        "labels": upstream["pack"].facts["labels"],
        "tokenizer": upstream["pack"].digest(f"{TOKENIZER}/"),
        "pack": config.pack.result_fields(),
    }


def _audit(config: RunConfig, upstream: Outputs) -> dict[str, Any]:
    return {
        "files": upstream["corpus"].digest(f"{CORPUS}/"),
        "layout": config.corpus.layout.identity(),
        "annotators": list(config.corpus.annotators),
        "pack": {"empty_text": config.pack.empty_text},
    }


def _finetune(config: RunConfig, upstream: Outputs) -> dict[str, Any]:
    return {
        "shards": upstream["pack"].digest("train-", "dev-"),
        "encoder": upstream["encoder"].digest(f"{ENCODER}/"),
        "finetune": config.finetune.result_fields(),
    }


def _evaluate(config: RunConfig, upstream: Outputs) -> dict[str, Any]:
    return {
        "model": upstream["finetune"].digest(f"{MODEL}/", HISTORY),
        "shards": upstream["pack"].digest("dev-", "test-"),
        "text": upstream["pack"].digest("text-"),
        "audit": upstream["audit"].digest("audit"),
        "evaluate": config.evaluate.result_fields(),
        **({"challenges": upstream["challenge_shards"].digest()} if config.evaluate.challenges else {}),
    }


_INPUTS = {
    "corpus": _corpus,
    "encoder": _encoder,
    "challenges": _challenges,
    "pack": _pack,
    "challenge_shards": _challenge_shards,
    "audit": _audit,
    "finetune": _finetune,
    "evaluate": _evaluate,
}


def finished_upstream(stage: Stage, config: RunConfig, store: Store, elsewhere: Elsewhere = nowhere) -> Outputs:
    """Find the finished outputs that the stage reads, by their keys; `elsewhere` brings those that the store lacks.

    Raises:
        UserError: an output is missing or damaged; names the stage to run.
    """
    found: Outputs = {}
    for needed in (kind for kind in kinds_until(stage, config) if kind not in KINDS[stage]):
        inputs = key_inputs(needed, config, found)
        output = store.load(needed, output_key(needed, inputs)) or elsewhere(needed, inputs)
        if output is None:
            raise UserError(
                f"{stage}: there is no output of the stage {stage_of(needed)} for this configuration in {store.root}; "
                f"run {stage_of(needed)} first, or the whole pipeline"
            )
        if damage := output.damage():
            raise UserError(f"{stage}: {damage}; run {stage_of(needed)} again, or the whole pipeline")
        found[needed] = output
    return found
