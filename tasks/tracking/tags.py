"""Names in MLflow: the experiment, the tags by which runs are found, how a run gets tags, and the link to a run."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT = "nli"
KEY_TAG = "nli.key.finetune"
EVALUATED_TAG = "nli.key.evaluate"
PUBLISHED_TAG = "nli.published.finetune"
REPORTED_TAG = "nli.reported.evaluate"  # the evaluation that the report is of
GATE_TAG = "nli.gate.examples"  # of test that only promotion reads
SWEEP_TAG = "nli.key.sweep"
STANDING_TAG = "nli.standing"  # how the run compared to the champion when it was evaluated
VERDICT_TAG = "nli.verdict"  # whether the model meets evaluate.requirements
EXAMPLES_TAG = "nli.test_examples.sha256"  # of texts and labels, however they are tokenized
FLOW_RUN_TAG = "nli.flow_run_id"
RUN_ID_FACT = "mlflow_run_id"
VIEW = "nli"  # the saved view of runs
MODEL_NAME = "model"  # of what a run has logged to be loaded
PAGES = "?workflowType=machine_learning"  # without it MLflow shows pages for language models and their prompts
MOST_METRICS = 500  # in one request; MLflow takes 1,000


def set_tags(client: "MlflowClient", run_id: str, tags: Mapping[str, str]) -> None:
    """Give a run tags, which another process may give it at the same moment: MLflow's `set_tag` refuses that."""
    from mlflow.entities import RunTag

    client.log_batch(run_id, tags=[RunTag(name, value) for name, value in tags.items()])


@dataclass(frozen=True)
class RunLink:
    """An MLflow run and, where a server shows it, the address of its page."""

    run_id: str
    address: str | None

    @property
    def markdown(self) -> str:
        """The link as Markdown."""
        return f"[{self.run_id}]({self.address})" if self.address else f"`{self.run_id}` (`make ui` shows it)"
