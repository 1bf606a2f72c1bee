"""A fine-tuned model as a folder that `transformers` loads, and back."""

import json
import shutil
from pathlib import Path
from typing import Any

from nli_core.model.architecture import BertArchitecture
from nli_core.model.bert import Bert
from nli_core.model.classifier import Classifier
from nli_core.model.weights import WEIGHTS_NAME, classifier_tensors, fill_classifier, save_tensors
from nli_core.outputs import TOKENIZER_FILES

_MAX_LENGTH = "nli_max_length"  # of the shards that the model was trained on; transformers passes it by


def export_classifier(model: Classifier, encoder: Path, out: Path, *, max_length: int) -> None:
    """Write `config.json` with the label names, `model.safetensors` and the encoder's tokenizer to `out`.

    `AutoModelForSequenceClassification.from_pretrained(out)` gives the same logits as `model`.
    """
    out.mkdir(parents=True, exist_ok=True)
    described = _described(encoder) | {
        "model_type": "bert",
        "architectures": ["BertForSequenceClassification"],
        "id2label": {str(index): name for index, name in enumerate(model.labels)},
        "label2id": {name: index for index, name in enumerate(model.labels)},
        "problem_type": "single_label_classification",
        "classifier_dropout": model.head_dropout,
        "torch_dtype": "float32",
        _MAX_LENGTH: max_length,
    }
    (out / "config.json").write_text(json.dumps(described, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    save_tensors(classifier_tensors(model), out / WEIGHTS_NAME)
    for name in TOKENIZER_FILES:
        if (encoder / name).exists():
            shutil.copyfile(encoder / name, out / name)


def load_classifier(folder: Path) -> Classifier:
    """The fine-tuned model that `export_classifier` left in `folder`, ready to predict.

    Raises:
        UserError: a file is damaged, or tensors do not fit `config.json`.
    """
    model = Classifier(Bert(BertArchitecture.from_folder(folder)), read_labels(folder))
    fill_classifier(model, folder)
    return model.eval()


def read_max_length(folder: Path) -> int:
    """The number of tokens that the exported model's training examples were truncated to."""
    return int(_described(folder)[_MAX_LENGTH])


def read_labels(folder: Path) -> tuple[str, ...]:
    """The exported model's label names in the order of its outputs."""
    names = _described(folder)["id2label"]
    return tuple(names[str(index)] for index in range(len(names)))


def _described(folder: Path) -> dict[str, Any]:
    described: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return described
