"""DistilBERT (Sanh et al., 2019): BERT's encoder with other names, and without token types."""

from nli_core.model.architecture import ModelConfig, PostNormArchitecture
from nli_core.model.families.base import DiskNames, Family, build_post_norm

_PREFIX, _POOLER = "distilbert.", "pre_classifier"
_LAYER_NORM_EPSILON = 1e-12


def read_distilbert(config: ModelConfig) -> PostNormArchitecture:
    """Read the sizes of DistilBERT, whose fields have names of their own."""
    hidden, heads = config.heads("dim", "n_heads")
    return PostNormArchitecture(
        family=config.model_type,
        vocab_size=config.size("vocab_size"),
        hidden_size=hidden,
        embedding_size=hidden,
        num_hidden_layers=config.size("n_layers", meaning="num_hidden_layers"),
        num_attention_heads=heads,
        head_size=hidden // heads,
        intermediate_size=config.size("hidden_dim", meaning="intermediate_size"),
        max_position_embeddings=config.size("max_position_embeddings", 512),
        type_vocab_size=0,
        hidden_act=config.activation("activation", "gelu"),
        layer_norm_eps=_LAYER_NORM_EPSILON,
        hidden_dropout_prob=config.rate("dropout", 0.1),
        attention_probs_dropout_prob=config.rate("attention_dropout", 0.1),
        pooled_size=hidden,
        pooled_act="relu",
    )


def distilbert_names(architecture: PostNormArchitecture) -> DiskNames:
    """Name the parameters as DistilBERT's on disk."""
    names: dict[str, tuple[str, ...]] = {
        "embeddings.word": (f"{_PREFIX}embeddings.word_embeddings",),
        "embeddings.position": (f"{_PREFIX}embeddings.position_embeddings",),
        "embeddings.norm": (f"{_PREFIX}embeddings.LayerNorm",),
        "pooler": (_POOLER,),
    }
    for index in range(architecture.num_hidden_layers):
        ours, theirs = f"layers.{index}", f"{_PREFIX}transformer.layer.{index}"
        names[f"{ours}.query_key_value"] = tuple(f"{theirs}.attention.{part}_lin" for part in "qkv")
        names[f"{ours}.attention_output"] = (f"{theirs}.attention.out_lin",)
        names[f"{ours}.attention_norm"] = (f"{theirs}.sa_layer_norm",)
        names[f"{ours}.inner"] = (f"{theirs}.ffn.lin1",)
        names[f"{ours}.output"] = (f"{theirs}.ffn.lin2",)
        names[f"{ours}.output_norm"] = (f"{theirs}.output_layer_norm",)
    return DiskNames(parameters=names, prefix=_PREFIX, layers="transformer.", pooler=(_POOLER,), head="classifier")


FAMILY = Family(
    read=read_distilbert,
    build=build_post_norm,
    names=distilbert_names,
    classifier="DistilBertForSequenceClassification",
)
