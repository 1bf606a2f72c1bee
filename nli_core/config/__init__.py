"""What a run is: frozen pydantic models with bounds and a description for every field."""

from nli_core.config.corpora import AgNewsCorpus, CorpusConfig, FileCorpus, SampleCorpus, SnliCorpus
from nli_core.config.encoders import D2lEncoder, EncoderConfig, PretrainedEncoder, TransformerEncoder
from nli_core.config.stages import STAGES, EvaluateConfig, FinetuneConfig, PackConfig, Stage, Truncation
from nli_core.run.config import RunConfig, parse_config

__all__ = [
    "STAGES",
    "AgNewsCorpus",
    "CorpusConfig",
    "D2lEncoder",
    "EncoderConfig",
    "EvaluateConfig",
    "FileCorpus",
    "FinetuneConfig",
    "PackConfig",
    "PretrainedEncoder",
    "RunConfig",
    "SampleCorpus",
    "SnliCorpus",
    "Stage",
    "TransformerEncoder",
    "Truncation",
    "parse_config",
]
