"""The `nli` command: one file a command."""
