"""RoBERTa (Liu et al., 2019): BERT's encoder over pieces of bytes, without token types.

Positions count from the row behind the padding's id, and pass padding by. The pooler belongs to the head for
classification, so that pretrained files lack it.
"""

from dataclasses import replace

from nli_core.model.architecture import ModelConfig, PostNormArchitecture
from nli_core.model.families.base import DiskNames, Family, build_post_norm
from nli_core.model.families.bert import post_norm_names, read_bert


def read_roberta(config: ModelConfig) -> PostNormArchitecture:
    """Read the sizes of RoBERTa, some of whose positions belong to no token."""
    padding = config.size("pad_token_id", 1, least=0)
    offset = padding + 1
    read = read_bert(config)
    positions = read.max_position_embeddings - offset
    if positions < 1:
        raise config.fault(f"max_position_embeddings must be above {offset}: positions count from pad_token_id on")
    return replace(
        read,
        max_position_embeddings=positions,
        padding_id=padding,
        tells_texts_apart=False,
        drops_summary=True,
    )


def roberta_names(architecture: PostNormArchitecture) -> DiskNames:
    """Name the parameters as BERT's, with the pooler in the head."""
    return post_norm_names(architecture, prefix="roberta.", pooler="classifier.dense", head="classifier.out_proj")


FAMILY = Family(
    read=read_roberta, build=build_post_norm, names=roberta_names, classifier="RobertaForSequenceClassification"
)
