"""Logging a fine-tuned model to MLflow, so that it answers raw text wherever it is loaded."""

from importlib.metadata import version
from pathlib import Path

import mlflow.pyfunc
import pandas as pd
from mlflow import MlflowClient
from mlflow.models import Model, ModelSignature
from mlflow.types import ColSpec, DataType, Schema, TensorSpec

import nli_core
from nli_core.filenames import MODEL
from nli_core.model.saved import read_inputs, read_labels
from tasks.tracking.tags import MODEL_NAME

FOLDER_ARTIFACT = "huggingface"
_EXAMPLES = {
    "premise": "A man plays a guitar on a stage.",
    "hypothesis": "Somebody makes music.",
    "text": "Shares rose after the bank raised its forecast.",
}
_REQUIREMENTS = ("mlflow", "numpy", "pandas", "pyarrow", "pydantic", "safetensors", "tokenizers", "torch")


def log_to_model(client: MlflowClient, run_id: str, path: Path) -> None:
    """Put a file into the folder of a run's model, where whoever loads the model finds it."""
    outputs = client.get_run(run_id).outputs
    for output in outputs.model_outputs if outputs else ():
        client.log_model_artifact(output.model_id, str(path), f"artifacts/{MODEL}")


def log_model(client: MlflowClient, run_id: str, folder: Path) -> None:
    """Log the exported model in `folder` to a run: as a pyfunc, and within it as a folder for `transformers`.

    The pyfunc takes string columns `premise` and `hypothesis`, or `text`, and gives `label` and one
    `probability/<label>` a class. It carries the core's code.
    """
    inputs = read_inputs(folder)
    outputs: list[ColSpec | TensorSpec] = [ColSpec(DataType.string, "label")]
    outputs += [ColSpec(DataType.double, f"probability/{label}") for label in read_labels(folder)]
    # Created here, since Model.log would put it into the active experiment and not into the run's.
    experiment_id = client.get_run(run_id).info.experiment_id
    logged = client.create_logged_model(experiment_id, name=MODEL_NAME, source_run_id=run_id)
    Model.log(
        artifact_path=None,
        name=MODEL_NAME,
        flavor=mlflow.pyfunc,
        run_id=run_id,
        model_id=logged.model_id,
        python_model=str(Path(__file__).with_name("pyfunc_model.py")),
        artifacts={FOLDER_ARTIFACT: str(folder)},
        code_paths=[str(Path(nli_core.__file__).parent)],
        pip_requirements=[f"{package}=={version(package).split('+')[0]}" for package in _REQUIREMENTS],
        input_example=pd.DataFrame([{name: _EXAMPLES[name] for name in inputs}]),
        signature=ModelSignature(Schema([ColSpec(DataType.string, name) for name in inputs]), Schema(outputs)),
    )
