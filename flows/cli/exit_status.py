"""How `nli` ends."""

USER_ERROR = 2
INTERRUPTED = 130  # a shell's status for a command that SIGINT ended; typer's too
