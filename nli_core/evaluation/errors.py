"""The errors that a model is surest of, as a page for people to read."""

from pathlib import Path

import polars as pl

from nli_core.evaluation.columns import TEXTS, certainty, shown
from nli_core.evaluation.style import html_page, html_table

_SHOWN = 20


def surest_errors(predictions: pl.DataFrame) -> pl.DataFrame:
    """Return the wrong predictions, the surest on top.

    The columns are id, the texts, label, predicted and `probability`, of what is predicted.
    """
    texts = [name for name in TEXTS if name in predictions.columns]
    return (
        predictions.with_columns(probability=certainty(predictions))
        .filter(pl.col("label") != pl.col("predicted"))
        .sort(-pl.col("probability"), "id")
        .select("id", *texts, "label", "predicted", "probability")
    )


def save_errors(predictions: pl.DataFrame, title: str, path: Path) -> None:
    """Write a page with the surest errors of predictions as evaluate leaves them."""
    errors = surest_errors(predictions)
    surest = errors.head(_SHOWN).with_columns(
        pl.col("label", "predicted").map_elements(shown, pl.String),
        pl.col("probability").map_elements("{:.3f}".format, pl.String),
    )
    of_all = f"{errors.height:,} of {predictions.height:,} examples are wrong; here are the {surest.height} surest."
    path.write_text(html_page(title, f"<p>{of_all}</p>{html_table(surest.columns, surest.rows())}"), encoding="utf-8")
