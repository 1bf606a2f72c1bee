"""Dive into Deep Learning's BERT (15.8): embeddings are neither normalised nor dropped out."""

from dataclasses import replace

from nli_core.model.architecture import ModelConfig
from nli_core.model.families.base import Family
from nli_core.model.families.bert import bert_names, read_bert
from nli_core.model.post_norm import PostNormArchitecture, PostNormEncoder


def read_d2l(config: ModelConfig) -> PostNormArchitecture:
    """Read the sizes of the book's BERT, whose constants are not those of the hub."""
    config.activation("hidden_act")
    config.rate("layer_norm_eps")
    return replace(read_bert(config), normalises_embeddings=False)


FAMILY = Family(read=read_d2l, build=PostNormEncoder, names=bert_names)
