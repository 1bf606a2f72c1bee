"""AI-For-Beginners' transformer: from scratch, without token types, over the average of all tokens."""

from dataclasses import replace

from nli_core.model.architecture import ModelConfig, PostNormArchitecture
from nli_core.model.families.base import Family, build_post_norm
from nli_core.model.families.bert import bert_names
from nli_core.model.families.d2l import read_d2l
from nli_core.model.initialization import init_like_keras, init_linear_like_keras


def read_transformer(config: ModelConfig) -> PostNormArchitecture:
    """Read the sizes of the lesson's transformer, whose heads have a size of their own."""
    read = read_d2l(config)
    return replace(
        read,
        head_size=config.size("head_size", read.head_size),
        pooled_size=config.size("pooled_size", read.hidden_size),
        pools="average",
        pooled_act="relu",
        drops_summary=True,
    )


FAMILY = Family(
    read=read_transformer,
    build=build_post_norm,
    names=bert_names,
    init_linear=init_linear_like_keras,
    init=init_like_keras,
)
