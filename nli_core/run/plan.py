"""What each output of a run is made from, and why it would be made again.

The key inputs of an output are config fields, digests of files, and a digest of code: those that can change it. The
store derives the key from them. A stage that reran and left the same bytes invalidates nothing after it.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from nli_core.config import OUTPUT_KINDS, OutputKind, Stage
from nli_core.errors import UserError
from nli_core.filenames import CORPUS, ENCODER, HISTORY, MODEL, TOKENIZER, TOKENIZER_FILES
from nli_core.fingerprint.code import Code, code_of
from nli_core.run.config import RunConfig
from nli_core.store.manifest import KeyInputs, Output
from nli_core.store.store import Store, output_key

KINDS: dict[Stage, tuple[OutputKind, ...]] = {
    "download": ("corpus", "encoder", "challenges"),
    "pack": ("pack", "challenge_shards"),
    "finetune": ("finetune",),
    "audit": ("audit",),
    "evaluate": ("evaluate",),
}
"""What each stage leaves; the outputs of challenge sets only where a config has such sets."""
ENTRIES: dict[OutputKind, tuple[str, ...]] = {
    "corpus": ("nli_core.download.stage:download",),
    "encoder": ("nli_core.download.stage:download",),
    "pack": (
        "nli_core.data.pack:pack",
        "nli_core.data.pack:pack_shard",
        "nli_core.data.corpus.layout:CorpusLayout",  # handed to `pack`, and so not reached from there
    ),
    "challenges": ("nli_core.download.challenges.download:download_challenges",),
    "challenge_shards": (
        "nli_core.data.pack_challenges:pack_challenges",
        "nli_core.data.pack:pack_shard",
        "nli_core.data.corpus.layout:CorpusLayout",
    ),
    "audit": (
        "nli_core.audit.audit:audit",
        "nli_core.data.corpus.layout:CorpusLayout",
    ),
    "finetune": ("nli_core.training.finetune:finetune",),
    "evaluate": ("nli_core.evaluation.evaluate:evaluate",),
}
UPSTREAM: dict[OutputKind, tuple[OutputKind, ...]] = {
    "corpus": (),
    "encoder": (),
    "pack": ("corpus", "encoder"),
    "challenges": (),
    "challenge_shards": ("challenges", "pack"),
    "audit": ("corpus",),
    "finetune": ("encoder", "pack"),
    "evaluate": ("pack", "challenge_shards", "audit", "finetune"),
}
_OF_CHALLENGES: tuple[OutputKind, ...] = ("challenges", "challenge_shards")
_MOST_DEFINITIONS = 5  # that an explanation names

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


@dataclass(frozen=True)
class OutputPlan:
    """Whether an output would be made, and why, in words."""

    kind: OutputKind
    action: Literal["runs", "cached", "pulled"]
    reason: str

    @property
    def runs(self) -> bool:
        """Whether the stage's work would be done."""
        return self.action == "runs"


def kinds_until(stage: Stage, config: RunConfig) -> tuple[OutputKind, ...]:
    """Return what the stage leaves for this config, and what that is made from, in order."""
    needed = set(kinds_of(stage, config))
    for kind in reversed(OUTPUT_KINDS):
        needed |= set(upstream_of(kind, config)) if kind in needed else set()
    return tuple(kind for kind in OUTPUT_KINDS if kind in needed)


def kinds_of(stage: Stage, config: RunConfig) -> list[OutputKind]:
    """Return what the stage leaves for this config."""
    return _made(KINDS[stage], config)


def upstream_of(kind: OutputKind, config: RunConfig) -> list[OutputKind]:
    """Return the outputs that an output of this config is made from."""
    return _made(UPSTREAM[kind], config)


def _made(kinds: Sequence[OutputKind], config: RunConfig) -> list[OutputKind]:
    return [kind for kind in kinds if config.evaluate.challenges or kind not in _OF_CHALLENGES]


def kinds_again(rerun: Sequence[Stage]) -> set[OutputKind]:
    """Return what these stages leave, and all that is made from it."""
    again: set[OutputKind] = set()
    for kind in OUTPUT_KINDS:
        if stage_of(kind) in rerun or again & set(UPSTREAM[kind]):
            again.add(kind)
    return again


def stage_of(kind: OutputKind) -> Stage:
    """Return the stage that leaves the output."""
    return next(stage for stage, kinds in KINDS.items() if kind in kinds)


