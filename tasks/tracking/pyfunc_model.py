"""The pyfunc model: MLflow runs this file where the model is loaded ("models from code"), with the core beside it."""

from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from nli_core.inference.predictor import Predictor


class ServedClassifier(PythonModel):
    """Answers rows of raw text with a label and the probability of every label."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the model from its artifacts."""
        self.predictor = Predictor(Path(context.artifacts["huggingface"]))

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Map rows with `premise` and `hypothesis`, or with `text`, to `label` and `probability/<label>`.

        In a multi-label model `label` has all labels of the answer, with its separator between them.

        Raises:
            MlflowException: a row has no text; a server answers with 400.
        """
        texts = [_texts(model_input, name) for name in self.predictor.inputs]
        probabilities, answers = self.predictor.probabilities(*texts), self.predictor.answers
        answer = pd.DataFrame({"label": answers.texts(answers.chosen(probabilities))}, index=model_input.index)
        for index, label in enumerate(answers.labels):
            answer[f"probability/{label}"] = probabilities[:, index]
        return answer


def _texts(rows: pd.DataFrame, name: str) -> list[str]:
    texts = rows[name].tolist()
    for row, text in enumerate(texts):
        if pd.isna(text) or (isinstance(text, str) and not text.strip()):
            raise MlflowException.invalid_parameter_value(f"row {row} has no {name}; give it some text")
        if not isinstance(text, str):
            raise MlflowException.invalid_parameter_value(f"row {row}: its {name} is {text!r}, and no text")
    return texts


mlflow.models.set_model(ServedClassifier())
