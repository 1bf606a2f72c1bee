"""How `nli` ends."""

USER_ERROR = 2
MISSED = 3  # the run completed, and its model does not meet what --require makes a condition
INTERRUPTED = 130  # a shell's status for a command that SIGINT ended; typer's too
