"""A fine-tuned model as a folder that `transformers` loads, if it knows the family, and back."""

import json
import shutil
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from nli_core.config import PackConfig
from nli_core.errors import UserError
from nli_core.filenames import CALIBRATION, TOKENIZER_FILES
from nli_core.model.answers import Answers, MultiLabel, answers_of
from nli_core.model.architecture import CONFIG_NAME, read_description
from nli_core.model.classifier import Classifier
from nli_core.model.families.registry import build_encoder, family_of, read_architecture
from nli_core.model.weights import WEIGHTS_NAME, check_shapes, classifier_tensors, fill_classifier, save_tensors

_PACK = "nli_pack"  # how texts become examples; transformers passes it by
_PACK_FIELDS = {"max_length", "truncation", "fill"}
_LATER_FIELDS = {"long_texts"}  # written where they are set
_PAIRS = "pairs"
_SEPARATOR = "nli_label_separator"  # of a multi-label model
_AGAIN = "export the model again"


def save_classifier(
    model: Classifier,
    encoder: Path,
    tokenizer: Path,
    out: Path,
    *,
    pack: PackConfig,
    pairs: bool,
    separator: str | None = None,
) -> None:
    """Write `config.json` with the label names, `model.safetensors` and the tokenizer to `out`.

    `pairs`: whether its examples are pairs of texts. A model with a `separator` is multi-label.

    Where transformers knows the family, `AutoModelForSequenceClassification.from_pretrained(out)` gives the same logits
    as `model`; other families are refused there.
    """
    out.mkdir(parents=True, exist_ok=True)
    architecture = model.encoder.architecture
    described = read_description(encoder) | {
        "model_type": architecture.family,
        "architectures": [family_of(architecture).classifier or "Classifier"],
        "id2label": {str(index): name for index, name in enumerate(model.labels)},
        "label2id": {name: index for index, name in enumerate(model.labels)},
        "problem_type": "single_label_classification" if separator is None else "multi_label_classification",
        **({} if separator is None else {_SEPARATOR: separator}),
        "classifier_dropout": model.head_dropout,
        "torch_dtype": "float32",
        _PACK: {**pack.model_dump(include=_PACK_FIELDS | _LATER_FIELDS, exclude=pack.later_defaults()), _PAIRS: pairs},
    }
    (out / CONFIG_NAME).write_text(json.dumps(described, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    save_tensors(classifier_tensors(model), out / WEIGHTS_NAME)
    for name in TOKENIZER_FILES:
        if (tokenizer / name).exists():
            shutil.copyfile(tokenizer / name, out / name)


def load_classifier(folder: Path) -> Classifier:
    """Load the fine-tuned model that `save_classifier` left in `folder`, ready to predict.

    Raises:
        UserError: a file is damaged, or tensors do not fit `config.json`.
    """
    architecture = read_architecture(folder)
    check_shapes(folder, architecture)
    model = Classifier(build_encoder(architecture), read_labels(folder))
    fill_classifier(model, folder)
    return model.eval()


def save_calibration(answers: Answers, folder: Path) -> None:
    """Write the temperature of the model in this folder, and if it is multi-label its thresholds."""
    fitted: dict[str, Any] = {"temperature": answers.temperature, "fitted_on": "dev"}
    if isinstance(answers, MultiLabel):
        fitted["thresholds"] = dict(zip(answers.labels, answers.thresholds, strict=True))
    text = json.dumps(fitted, indent=2, ensure_ascii=False)
    (folder / CALIBRATION).write_text(f"{text}\n", encoding="utf-8")


def read_answers(folder: Path) -> Answers:
    """Read how the saved model answers: its labels, and the temperature and thresholds that calibration found.

    Raises:
        UserError: a file is damaged.
    """
    labels, separator = read_labels(folder), read_description(folder).get(_SEPARATOR)
    path = folder / CALIBRATION
    if not path.exists():
        return answers_of(labels, separator)
    try:
        fitted = json.loads(path.read_text(encoding="utf-8"))
        temperature = float(fitted["temperature"])
        thresholds = [float(fitted["thresholds"][label]) for label in labels] if separator else None
    except (ValueError, KeyError, TypeError):
        temperature, thresholds = 0.0, None
    if not 0 < temperature < float("inf"):
        lacks = "temperature above 0" if separator is None else "temperature above 0 or no threshold of a label"
        raise UserError(f"{path}: has no {lacks}; {_AGAIN}, or delete the file")
    return answers_of(labels, separator, thresholds, temperature)


def is_fine_tuned(folder: Path) -> bool:
    """Return whether `save_classifier` wrote this folder.

    Raises:
        UserError: there is no description of a model in it.
    """
    return _PACK in read_description(folder)


def read_pack_config(folder: Path) -> PackConfig:
    """Read how the saved model's training examples were made from texts."""
    described = _packed(folder)
    try:
        return PackConfig(**{name: described[name] for name in (_PACK_FIELDS | _LATER_FIELDS) & described.keys()})
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        field = ".".join(map(str, (_PACK, *fault["loc"])))
        raise UserError(f"{folder / CONFIG_NAME}: {field}: {fault['msg']}; {_AGAIN}") from None


def read_inputs(folder: Path) -> tuple[str, ...]:
    """Read what the saved model takes: `premise` and `hypothesis`, or `text`."""
    return ("premise", "hypothesis") if _packed(folder)[_PAIRS] else ("text",)


def read_labels(folder: Path) -> tuple[str, ...]:
    """Read the saved model's label names in the order of its outputs."""
    names = read_description(folder).get("id2label")
    if not isinstance(names, dict) or names.keys() != {str(index) for index in range(len(names))}:
        raise UserError(f"{folder / CONFIG_NAME}: id2label does not number the labels from 0; {_AGAIN}")
    labels = tuple(str(names[str(index)]) for index in range(len(names)))
    if len(set(labels)) < len(labels):
        raise UserError(f"{folder / CONFIG_NAME}: id2label has a duplicate label; {_AGAIN}")
    return labels


def _packed(folder: Path) -> dict[str, Any]:
    described = read_description(folder).get(_PACK)
    if not isinstance(described, dict) or not described.keys() >= {*_PACK_FIELDS, _PAIRS}:
        raise UserError(f"{folder / CONFIG_NAME}: {_PACK} lacks fields; {_AGAIN}")
    return described
