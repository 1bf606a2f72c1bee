"""Runs side by side on the same test examples, as a flow: for the UI and for schedules."""

from typing import Any

from prefect import flow
from prefect.artifacts import create_markdown_artifact

from tasks.comparison import compare as comparing
from tasks.comparison import report as comparison_report
from tasks.settings import Settings


@flow(name="compare", flow_run_name="compare")
def compare(runs: list[str]) -> dict[str, Any]:
    """Compare runs of MLflow with the first: a markdown artifact here, and a report in each of the other runs there."""
    settings = Settings.from_environment()
    first, compared = comparing.compare_runs(settings, runs)
    spelled = comparing.changed_texts(settings, first, compared)
    markdown = comparison_report.as_markdown(first, compared, spelled)
    create_markdown_artifact(markdown, key="comparison", description=f"{len(compared)} against {first.info.run_name}")
    comparing.publish_report(settings, first, compared, comparison_report.as_html(first, compared, spelled))
    return comparison_report.as_json(first, compared)
