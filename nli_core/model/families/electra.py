"""ELECTRA (Clark et al., 2020): BERT's encoder over embeddings that may be smaller than its hidden states."""

from dataclasses import replace

from nli_core.model.architecture import ModelConfig, PostNormArchitecture
from nli_core.model.families.base import DiskNames, Family, build_post_norm
from nli_core.model.families.bert import post_norm_names, read_bert


def read_electra(config: ModelConfig) -> PostNormArchitecture:
    """Read the sizes of ELECTRA's discriminator."""
    width = config.size("embedding_size", 128, meaning="hidden_size")
    return replace(read_bert(config), embedding_size=width, pooled_act="gelu", drops_summary=True)


def electra_names(architecture: PostNormArchitecture) -> DiskNames:
    """Name the parameters as BERT's, with the projection of embeddings, and the pooler in the head."""
    names = post_norm_names(architecture, prefix="electra.", pooler="classifier.dense", head="classifier.out_proj")
    projection = {"embeddings.projection": ("electra.embeddings_project",)}
    return replace(names, parameters={**names.parameters, **projection})


FAMILY = Family(
    read=read_electra, build=build_post_norm, names=electra_names, classifier="ElectraForSequenceClassification"
)
