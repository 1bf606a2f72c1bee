"""BERT (Devlin et al., 2019), as the Hugging Face hub has it."""

from nli_core.model.architecture import ModelConfig, PostNormArchitecture
from nli_core.model.families.base import DiskNames, Family, build_post_norm


def read_bert(config: ModelConfig) -> PostNormArchitecture:
    """Read the sizes of BERT."""
    config.choice("position_embedding_type", ("absolute",), "absolute")
    if config.flag("is_decoder"):
        raise config.fault("is_decoder is true, and only encoders are supported")
    hidden, heads = config.heads("hidden_size", "num_attention_heads")
    return PostNormArchitecture(
        family=config.model_type,
        vocab_size=config.size("vocab_size"),
        hidden_size=hidden,
        embedding_size=hidden,
        num_hidden_layers=config.size("num_hidden_layers"),
        num_attention_heads=heads,
        head_size=hidden // heads,
        intermediate_size=config.size("intermediate_size"),
        max_position_embeddings=config.size("max_position_embeddings"),
        type_vocab_size=config.size("type_vocab_size", 2, least=0),
        hidden_act=config.activation("hidden_act", "gelu"),
        layer_norm_eps=config.rate("layer_norm_eps", 1e-12),
        hidden_dropout_prob=config.rate("hidden_dropout_prob", 0.1),
        attention_probs_dropout_prob=config.rate("attention_probs_dropout_prob", 0.1),
        pooled_size=hidden,
    )


def bert_names(architecture: PostNormArchitecture) -> DiskNames:
    """Name the parameters as BERT's on disk."""
    return post_norm_names(architecture, prefix="bert.", pooler="bert.pooler.dense", head="classifier")


def post_norm_names(architecture: PostNormArchitecture, *, prefix: str, pooler: str, head: str) -> DiskNames:
    """Name the parameters of a post-norm encoder as BERT and most of its kin do."""
    names: dict[str, tuple[str, ...]] = {"embeddings.norm": (f"{prefix}embeddings.LayerNorm",), "pooler": (pooler,)}
    for ours in ("word", "position", "token_type"):
        names[f"embeddings.{ours}"] = (f"{prefix}embeddings.{ours}_embeddings",)
    for index in range(architecture.num_hidden_layers):
        ours, theirs = f"layers.{index}", f"{prefix}encoder.layer.{index}"
        attention = f"{theirs}.attention"
        names[f"{ours}.query_key_value"] = tuple(f"{attention}.self.{part}" for part in ("query", "key", "value"))
        names[f"{ours}.attention_output"] = (f"{attention}.output.dense",)
        names[f"{ours}.attention_norm"] = (f"{attention}.output.LayerNorm",)
        names[f"{ours}.inner"] = (f"{theirs}.intermediate.dense",)
        names[f"{ours}.output"] = (f"{theirs}.output.dense",)
        names[f"{ours}.output_norm"] = (f"{theirs}.output.LayerNorm",)
    return DiskNames(parameters=names, prefix=prefix, layers="encoder.", pooler=(pooler,), head=head)


FAMILY = Family(read=read_bert, build=build_post_norm, names=bert_names, classifier="BertForSequenceClassification")
