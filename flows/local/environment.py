"""Defaults for libraries that neither phone home nor fill the terminal."""

import os
import warnings

from tasks.settings import debugging


def set_library_defaults() -> None:
    """Set what the libraries read from the environment. Values of the user stay, and `--debug` keeps their logs."""
    defaults = {
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "PREFECT_LOGGING_EXTRA_LOGGERS": "nli",
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",  # lines from before a flow starts
    }
    warnings.filterwarnings("ignore", "Failed to create the Prefect home directory")  # an error says so, in one line
    if not debugging():
        # Errors reach the terminal as one line; tracebacks are in the flow run's log.
        defaults |= {"PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL", "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL"}
        defaults |= {"MLFLOW_LOGGING_LEVEL": "CRITICAL"}
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
