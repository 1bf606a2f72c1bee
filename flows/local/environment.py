"""Libraries that neither phone home nor fill the terminal."""

import os

DEBUG = "NLI_DEBUG"  # set by `nli --debug`


def quiet_libraries() -> None:
    """Set what they read from the environment; what the user set stays, and `--debug` leaves them their logs."""
    defaults = {
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "PREFECT_LOGGING_EXTRA_LOGGERS": "nli",
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",  # what is said before a flow begins
    }
    if DEBUG not in os.environ:
        # Errors reach the terminal as one line of ours; with tracebacks they are in the flow run's log.
        defaults |= {"PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL", "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL"}
        defaults |= {"MLFLOW_LOGGING_LEVEL": "ERROR"}
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
