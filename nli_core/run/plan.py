"""What each stage of a run is made from, and why it would run.

The ingredients of a stage are the config fields that change its result, the digests of the files that it consumes, and
a digest of the core code that can change the result. From them the store derives the key. A stage that ran again and
left the same bytes invalidates nothing after it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nli_core.config import STAGES, RunConfig, Stage
from nli_core.download.corpora.registry import corpus_identity
from nli_core.download.encoders.pretrained import encoder_identity
from nli_core.errors import UserError
from nli_core.filenames import CORPUS, ENCODER, HISTORY, MODEL, TOKENIZER_FILES
from nli_core.fingerprint.code import Code, code_of
from nli_core.store.manifest import Output
from nli_core.store.store import Store, stage_key

_PACK_READS = (f"{CORPUS}/", *(f"{ENCODER}/{name}" for name in TOKENIZER_FILES))
ENTRIES: dict[Stage, tuple[str, ...]] = {
    "download": ("nli_core.download.stage:download",),
    "pack": ("nli_core.data.pack:pack", "nli_core.data.pack:pack_shard"),
    "finetune": ("nli_core.training.finetune:finetune",),
    "evaluate": ("nli_core.evaluation.evaluate:evaluate",),
}
_MOST_DEFINITIONS = 5  # that an explanation names
UPSTREAM: dict[Stage, tuple[Stage, ...]] = {
    "download": (),
    "pack": ("download",),
    "finetune": ("download", "pack"),
    "evaluate": ("pack", "finetune"),
}

Outputs = dict[Stage, Output]


def ingredients(stage: Stage, config: RunConfig, upstream: Outputs) -> dict[str, Any]:
    """All that the stage's result depends on, as JSON-ready values; `upstream` holds the outputs that it consumes."""
    return {**_INGREDIENTS[stage](config, upstream), "code": stage_code(stage).digest}


def stage_code(stage: Stage) -> Code:
    """Digest the core code that can change the stage's result."""
    return code_of(*ENTRIES[stage])


def _download(config: RunConfig, upstream: Outputs) -> dict[str, Any]:
    return {"corpus": corpus_identity(config.corpus), "encoder": encoder_identity(config.encoder)}


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


_INGREDIENTS = {"download": _download, "pack": _pack, "finetune": _finetune, "evaluate": _evaluate}


@dataclass(frozen=True)
class Verdict:
    """Whether a stage would run, and why, in words."""

    stage: Stage
    runs: bool
    reason: str


def finished_upstream(stage: Stage, config: RunConfig, store: Store) -> Outputs:
    """The finished outputs that the stage would consume, found by their keys.

    Raises:
        UserError: one of them is not there; names the stage to run.
    """
    found: Outputs = {}
    for needed in STAGES[: STAGES.index(stage)]:
        output = store.load(needed, stage_key(needed, ingredients(needed, config, found)))
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
    config: RunConfig, store: Store, *, rerun: Sequence[Stage] = (), until: Stage = "evaluate"
) -> list[Verdict]:
    """For each stage up to `until`, whether it would run now and which ingredient makes it so."""
    verdicts: list[Verdict] = []
    found: Outputs = {}
    forced = False
    for stage in STAGES[: STAGES.index(until) + 1]:
        forced = forced or stage in rerun
        waiting = [needed for needed in UPSTREAM[stage] if needed not in found]
        if waiting:
            verdicts.append(Verdict(stage, True, f"{waiting[0]} runs before it, and may leave something else"))
            continue
        made_from = ingredients(stage, config, found)
        output = store.load(stage, stage_key(stage, made_from))
        if output is None:
            verdicts.append(Verdict(stage, True, _difference(stage, made_from, store.outputs(stage))))
        elif damage := output.damage():
            verdicts.append(Verdict(stage, True, damage))
        elif forced:
            verdicts.append(Verdict(stage, True, "asked for with --rerun, directly or by a stage before it"))
        else:
            found[stage] = output
            verdicts.append(Verdict(stage, False, f"finished {output.manifest.created}"))
    return verdicts


def _difference(stage: Stage, made_from: dict[str, Any], earlier: list[Output]) -> str:
    """What sets these ingredients apart from the most similar earlier output, the newest of equals."""
    if not earlier:
        return "no earlier output"
    output = min(reversed(earlier), key=lambda each: len(_differing(made_from, each)))
    names = _differing(made_from, output)
    if not names:
        return f"its output {output.key[:12]} is not where it should be"
    wanted, had = _flat(made_from), _flat(output.manifest.ingredients)
    changes = [f"{name}: {_short(had.get(name))} → {_short(wanted.get(name))}" for name in names if name != "code"]
    if "code" in names:
        changes.append(_changed_code(output.manifest.made_with.get("definitions", {}), stage_code(stage).definitions))
    return "; ".join(changes)


def _differing(made_from: dict[str, Any], output: Output) -> list[str]:
    wanted, had = _flat(made_from), _flat(output.manifest.ingredients)
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


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat
