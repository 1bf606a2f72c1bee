"""Why each output of a run would be made again, or not."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from nli_core.config import OutputKind, Stage
from nli_core.run.config import RunConfig
from nli_core.run.kinds import kinds_again, kinds_until, upstream_of
from nli_core.run.plan import Elsewhere, Outputs, code_behind, key_inputs, nowhere
from nli_core.store.manifest import KeyInputs, Output
from nli_core.store.store import Store, output_key

_MOST_DEFINITIONS = 5  # that an explanation names


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
            definitions = code_behind(kind, config, found).definitions
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
