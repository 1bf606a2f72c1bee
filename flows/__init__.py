"""What runs: flows, and the `nli` command that starts them from a terminal. Wiring only."""
