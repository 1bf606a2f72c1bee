"""Predict a file with a model, as a flow: for the UI and for schedules."""

from typing import Any

from prefect import flow
from prefect.artifacts import create_markdown_artifact

from flows.lifecycle import cancelled, ends, lifetime
from nli_core.callbacks import StoppedError
from tasks.runtime.cancellation import CancellationToken
from tasks.runtime.progress import StageProgress
from tasks.settings import Settings


@flow(name="predict", flow_run_name="predict {source}", **ends)
def predict(
    source: str, target: str, model: str = "champion", columns: list[str] | None = None, keep_columns: bool = False
) -> dict[str, Any]:
    """Predict every row of a file; rerun an interrupted prediction to resume it.

    Args:
        source: The file to read, as the worker sees it, or its address in a bucket: CSV, TSV, JSONL or Parquet.
        target: The Parquet, CSV, TSV or JSONL file to write, or its address in a bucket.
        model: champion, a registry name such as nli-snli@champion, the id of an MLflow run, or a folder.
        columns: Columns of the premise and the hypothesis, or of the only text; by default they have these names.
        keep_columns: Whether the file's own columns are written beside the predictions.
    """
    from tasks.models.predict import predict_file

    settings = Settings.from_environment()
    try:
        with lifetime(), CancellationToken() as stop, StageProgress("predict", stop) as progress:
            facts = predict_file(settings, model, source, target, columns, progress, keep_columns=keep_columns)
    except StoppedError as stopped:
        return cancelled(dict[str, Any], f"{stopped}; rerun it to resume")
    text = (
        f"`{source}` by {model}: {facts['rows']:,} rows, {facts['kept_rows']:,} of them by an earlier try, `{target}`"
    )
    create_markdown_artifact(text, key="prediction", description=f"{facts['rows']:,} rows")
    return facts
