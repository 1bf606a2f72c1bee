"""ModernBERT (Warner et al., 2024). Its pooler is the head of its pretraining, and so comes pretrained."""

from typing import Any

from nli_core.model.architecture import ModelConfig, PreNormArchitecture, Sight
from nli_core.model.families.base import DiskNames, Family, build_pre_norm

_PREFIX = "model."
_GLOBAL, _LOCAL = "full_attention", "sliding_attention"
_THETAS = {_GLOBAL: 160_000.0, _LOCAL: 10_000.0}
_OLD_THETAS = {_GLOBAL: "global_rope_theta", _LOCAL: "local_rope_theta"}


def read_modernbert(config: ModelConfig) -> PreNormArchitecture:
    """Read the sizes of ModernBERT; transformers before version 5 described its layers with other fields."""
    hidden, heads = config.heads("hidden_size", "num_attention_heads")
    if hidden // heads % 2:
        raise config.fault(f"heads of {hidden // heads} cannot turn in pairs; hidden_size must be even for each head")
    layers = config.size("num_hidden_layers")
    pools = config.choice("classifier_pooling", ("cls", "mean"), "cls")
    attention_dropout = config.rate("attention_dropout", 0.0)
    return PreNormArchitecture(
        family=config.model_type,
        vocab_size=config.size("vocab_size"),
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=config.size("intermediate_size"),
        max_position_embeddings=config.size("max_position_embeddings", 8192),
        hidden_act=config.activation("hidden_activation", "gelu"),
        norm_eps=config.rate("norm_eps", 1e-5),
        sights=tuple(_sight(config, kind) for kind in _kinds(config, layers)),
        pools="first" if pools == "cls" else "average",
        pooled_act=config.activation("classifier_activation", "gelu"),
        pooled_size=hidden,
        hidden_dropout_prob=attention_dropout,
        attention_probs_dropout_prob=attention_dropout,
        embedding_dropout=config.rate("embedding_dropout", 0.0),
        mlp_dropout=config.rate("mlp_dropout", 0.0),
        attention_bias=config.flag("attention_bias"),
        mlp_bias=config.flag("mlp_bias"),
        norm_bias=config.flag("norm_bias"),
        pooler_bias=config.flag("classifier_bias"),
    )


def _kinds(config: ModelConfig, layers: int) -> list[str]:
    """Return which attention each layer has."""
    kinds = config.values.get("layer_types")
    if kinds is None:
        every = config.size("global_attn_every_n_layers", 3)
        return [_LOCAL if index % every else _GLOBAL for index in range(layers)]
    if not isinstance(kinds, list) or len(kinds) != layers or not set(kinds) <= _THETAS.keys():
        raise config.fault(f"layer_types must name one of {', '.join(_THETAS)} for each of the {layers} layers")
    return kinds


def _sight(config: ModelConfig, kind: str) -> Sight:
    described = (config.values.get("rope_parameters") or {}).get(kind) or {}
    if described.get("rope_type", "default") != "default":
        raise config.fault(f"rope_parameters of {kind}: only the rope_type default is supported")
    theta: Any = described.get("rope_theta", config.values.get(_OLD_THETAS[kind], _THETAS[kind]))
    if isinstance(theta, bool) or not isinstance(theta, int | float) or not 1 < theta < 1e12:
        raise config.fault(f"the rope_theta of {kind} must be a number above 1, and is {theta!r}")
    window = config.size("local_attention", 128, least=2) // 2
    return Sight(window if kind == _LOCAL else None, float(theta))


def modernbert_names(architecture: PreNormArchitecture) -> DiskNames:
    """Name the parameters as ModernBERT's on disk."""
    names: dict[str, tuple[str, ...]] = {
        "embeddings.word": (f"{_PREFIX}embeddings.tok_embeddings",),
        "embeddings.norm": (f"{_PREFIX}embeddings.norm",),
        "final_norm": (f"{_PREFIX}final_norm",),
        "pooler.dense": ("head.dense",),
        "pooler.norm": ("head.norm",),
    }
    for index in range(architecture.num_hidden_layers):
        ours, theirs = f"layers.{index}", f"{_PREFIX}layers.{index}"
        names[f"{ours}.attention_norm"] = (f"{theirs}.attn_norm",)
        names[f"{ours}.query_key_value"] = (f"{theirs}.attn.Wqkv",)
        names[f"{ours}.attention_output"] = (f"{theirs}.attn.Wo",)
        names[f"{ours}.norm"] = (f"{theirs}.mlp_norm",)
        names[f"{ours}.inner"] = (f"{theirs}.mlp.Wi",)
        names[f"{ours}.output"] = (f"{theirs}.mlp.Wo",)
    pooler = ("head.dense", "head.norm")
    return DiskNames(parameters=names, prefix=_PREFIX, layers="layers.", pooler=pooler, head="classifier")


FAMILY = Family(
    read=read_modernbert,
    build=build_pre_norm,
    names=modernbert_names,
    classifier="ModernBertForSequenceClassification",
)
