"""Texts as words: what an audit compares and counts."""

import polars as pl


def words(text: str) -> pl.Expr:
    """Return the words of the column `text`, in lower case and without punctuation, as a list."""
    return pl.col(text).str.to_lowercase().str.extract_all(r"\w+")


def normalised(text: str) -> pl.Expr:
    """Return the column `text` as its words, joined by spaces."""
    return words(text).list.join(" ")
