"""The config sections of the stages, and their base: frozen models with bounds and a description for every field.

The sections of corpora and encoders are in `nli_core.download`, beside their downloads. `nli_core.run.config` joins
them.
"""

from nli_core.config.challenge import ChallengeConfig
from nli_core.config.requirements import RequirementsConfig
from nli_core.config.stages import (
    OUTPUT_KINDS,
    STAGES,
    EvaluateConfig,
    FinetuneConfig,
    OutputKind,
    PackConfig,
    Stage,
    Truncation,
)

__all__ = [
    "OUTPUT_KINDS",
    "STAGES",
    "ChallengeConfig",
    "EvaluateConfig",
    "FinetuneConfig",
    "OutputKind",
    "PackConfig",
    "RequirementsConfig",
    "Stage",
    "Truncation",
]
