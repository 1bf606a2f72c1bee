"""Dive into Deep Learning's BERT (15.8): embeddings are neither normalised nor dropped out."""

from dataclasses import replace

from nli_core.model.architecture import ModelConfig, PostNormArchitecture
from nli_core.model.families.base import Family, build_post_norm
from nli_core.model.families.bert import bert_names, read_bert


def read_d2l(config: ModelConfig) -> PostNormArchitecture:
    """Read the sizes of the book's BERT, whose constants are not those of the hub."""
    config.activation("hidden_act")
    config.rate("layer_norm_eps")
    return replace(read_bert(config), normalises_embeddings=False)


FAMILY = Family(read=read_d2l, build=build_post_norm, names=bert_names)
