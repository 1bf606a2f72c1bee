"""The pyfunc model: MLflow runs this file where the model is loaded ("models from code"), with the core beside it."""

from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from nli_core.evaluation.predictor import Predictor


class ServedClassifier(PythonModel):
    """Answers rows of raw text with a label and the probability of every label."""

    def load_context(self, context: PythonModelContext) -> None:
        self.predictor = Predictor(Path(context.artifacts["huggingface"]))

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Rows with `premise` and `hypothesis`, or with `text`, to `label` and `probability/<label>`."""
        single = "text" in model_input.columns
        for column in ("text",) if single else ("premise", "hypothesis"):
            if model_input[column].isna().any():
                raise ValueError(f"row {int(model_input[column].isna().argmax())} has no {column}")
        premises = model_input["text" if single else "premise"].tolist()
        probabilities = self.predictor.probabilities(premises, None if single else model_input["hypothesis"].tolist())
        labels = self.predictor.labels
        answer = pd.DataFrame(
            {"label": [labels[place] for place in probabilities.argmax(axis=1)]}, index=model_input.index
        )
        for place, label in enumerate(labels):
            answer[f"probability/{label}"] = probabilities[:, place]
        return answer


mlflow.models.set_model(ServedClassifier())