def key_inputs(kind: OutputKind, config: RunConfig, upstream: Outputs) -> KeyInputs:
    """Collect all that the output depends on; `upstream` holds the outputs that its stage reads."""
    return {**_INPUTS[kind](config, upstream), "code": code_behind(kind, config).digest}


def code_behind(kind: OutputKind, config: RunConfig) -> Code:
    """Digest the core code that can change the output: of a corpus or an encoder, that of its own kind."""
    entries = ENTRIES[kind]
    if kind in ("corpus", "encoder"):
        downloaded = config.corpus if kind == "corpus" else config.encoder
        entries += (f"{type(downloaded).__module__}:{type(downloaded).__name__}",)
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


def explain(
    config: RunConfig,
    store: Store,
    elsewhere: Elsewhere = nowhere,
    *,
    rerun: Sequence[Stage] = (),
    until: Stage = "evaluate",
) -> list[OutputPlan]:
    """Tell for each output up to the stage `until` whether it would be made now, and which key input makes it so."""
    plans: list[OutputPlan] = []
    found: Outputs = {}
    again = kinds_again(rerun)
    for kind in kinds_until(until, config):
        forced = kind in again
        waiting = [needed for needed in upstream_of(kind, config) if needed not in found]
        if waiting:
            plans.append(OutputPlan(kind, "runs", f"{waiting[0]} runs before it, and may leave another output"))
            continue
        inputs = key_inputs(kind, config, found)
        output = store.load(kind, output_key(kind, inputs))
        damage = output.damage() if output else None
        if (output is None or damage) and not forced and (there := elsewhere(kind, inputs)):
            found[kind] = there
            plans.append(OutputPlan(kind, "pulled", f"finished {there.manifest.created} on another machine"))
        elif output is None:
            definitions = code_behind(kind, config).definitions
            plans.append(OutputPlan(kind, "runs", _difference(inputs, definitions, store.outputs(kind))))
        elif damage:
            plans.append(OutputPlan(kind, "runs", damage))
        elif forced:
            plans.append(OutputPlan(kind, "runs", "--rerun names it, or what it is made from"))
        else:
            found[kind] = output
            plans.append(OutputPlan(kind, "cached", f"finished {output.manifest.created}"))
    return plans


def _difference(inputs: KeyInputs, definitions: dict[str, str], earlier: list[Output]) -> str:
    """Name what differs from the most similar earlier output, the newest of equals."""
    if not earlier:
        return "no earlier output"
    output = min(reversed(earlier), key=lambda each: len(_differing(inputs, each)))
    names = _differing(inputs, output)
    if not names:
        return f"its output {output.key[:12]} is damaged or was renamed"
    wanted, had = _flat(inputs), _flat(output.manifest.key_inputs)
    changes = [
        f"{_shown(name)}: {_short(had.get(name))} → {_short(wanted.get(name))}" for name in names if name != "code"
    ]
    if "code" in names:
        changes.append(_changed_code(output.manifest.made_with.get("definitions", {}), definitions))
    return "; ".join(changes)


def _differing(inputs: KeyInputs, output: Output) -> list[str]:
    wanted, had = _flat(inputs), _flat(output.manifest.key_inputs)
    return sorted(name for name in wanted.keys() | had.keys() if wanted.get(name) != had.get(name))


def _changed_code(before: dict[str, str], now: dict[str, str]) -> str:
    """Name the definitions that differ; one that only moved is the same."""
    changed = [name for name, digest in now.items() if digest not in set(before.values())]
    gone = [name for name in before if name not in now and before[name] not in set(now.values())]
    if not before or not changed + gone:
        return "the code changed"
    more = len(changed + gone) - _MOST_DEFINITIONS
    named = ", ".join((changed + gone)[:_MOST_DEFINITIONS]) + (f" and {more} more" if more > 0 else "")
    return f"the code changed: {named}"


def _shown(name: str) -> str:
    """Name a key input as its field is called: the layout of a corpus comes from the corpus' fields."""
    carved = re.fullmatch(r"layout\.carve\.(\w+)", name)
    return f"corpus.{carved[1]}_fraction" if carved else re.sub(r"^layout\.", "corpus.", name)


def _short(value: object) -> str:
    text = str(value)
    return f"{text[:12]}…" if len(text) == 64 else text


def _flat(values: KeyInputs, prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat
