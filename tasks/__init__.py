"""Prefect and MLflow around the core: one module a stage. No arithmetic on data or models happens here."""
