"""ELECTRA (Clark et al., 2020): BERT's encoder over embeddings that may be smaller than its hidden states."""

from dataclasses import replace

from nli_core.model.architecture import ModelConfig
from nli_core.model.families.base import Family, Names
from nli_core.model.families.bert import bert_names, read_bert
from nli_core.model.post_norm import PostNormArchitecture, PostNormEncoder

_PREFIX, _POOLER = "electra.", "classifier.dense"


def read_electra(config: ModelConfig) -> PostNormArchitecture:
    """Read the sizes of ELECTRA's discriminator."""
    width = config.size("embedding_size", 128, meaning="hidden_size")
    return replace(read_bert(config), embedding_size=width, pooled_act="gelu", drops_summary=True)


def electra_names(architecture: PostNormArchitecture) -> Names:
    """Name the parameters as BERT's, with the projection of embeddings, and the pooler in the head."""
    projection = {"embeddings.projection": (f"{_PREFIX}embeddings_project",)}
    return {**bert_names(architecture, prefix=_PREFIX, pooler=_POOLER), **projection}


FAMILY = Family(
    read=read_electra,
    build=PostNormEncoder,
    names=electra_names,
    prefix=_PREFIX,
    layers="encoder.",
    pooler=(_POOLER,),
    head="classifier.out_proj",
    classifier="ElectraForSequenceClassification",
)
