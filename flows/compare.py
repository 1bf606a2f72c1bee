"""Compare MLflow runs on the same test examples, as a flow: for the UI and for schedules."""

from typing import Any

from prefect import flow
from prefect.artifacts import create_markdown_artifact

from tasks.comparison import compare as comparison
from tasks.comparison import page, report
from tasks.settings import Settings


@flow(name="compare", flow_run_name="compare")
def compare(runs: list[str]) -> dict[str, Any]:
    """Compare MLflow runs with the first one, the baseline.

    Leaves a Markdown artifact in Prefect, and a report in each of the other MLflow runs.
    """
    settings = Settings.from_environment()
    baseline, compared = comparison.compare_runs(settings, runs)
    markdown = report.as_markdown(settings, baseline, compared)
    create_markdown_artifact(
        markdown, key="comparison", description=f"{len(compared)} against {baseline.info.run_name}"
    )
    page.publish_report(settings, baseline, compared)
    return report.as_json(baseline, compared)
