"""What each stage of a run is made from, and why it would run.

The key inputs of a stage are config fields, digests of files, and a digest of code: those that can change its result.
The store derives the key from them. A stage that reran and left the same bytes invalidates nothing after it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from nli_core.config import STAGES, Stage
from nli_core.errors import UserError
from nli_core.filenames import CORPUS, ENCODER, HISTORY, MODEL, TOKENIZER_FILES
from nli_core.fingerprint.code import Code, code_of
from nli_core.run.config import RunConfig
from nli_core.store.manifest import KeyInputs, Output
from nli_core.store.store import Store, stage_key

ENTRIES: dict[Stage, tuple[str, ...]] = {
    "download": ("nli_core.download.stage:download",),
    "pack": ("nli_core.data.pack:pack", "nli_core.data.pack:pack_shard"),
    "finetune": ("nli_core.training.finetune:finetune",),
    "evaluate": ("nli_core.evaluation.evaluate:evaluate",),
}
UPSTREAM: dict[Stage, tuple[Stage, ...]] = {
    "download": (),
    "pack": ("download",),
    "finetune": ("download", "pack"),
    "evaluate": ("pack", "finetune"),
}
_PACK_READS = (f"{CORPUS}/", *(f"{ENCODER}/{name}" for name in TOKENIZER_FILES))
_MOST_DEFINITIONS = 5  # that an explanation names

Outputs = dict[Stage, Output]
Elsewhere = Callable[[Stage, KeyInputs], Output | None]
"""Looks for an output that the store lacks, in the bucket behind it."""


def nowhere(_stage: Stage, _inputs: KeyInputs) -> None:
    """Find nothing: the default `Elsewhere`."""


@dataclass(frozen=True)
class StageRequest:
    """What a stage is asked for: a run's config and recipe, the outputs of the stages before it, and a forced rerun."""

    config: RunConfig
    recipe: str
    upstream: Outputs = field(default_factory=dict)
    rerun: bool = False


@dataclass(frozen=True)
class StagePlan:
    """Whether a stage would run, and why, in words."""

    stage: Stage
    action: Literal["runs", "cached", "pulled"]
    reason: str

    @property
    def runs(self) -> bool:
        """Whether the stage's work would be done."""
        return self.action == "runs"


def key_inputs(stage: Stage, config: RunConfig, upstream: Outputs) -> KeyInputs:
    """Collect all that the stage's result depends on; `upstream` holds the outputs that it reads."""
    return {**_INPUTS[stage](config, upstream), "code": stage_code(stage, config).digest}


def stage_code(stage: Stage, config: RunConfig) -> Code:
    """Digest the core code that can change the stage's result: of download, that of this corpus and encoder."""
    entries = ENTRIES[stage]
    if stage == "download":
        entries += tuple(f"{type(each).__module__}:{type(each).__name__}" for each in (config.corpus, config.encoder))
    return code_of(*entries)


def _download(config: RunConfig, upstream: Outputs) -> dict[str, Any]:
    return {"corpus": config.corpus.identity(), "encoder": config.encoder.identity()}


def _pack(config: RunConfig, upstream: Outputs) -> dict[str, Any]:
    return {"files": upstream["download"].digest(*_PACK_READS), "pack": config.pack.result_fields()}


def _finetune(config: RunConfig, upstream: Outputs) -> dict[str, Any]:
    return {
        "shards": upstream["pack"].digest("train-", "dev-"),
        "encoder": upstream["download"].digest(f"{ENCODER}/"),
        "finetune": config.finetune.result_fields(),
    }


def _evaluate(config: RunConfig, upstream: Outputs) -> dict[str, Any]:
    return {
        "model": upstream["finetune"].digest(f"{MODEL}/", HISTORY),
        "shards": upstream["pack"].digest("dev-", "test-"),
        "evaluate": config.evaluate.result_fields(),
    }


_INPUTS = {"download": _download, "pack": _pack, "finetune": _finetune, "evaluate": _evaluate}


def finished_upstream(stage: Stage, config: RunConfig, store: Store, elsewhere: Elsewhere = nowhere) -> Outputs:
    """Find the finished outputs that the stage reads, by their keys; `elsewhere` brings those that the store lacks.

    Raises:
        UserError: an output is missing or damaged; names the stage to run.
    """
    found: Outputs = {}
    for needed in STAGES[: STAGES.index(stage)]:
        inputs = key_inputs(needed, config, found)
        output = store.load(needed, stage_key(needed, inputs)) or elsewhere(needed, inputs)
        if output is None:
            raise UserError(
                f"{stage}: there is no output of the stage {needed} for this configuration in {store.root}; "
                f"run {needed} first, or the whole pipeline"
            )
        if damage := output.damage():
            raise UserError(f"{stage}: {damage}; run {needed} again, or the whole pipeline")
        found[needed] = output
    return found


def explain(
    config: RunConfig,
    store: Store,
    elsewhere: Elsewhere = nowhere,
    *,
    rerun: Sequence[Stage] = (),
    until: Stage = "evaluate",
) -> list[StagePlan]:
    """Tell for each stage up to `until` whether it would run now, and which key input makes it so."""
    plans: list[StagePlan] = []
    found: Outputs = {}
    forced = False
    for stage in STAGES[: STAGES.index(until) + 1]:
        forced = forced or stage in rerun
        waiting = [needed for needed in UPSTREAM[stage] if needed not in found]
        if waiting:
            plans.append(StagePlan(stage, "runs", f"{waiting[0]} runs before it, and may leave another output"))
            continue
        inputs = key_inputs(stage, config, found)
        output = store.load(stage, stage_key(stage, inputs))
        damage = output.damage() if output else None
        if (output is None or damage) and not forced and (there := elsewhere(stage, inputs)):
            found[stage] = there
            plans.append(StagePlan(stage, "pulled", f"finished {there.manifest.created} on another machine"))
        elif output is None:
            definitions = stage_code(stage, config).definitions
            plans.append(StagePlan(stage, "runs", _difference(inputs, definitions, store.outputs(stage))))
        elif damage:
            plans.append(StagePlan(stage, "runs", damage))
        elif forced:
            plans.append(StagePlan(stage, "runs", "--rerun names it, or a stage before it"))
        else:
            found[stage] = output
            plans.append(StagePlan(stage, "cached", f"finished {output.manifest.created}"))
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
    changes = [f"{name}: {_short(had.get(name))} → {_short(wanted.get(name))}" for name in names if name != "code"]
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
