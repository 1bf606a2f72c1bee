"""What each stage leaves, and what each output is made from."""

from collections.abc import Sequence

from nli_core.config import OUTPUT_KINDS, OutputKind, Stage
from nli_core.run.config import RunConfig

KINDS: dict[Stage, tuple[OutputKind, ...]] = {
    "download": ("corpus", "encoder", "challenges"),
    "pack": ("pack", "challenge_shards"),
    "finetune": ("finetune",),
    "audit": ("audit",),
    "evaluate": ("evaluate",),
}
"""What each stage leaves; the outputs of challenge sets only where a config has such sets."""
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
