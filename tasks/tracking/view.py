"""The view of runs that this project saves in MLflow: columns that tell runs apart, where MLflow shows none.

MLflow 3.17 keeps a saved view as a tag of the experiment, as JSON. Whoever changes the view in the UI keeps the change.
"""

import json
import time

from mlflow import MlflowClient
from mlflow.entities import Experiment

from tasks.tracking.tags import VIEW

_TAG = f"mlflow.sharedViewState.{VIEW}"
_COLUMNS = (
    "metrics.`test/accuracy`",
    "metrics.`dev/accuracy`",
    "tags.`nli.recipe`",
    "params.`encoder.name`",
    "params.`finetune.learning_rate`",
    "params.`finetune.epochs`",
    "params.`finetune.batch_size`",
    "params.`finetune.seed`",
    "tags.`nli.training_seconds`",
)


def save_view(client: MlflowClient, experiment: Experiment) -> None:
    """Save the view in the experiment, unless it has one of this name."""
    if _TAG not in experiment.tags:
        now = int(time.time() * 1000)
        view = {"name": VIEW, "createdAt": now, "updatedAt": now, "state": json.dumps({"selectedColumns": _COLUMNS})}
        client.set_experiment_tag(experiment.experiment_id, _TAG, json.dumps(view))
